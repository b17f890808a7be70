//! The service behind `<data dir>/admin.sock`: what operators do, over gRPC.

mod accounts;
mod backup;
mod operators;
mod placement;
mod status;
mod zones;

use std::{fs, io, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use ncore_control::{Change, Control, ControlPlane, MembershipChange, ProposeError, new_request_id};
use ncore_domain::{AckLevel, Acknowledged, ChangeError, Domain, Explains, RevokeError};
use ncore_identity::{ExposeSecret, JoinTerms, JoinToken};
use ncore_model::{
    AdministratorId, ClientId, ClientStatus, Command, CreateJoinToken, JoinTokenId, Node, NodeId, NodeState, Outcome, Query, Rejection,
    Scope,
};
use ncore_proto::admin::v1::{
    self as wire,
    admin_server::{Admin, AdminServer},
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};

use crate::config::Config;
use backup::Backups;

/// How long an operator's change may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most nodes that a join token names.
const ENDPOINTS_MAX: usize = 16;

/// Listens on the socket. A socket that a crash left behind is replaced: the lock on the data directory says that nobody uses it.
pub(crate) fn serve(
    config: &Config,
    control: Arc<Control>,
    domain: Arc<Domain>,
    explains: Arc<Explains>,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + use<>> {
    let socket = config.admin_socket();
    let backups = Backups::new(Arc::clone(&control), &config.node.data_dir, config.node.name.clone());
    let backups = backups.context("cannot remove what is left of a backup")?;
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", socket.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).with_context(|| format!("cannot protect {}", socket.display()))?;
    let service = AdminServer::new(AdminService { control, domain, explains, backups });
    Ok(async move {
        let served =
            Server::builder().add_service(service).serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.cancelled()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the socket for operators ended");
        }
        let _ = fs::remove_file(&socket);
    })
}

struct AdminService {
    control: Arc<Control>,
    domain: Arc<Domain>,
    explains: Arc<Explains>,
    backups: Backups,
}

impl AdminService {
    async fn carry_out(&self, command: Command) -> Result<Outcome, Status> {
        let change = Change { request: new_request_id(), idempotency: None, command, deadline: DEADLINE };
        let committed = self.control.propose(change).await.map_err(|error| match error {
            ProposeError::Unavailable { .. } => Status::unavailable(error.to_string()),
            ProposeError::Unknown { .. } => Status::deadline_exceeded(format!("{error}; look at the status before you try again")),
        })?;
        match committed.outcome {
            Outcome::Rejected(rejection) => Err(rejected(&rejection)),
            outcome => Ok(outcome),
        }
    }

    async fn change_membership(&self, change: MembershipChange) -> Result<(), Status> {
        self.control.change_membership(change, DEADLINE).await.map_err(|error| Status::failed_precondition(error.to_string()))
    }

    /// The node that an operator names by id or by name.
    fn node(&self, named: &str) -> Result<Node, Status> {
        let nodes = self.control.replica().nodes().map_err(internal)?;
        // The newest of a name: those removed keep theirs.
        let found = nodes.into_iter().rev().find(|node| node.id.to_string() == named || node.name == named);
        found.ok_or_else(|| Status::not_found(format!("there is no node {named}; `ncore cluster nodes` lists them")))
    }

    /// Says in the state whether a node is meant to vote. A cluster with nodes of an older release cannot say it yet.
    async fn mean_to_vote(&self, node: NodeId, voter: bool) -> Result<(), Status> {
        let command = Command::SetVoter { node, voter };
        let level = self.control.replica().cluster().map_err(internal)?.map_or(0, |cluster| cluster.schema_level);
        if command.schema_level() > level {
            return Ok(());
        }
        self.carry_out(command).await.map(drop)
    }

    /// Hands the leadership on, if this node has it: to a voter that is to stay.
    async fn lead_elsewhere(&self, node: NodeId) -> Result<(), Status> {
        if self.control.leader() != Some(node.0) {
            return Ok(());
        }
        let voters = self.control.status().members.voters;
        let members = self.control.replica().members().map_err(internal)?;
        let heirs = members.iter().filter(|heir| heir.id != node && heir.state == NodeState::Active && voters.contains(&heir.id.0));
        for heir in heirs {
            if self.change_membership(MembershipChange::TransferLeader(heir.id)).await.is_ok() {
                return Ok(());
            }
        }
        Err(Status::failed_precondition("this node leads, and no other voter can take over"))
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn status(&self, request: Request<wire::StatusRequest>) -> Result<Response<wire::StatusReply>, Status> {
        status::status(&self.control, request.into_inner().state_hash).await.map(Response::new)
    }

    async fn create_join_token(
        &self,
        request: Request<wire::CreateJoinTokenRequest>,
    ) -> Result<Response<wire::CreateJoinTokenReply>, Status> {
        let wire::CreateJoinTokenRequest { voter, region, uses, expires_in_s } = request.into_inner();
        let identity = self.control.identity().current();
        let ca_cert = identity.authorities().first().ok_or_else(|| Status::internal("this node knows no authority"))?.clone();
        let cluster = self.control.replica().cluster().map_err(internal)?.ok_or_else(|| Status::unavailable("no cluster yet"))?;
        let mut members = self.control.replica().members().map_err(internal)?;
        // Only voters can sign; the others would pass the request on.
        let voters = self.control.status().members.voters;
        members.sort_by_key(|node| (!voters.contains(&node.id.0), node.id != self.control.id()));
        let region = (!region.is_empty()).then_some(region);
        let terms = JoinTerms {
            cluster_id: identity.cluster_id(),
            ca_cert,
            voter,
            region: region.clone(),
            expires_at: cluster.log_time_ms / 1_000 + expires_in_s,
            endpoints: members.into_iter().take(ENDPOINTS_MAX).map(|node| node.cluster_address).collect(),
        };
        let token = JoinToken::issue(terms).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let id = JoinTokenId(token.id().0);
        let lifetime_ms = expires_in_s.saturating_mul(1_000);
        let command = CreateJoinToken { id, verifier: token.verifier(), voter, region, uses, lifetime_ms };
        self.carry_out(Command::CreateJoinToken(command)).await?;
        Ok(Response::new(wire::CreateJoinTokenReply { token: token.encode().expose_secret().to_owned(), id: id.to_string() }))
    }

    async fn list_join_tokens(&self, _: Request<wire::ListJoinTokensRequest>) -> Result<Response<wire::ListJoinTokensReply>, Status> {
        let cluster = self.control.replica().cluster().map_err(internal)?;
        let now = cluster.map_or(0, |cluster| cluster.log_time_ms);
        let mut tokens = self.control.replica().join_tokens().map_err(internal)?;
        tokens.retain(|token| token.uses_left > 0 && token.expires_at_ms > now);
        let tokens = tokens.into_iter().map(|token| wire::JoinToken {
            id: token.id.to_string(),
            voter: token.voter,
            region: token.region.unwrap_or_default(),
            uses_left: token.uses_left,
            expires_at_s: token.expires_at_ms / 1_000,
        });
        Ok(Response::new(wire::ListJoinTokensReply { tokens: tokens.collect() }))
    }

    async fn revoke_join_token(&self, request: Request<wire::RevokeJoinTokenRequest>) -> Result<Response<wire::Done>, Status> {
        let id = request.into_inner().id.parse().map_err(|()| Status::invalid_argument("that is not the id of a join token"))?;
        self.carry_out(Command::RevokeJoinToken { id }).await?;
        Ok(Response::new(wire::Done {}))
    }

    async fn drain(&self, request: Request<wire::NodeRequest>) -> Result<Response<wire::Done>, Status> {
        let node = self.node(&request.into_inner().node)?;
        self.carry_out(Command::SetNodeState { node: node.id, state: NodeState::Draining }).await?;
        self.lead_elsewhere(node.id).await?;
        Ok(Response::new(wire::Done {}))
    }

    async fn remove(&self, request: Request<wire::NodeRequest>) -> Result<Response<wire::Done>, Status> {
        let node = self.node(&request.into_inner().node)?;
        if node.id == self.control.id() {
            return Err(Status::failed_precondition("a node cannot remove itself; ask another one"));
        }
        self.lead_elsewhere(node.id).await?;
        // Cut off first, by the state, and then taken out of Raft. If the second step fails, the command is given again.
        match self.carry_out(Command::SetNodeState { node: node.id, state: NodeState::Removed }).await {
            Ok(_) => {}
            Err(_) if node.state == NodeState::Removed => {}
            Err(status) => return Err(status),
        }
        self.change_membership(MembershipChange::Remove(node.id)).await?;
        tracing::info!(node = %node.id, name = node.name, "removed");
        Ok(Response::new(wire::Done {}))
    }

    async fn promote(&self, request: Request<wire::NodeRequest>) -> Result<Response<wire::Done>, Status> {
        let node = self.node(&request.into_inner().node)?;
        if node.state != NodeState::Active {
            return Err(Status::failed_precondition(format!("{} is {}", node.name, node.state.as_str())));
        }
        self.mean_to_vote(node.id, true).await?;
        let given = self.control.give_vote(&node, DEADLINE).await;
        given.map_err(|error| Status::failed_precondition(format!("{error}; is the node running, and has it caught up?")))?;
        tracing::info!(node = %node.id, name = node.name, "promoted by an operator");
        Ok(Response::new(wire::Done {}))
    }

    async fn demote(&self, request: Request<wire::NodeRequest>) -> Result<Response<wire::Done>, Status> {
        let node = self.node(&request.into_inner().node)?;
        self.lead_elsewhere(node.id).await?;
        self.mean_to_vote(node.id, false).await?;
        self.change_membership(MembershipChange::Demote(node.id)).await?;
        tracing::info!(node = %node.id, name = node.name, "demoted by an operator");
        Ok(Response::new(wire::Done {}))
    }

    async fn transfer_leader(&self, request: Request<wire::NodeRequest>) -> Result<Response<wire::Done>, Status> {
        let node = self.node(&request.into_inner().node)?;
        self.change_membership(MembershipChange::TransferLeader(node.id)).await?;
        Ok(Response::new(wire::Done {}))
    }

    async fn add_client(&self, request: Request<wire::AddClientRequest>) -> Result<Response<wire::AddClientReply>, Status> {
        accounts::add(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn update_client(&self, request: Request<wire::UpdateClientRequest>) -> Result<Response<wire::AckReply>, Status> {
        accounts::update(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn rotate_secret(&self, request: Request<wire::ClientRequest>) -> Result<Response<wire::RotateSecretReply>, Status> {
        accounts::rotate_secret(&self.domain, &request.into_inner().client_id).await.map(Response::new)
    }

    async fn remove_client(&self, request: Request<wire::ClientRequest>) -> Result<Response<wire::AckReply>, Status> {
        let client = ClientId::from_text(&request.into_inner().client_id);
        let removed = self.domain.clients().delete(client, None, AckLevel::All).await;
        removed.map(|(_, acknowledged)| Response::new(reached(&acknowledged))).map_err(|error| not_changed(&error))
    }

    async fn add_refresh_token(&self, request: Request<wire::ClientRequest>) -> Result<Response<wire::AddRefreshTokenReply>, Status> {
        accounts::add_refresh_token(&self.domain, &request.into_inner().client_id).await.map(Response::new)
    }

    async fn list_clients(&self, _: Request<wire::ListClientsRequest>) -> Result<Response<wire::ListClientsReply>, Status> {
        accounts::list(&self.domain).await.map(Response::new)
    }

    async fn add_administrator(
        &self,
        request: Request<wire::AddAdministratorRequest>,
    ) -> Result<Response<wire::AddAdministratorReply>, Status> {
        operators::add(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn list_administrators(
        &self,
        _: Request<wire::ListAdministratorsRequest>,
    ) -> Result<Response<wire::ListAdministratorsReply>, Status> {
        operators::list(&self.domain).await.map(Response::new)
    }

    async fn remove_administrator(&self, request: Request<wire::RemoveAdministratorRequest>) -> Result<Response<wire::AckReply>, Status> {
        let removed = self.domain.administrators().remove(AdministratorId::from_text(&request.into_inner().id), AckLevel::All).await;
        removed.map(|(_, acknowledged)| Response::new(reached(&acknowledged))).map_err(|error| not_changed(&error))
    }

    async fn rotate_signing_key(&self, _: Request<wire::RotateSigningKeyRequest>) -> Result<Response<wire::RotateSigningKeyReply>, Status> {
        let id = self.domain.signing_keys().rotate().await.map_err(|error| Status::failed_precondition(one_line(&error)))?;
        Ok(Response::new(wire::RotateSigningKeyReply { id }))
    }

    async fn list_signing_keys(&self, _: Request<wire::ListSigningKeysRequest>) -> Result<Response<wire::ListSigningKeysReply>, Status> {
        let keys = self.domain.signing_keys().list().await.map_err(internal)?.value;
        let keys = keys.into_iter().map(|(key, does)| wire::SigningKey {
            id: key.id,
            r#use: does.as_str().to_owned(),
            created_at_s: key.created_at_ms / 1_000,
        });
        Ok(Response::new(wire::ListSigningKeysReply { keys: keys.collect() }))
    }

    async fn remove_signing_key(&self, request: Request<wire::RemoveSigningKeyRequest>) -> Result<Response<wire::AckReply>, Status> {
        let removed = self.domain.signing_keys().remove(&request.into_inner().id, AckLevel::All).await;
        removed.map(|(_, acknowledged)| Response::new(reached(&acknowledged))).map_err(|error| not_changed(&error))
    }

    async fn set_client_status(&self, request: Request<wire::SetClientStatusRequest>) -> Result<Response<wire::AckReply>, Status> {
        let wire::SetClientStatusRequest { client_id, status } = request.into_inner();
        let status: ClientStatus = status.parse().map_err(|()| Status::invalid_argument("a status is active, review or suspended"))?;
        let client = ClientId::from_text(&client_id);
        let set = self.domain.clients().set_status(client, status, AckLevel::All).await;
        let (_, acknowledged) = set.map_err(|error| Status::failed_precondition(one_line(&error)))?;
        Ok(Response::new(reached(&acknowledged)))
    }

    async fn revoke_token(&self, request: Request<wire::RevokeTokenRequest>) -> Result<Response<wire::AckReply>, Status> {
        let token = request.into_inner().token;
        let revoked = self.domain.tokens().revoke(token.trim(), None, AckLevel::All).await.map_err(|error| match error {
            RevokeError::OfOther | RevokeError::State(_) => internal(error),
            RevokeError::Behind(_) | RevokeError::Change(_) => Status::failed_precondition(one_line(&error)),
        })?;
        Ok(Response::new(reached(&revoked.acknowledged)))
    }

    async fn set_placement(&self, request: Request<wire::SetPlacementRequest>) -> Result<Response<wire::Done>, Status> {
        placement::set(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn remove_placement(&self, request: Request<wire::RemovePlacementRequest>) -> Result<Response<wire::Done>, Status> {
        placement::remove(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn list_placements(&self, _: Request<wire::ListPlacementsRequest>) -> Result<Response<wire::ListPlacementsReply>, Status> {
        placement::list(&self.domain).await.map(Response::new)
    }

    async fn list_zones(&self, request: Request<wire::ListZonesRequest>) -> Result<Response<wire::ListZonesReply>, Status> {
        zones::list(&self.domain, &request.into_inner().client_id).await.map(Response::new)
    }

    async fn show_zone(&self, request: Request<wire::ZoneRequest>) -> Result<Response<wire::Zone>, Status> {
        zones::show(&self.domain, &request.into_inner().uuid).await.map(Response::new)
    }

    async fn create_zone(&self, request: Request<wire::CreateZoneRequest>) -> Result<Response<wire::Zone>, Status> {
        zones::create(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn update_zone(&self, request: Request<wire::UpdateZoneRequest>) -> Result<Response<wire::Zone>, Status> {
        zones::update(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn delete_zone(&self, request: Request<wire::ZoneRequest>) -> Result<Response<wire::AckReply>, Status> {
        zones::delete(&self.domain, &request.into_inner().uuid).await.map(Response::new)
    }

    async fn purge_zone(&self, request: Request<wire::PurgeZoneRequest>) -> Result<Response<wire::PurgeZoneReply>, Status> {
        zones::purge(&self.domain, request.into_inner()).await.map(Response::new)
    }

    async fn explain_zone(&self, request: Request<wire::ExplainZoneRequest>) -> Result<Response<wire::ExplainZoneReply>, Status> {
        zones::explain(&self.domain, &self.explains, request.into_inner()).await.map(Response::new)
    }

    type BackupStream = backup::Pieces;

    async fn backup(&self, _: Request<wire::BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        self.backups.begin().await.map(Response::new)
    }
}

fn reached(acknowledged: &Acknowledged) -> wire::AckReply {
    wire::AckReply { level: acknowledged.as_str().to_owned() }
}

/// A change that an operator asked for by a name that may be wrong.
fn not_changed(error: &ChangeError) -> Status {
    match error {
        ChangeError::Rejected {
            rejection: rejection @ (Rejection::ClientUnknown | Rejection::AdministratorUnknown | Rejection::SigningKeyUnknown),
            ..
        } => Status::not_found(rejection.to_string()),
        error => Status::failed_precondition(one_line(error)),
    }
}

/// An error with its causes: an operator has no log at hand.
fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn rejected(rejection: &Rejection) -> Status {
    match rejection {
        Rejection::NodeUnknown | Rejection::TokenUnknown | Rejection::ClientUnknown => Status::not_found(rejection.to_string()),
        _ => Status::failed_precondition(rejection.to_string()),
    }
}

fn unknown_scope(scope: &str) -> Status {
    let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    Status::invalid_argument(format!("there is no scope {scope:?}; there are {}", known.join(", ")))
}

fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}
