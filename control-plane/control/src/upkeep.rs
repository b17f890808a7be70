//! What a node does by itself to stay a good member: it says what it is, takes its part in Raft, renews its certificate, takes the
//! authority when it becomes a voter, and, as the leader, looks after the voters and raises the schema level once every node can
//! apply the next one.
//!
//! Each of these is a reconciler: it looks at how things are, does the next step, and is run again. One path serves the first
//! start, a restart, and the steady state.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ncore_identity::{AuthorityError, CertificateDer, InstallError, IssueError, UpdateError};
use ncore_model::{Command, Node, NodeId, NodeState, Outcome, Query, Rejection, TableError, UpdateNode};
use ncore_proto::cluster::v1::{AuthorityRequest, RenewRequest, cluster_client::ClusterClient};
use ncore_raft::{ChangeError, OpenError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    autopilot::Tending,
    control::{Control, SelfDescription},
    membership::{MembershipChange, MembershipError},
    peers::PeerError,
    plane::{Change, ControlPlane, ProposeError},
};

/// How often everything is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// How long one step may take.
pub(crate) const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// How many periods lie between two looks at the certificate, and between two measurements of round trips.
const SELDOM: u32 = 4;
/// How many nodes that may vote the leader asks each time.
const CANDIDATES_MAX: usize = 16;

/// Why a step did not work out. It is tried again in the next period.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpkeepError {
    #[error("the state cannot be read")]
    State(#[source] TableError),
    #[error("the change was not taken")]
    Propose(#[source] ProposeError),
    #[error("the change was rejected")]
    Rejected(#[source] Rejection),
    #[error("the membership did not change")]
    Membership(#[source] MembershipError),
    #[error("the voters did not change")]
    Change(#[source] ChangeError),
    #[error("the log cannot be opened")]
    Raft(#[source] OpenError),
    #[error("no way to the leader")]
    Peer(#[source] PeerError),
    #[error("no leader is known")]
    NoLeader,
    #[error("the leader refused: {0}")]
    Refused(String),
    #[error("a certificate request cannot be made")]
    Request(#[source] IssueError),
    #[error("the new certificate was not taken into use")]
    Install(#[source] UpdateError<InstallError>),
    #[error("the authority was not taken into use")]
    Authority(#[source] UpdateError<AuthorityError>),
}

/// Keeps the node a good member until `stop`.
pub(crate) async fn run(control: Arc<Control>, stop: CancellationToken) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round: u32 = 0;
    let mut tending = Tending::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let steps = async {
            note("describing this node", control.describe_itself().await);
            note("announcing a relay", control.announce_relay().await);
            note("taking part in Raft", control.take_part_if_let_in().await);
            note("looking after the voters", control.tend_voters(&mut tending).await);
            note("taking the authority", control.take_authority().await);
            note("raising the schema level", control.raise_schema().await);
            if round.is_multiple_of(SELDOM) {
                note("renewing the certificate", control.renew_certificate().await);
                control.peers().measure(&control.close()).await;
            }
        };
        if stop.run_until_cancelled(steps).await.is_none() {
            return;
        }
        round = round.wrapping_add(1);
    }
}

fn note(step: &'static str, result: Result<(), UpkeepError>) {
    if let Err(error) = result {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::debug!(step, %error, cause, "will try again");
    }
}

impl Control {
    /// Announces the node as this start of the process describes it.
    async fn describe_itself(&self) -> Result<(), UpkeepError> {
        let Some(node) = self.replica().node(self.id()).map_err(UpkeepError::State)? else {
            return Ok(());
        };
        if is_described(&node, self.description()) {
            return Ok(());
        }
        let description = self.description();
        let update = UpdateNode {
            node: self.id(),
            name: description.name.clone(),
            region: description.region.clone(),
            cluster_address: description.cluster_address.clone(),
            http_address: description.http_address.clone(),
            schema: description.schema,
            software: description.software.clone(),
            incarnation: description.incarnation,
        };
        self.carry_out(Command::UpdateNode(update)).await
    }

    /// Says whether this node passes the log on, as it was set up to.
    async fn announce_relay(&self) -> Result<(), UpkeepError> {
        let level = self.replica().cluster().map_err(UpkeepError::State)?.map_or(0, |cluster| cluster.schema_level);
        let known = self.replica().node(self.id()).map_err(UpkeepError::State)?.is_some();
        let announced = self.replica().relays().map_err(UpkeepError::State)?.contains(&self.id());
        let relay = self.hub().settings().relay;
        let command = Command::SetRelay { node: self.id(), relay };
        if !known || announced == relay || command.schema_level() > level {
            return Ok(());
        }
        self.carry_out(command).await
    }

    /// Opens the log once the leader has let this node in. A node without a vote that Raft still has as a member leaves it.
    async fn take_part_if_let_in(&self) -> Result<(), UpkeepError> {
        let node = self.replica().node(self.id()).map_err(UpkeepError::State)?;
        let Some(node) = node.filter(|node| node.state != NodeState::Removed) else {
            return Ok(());
        };
        if self.raft().is_some() || !self.status().members.learners.contains(&self.id().0) {
            return Ok(());
        }
        if node.voter {
            // The leader is waiting for it.
            return self.join_raft().await.map_err(UpkeepError::Raft);
        }
        let leave = MembershipChange::Remove(self.id());
        self.change_membership(leave, STEP_DEADLINE).await.map_err(UpkeepError::Membership)
    }

    /// Whom to ask each time how they are: a voter asks the voters, and the leader all who may become one.
    fn close(&self) -> BTreeSet<NodeId> {
        let mut close: BTreeSet<NodeId> = self.status().members.voters.into_iter().map(NodeId).collect();
        if !close.contains(&self.id()) {
            return BTreeSet::new();
        }
        if self.leader() == Some(self.id().0) {
            // A state that cannot be read stops the node elsewhere.
            let members = self.replica().members().unwrap_or_default();
            close.extend(members.into_iter().filter(|node| node.voter).take(CANDIDATES_MAX).map(|node| node.id));
        }
        close
    }

    async fn take_authority(&self) -> Result<(), UpkeepError> {
        if self.identity().current().authority().is_some() || !self.status().members.voters.contains(&self.id().0) {
            return Ok(());
        }
        let reply = self.leader_client()?.authority(AuthorityRequest {}).await;
        let sealed = reply.map_err(|status| UpkeepError::Refused(status.message().to_owned()))?.into_inner().sealed_authority;
        self.identity_store().update(self.identity(), |identity| identity.with_authority(&sealed)).map_err(UpkeepError::Authority)?;
        tracing::info!(node = %self.id(), "this node holds the authority now");
        Ok(())
    }

    async fn renew_certificate(&self) -> Result<(), UpkeepError> {
        let identity = self.identity().current();
        if !identity.needs_renewal(self.stamps().now_ms() / 1_000) {
            return Ok(());
        }
        let request = identity.new_csr().map_err(UpkeepError::Request)?;
        let csr = request.der().to_vec();
        let reply = self.leader_client()?.renew(RenewRequest { csr_der: csr.into() }).await;
        let reply = reply.map_err(|status| UpkeepError::Refused(status.message().to_owned()))?.into_inner();
        let certificate = CertificateDer::from(reply.certificate_der.to_vec());
        self.identity_store()
            .update(self.identity(), |identity| identity.install(request, certificate, self.stamps().now_ms() / 1_000))
            .map_err(UpkeepError::Install)?;
        tracing::info!(node = %self.id(), "the certificate was renewed");
        Ok(())
    }

    /// As the leader: the next schema level, as soon as every node that was not removed can apply it.
    async fn raise_schema(&self) -> Result<(), UpkeepError> {
        if self.raft().is_none() || self.leader() != Some(self.id().0) {
            return Ok(());
        }
        let Some(cluster) = self.replica().cluster().map_err(UpkeepError::State)? else {
            return Ok(());
        };
        let next = cluster.schema_level + 1;
        let members = self.replica().members().map_err(UpkeepError::State)?;
        if !members.iter().all(|node| node.schema.includes(next)) {
            return Ok(());
        }
        self.carry_out(Command::RaiseSchema { level: next }).await?;
        tracing::info!(level = next, "every node can apply it: the schema level has risen");
        Ok(())
    }

    pub(crate) async fn carry_out(&self, command: Command) -> Result<(), UpkeepError> {
        let change = Change { request: crate::new_request_id(), idempotency: None, command, deadline: STEP_DEADLINE };
        match self.propose(change).await.map_err(UpkeepError::Propose)?.outcome {
            Outcome::Rejected(rejection) => Err(UpkeepError::Rejected(rejection)),
            _ => Ok(()),
        }
    }

    fn leader_client(&self) -> Result<ClusterClient<tonic::transport::Channel>, UpkeepError> {
        let leader = self.leader().ok_or(UpkeepError::NoLeader)?;
        // The leader may be this node: it asks itself over the network, which needs no second path.
        self.peers().channel(NodeId(leader)).map(ClusterClient::new).map_err(UpkeepError::Peer)
    }
}

fn is_described(node: &Node, description: &SelfDescription) -> bool {
    node.incarnation == description.incarnation
        && node.name == description.name
        && node.region == description.region
        && node.cluster_address == description.cluster_address
        && node.http_address == description.http_address
        && node.schema == description.schema
        && node.software == description.software
}
