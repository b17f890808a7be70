//! What other nodes, and machines that want to become nodes, may ask of this one.

mod guard;
mod proposals;

pub(crate) use guard::{Guard, PeerCertificates};

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ncore_freshness::FreshState;
use ncore_identity::{JoinProof, NODE_VALIDITY, NodeName, TokenId};
use ncore_model::{AddNode, Command, JoinTokenId, NodeId, Outcome, Query, RequestId, SchemaRange, decode, state_hash};
use ncore_proto::cluster::v1::{
    self as wire,
    cluster_client::ClusterClient,
    cluster_server::{Cluster, ClusterServer},
};
use ncore_raft::PeerIdentity;
use ncore_replica::ReplicaError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    control::Control,
    hub::ChildStatus,
    membership,
    plane::{Change, ControlPlane},
    propose, protocol,
};

/// How long a join may take on this side.
const JOIN_DEADLINE: Duration = Duration::from_secs(20);
/// The longest that a forwarded proposal may ask this node to wait.
const PROPOSE_PATIENCE: Duration = Duration::from_secs(30);
/// The largest request and reply, in bytes.
pub(crate) const MAX_MESSAGE: usize = 16 << 20;

/// The service `Cluster`, over the control plane of this node.
#[derive(Clone)]
pub(crate) struct ClusterService {
    control: Arc<Control>,
}

impl ClusterService {
    pub(crate) fn server(control: Arc<Control>) -> ClusterServer<Self> {
        ClusterServer::new(Self { control }).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
    }

    /// Checks the token and its proof, and adds the node. A retry with the same request id adds it once.
    async fn admit(&self, request: &wire::JoinRequest) -> Result<NodeId, Status> {
        let control = &self.control;
        let id = JoinTokenId(fixed(&request.token_id, "token_id")?);
        let token = control.replica().join_token(id).map_err(internal)?;
        let token = token.ok_or_else(|| Status::unauthenticated("no such join token: it was revoked or has expired; make a new one"))?;
        let proof = JoinProof::from_parts(&request.nonce, &request.proof).map_err(unauthenticated)?;
        let cluster = control.identity().current().cluster_id();
        proof.verify(&token.verifier, cluster, TokenId(id.0), &request.csr_der).map_err(unauthenticated)?;
        let command = Command::AddNode(AddNode {
            token: id,
            name: request.name.clone(),
            region: request.region.clone(),
            cluster_address: request.cluster_address.clone(),
            http_address: request.http_address.clone(),
            schema: SchemaRange { min: request.schema_min, max: request.schema_max },
            software: request.software.clone(),
        });
        let change =
            Change { request: RequestId(fixed(&request.request_id, "request_id")?), idempotency: None, command, deadline: JOIN_DEADLINE };
        match control.propose(change).await {
            Ok(committed) => match committed.outcome {
                Outcome::NodeAdded(node) => Ok(node),
                Outcome::Rejected(rejection) => Err(Status::failed_precondition(rejection.to_string())),
                other => Err(Status::internal(format!("unexpected outcome: {other:?}"))),
            },
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    fn sign(&self, node: NodeId, csr_der: &[u8]) -> Result<Vec<u8>, Status> {
        let identity = self.control.identity().current();
        let authority = identity.authority().ok_or_else(|| Status::unavailable("this node does not hold the authority"))?;
        let name = NodeName { cluster_id: identity.cluster_id(), node_id: node.0 };
        let certificate = authority
            .sign_csr(csr_der, &name, NODE_VALIDITY, self.control.stamps().now_ms() / 1_000)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(certificate.as_ref().to_vec())
    }

    fn members(&self) -> Result<Vec<wire::Member>, Status> {
        let voters = self.control.status().members.voters;
        let nodes = self.control.replica().members().map_err(internal)?;
        Ok(nodes
            .into_iter()
            .map(|node| wire::Member { node_id: node.id.0, voter: voters.contains(&node.id.0), cluster_address: node.cluster_address })
            .collect())
    }

    /// Another node that may hold the authority, for when this one does not.
    fn with_authority(&self) -> Result<ClusterClient<tonic::transport::Channel>, Status> {
        let leader = self.control.leader().ok_or_else(|| Status::unavailable("no leader is known; try again"))?;
        let channel = self.control.peers().channel(NodeId(leader)).map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(ClusterClient::new(channel))
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn join(&self, request: Request<wire::JoinRequest>) -> Result<Response<wire::JoinReply>, Status> {
        let request = request.into_inner();
        let spoken = protocol::common_with_joiner(request.protocol_min, request.protocol_max);
        spoken.map_err(|error| Status::failed_precondition(error.to_string()))?;
        let control = &self.control;
        let identity = control.identity().current();
        if identity.authority().is_none() {
            return self.with_authority()?.join(request).await;
        }
        // The token may have been made at another node a moment ago.
        control.read_index(JOIN_DEADLINE).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let node = self.admit(&request).await?;
        let certificate = self.sign(node, &request.csr_der)?;
        tracing::info!(%node, name = request.name, region = request.region, "a node has joined");
        Ok(Response::new(wire::JoinReply {
            node_id: node.0,
            certificate_der: certificate.into(),
            cluster_key: identity.cluster_key().expose().to_vec().into(),
            members: self.members()?,
        }))
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewReply>, Status> {
        let peer = caller(&request)?;
        let certificate = self.sign(peer, &request.into_inner().csr_der)?;
        tracing::info!(node = %peer, "a certificate was renewed");
        Ok(Response::new(wire::RenewReply { certificate_der: certificate.into() }))
    }

    async fn authority(&self, request: Request<wire::AuthorityRequest>) -> Result<Response<wire::AuthorityReply>, Status> {
        let peer = caller(&request)?;
        if !self.control.status().members.voters.contains(&peer.0) {
            return Err(Status::permission_denied("only voters hold the authority"));
        }
        let identity = self.control.identity().current();
        let authority = identity.authority().ok_or_else(|| Status::unavailable("this node does not hold the authority"))?;
        let sealed = authority.seal(identity.cluster_key()).map_err(|error| Status::internal(error.to_string()))?;
        tracing::info!(node = %peer, "a voter took the authority");
        Ok(Response::new(wire::AuthorityReply { sealed_authority: sealed.into() }))
    }

    async fn propose(&self, request: Request<wire::ProposeRequest>) -> Result<Response<wire::ProposeReply>, Status> {
        let request = request.into_inner();
        let proposal = decode(&request.proposal).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let patience = Duration::from_millis(request.deadline_ms).min(PROPOSE_PATIENCE);
        let result = self.control.propose_here(proposal, patience).await;
        Ok(Response::new(propose::to_wire(result)))
    }

    type ProposeManyStream = ReceiverStream<Result<wire::Answers, Status>>;

    async fn propose_many(&self, request: Request<tonic::Streaming<wire::Proposals>>) -> Result<Response<Self::ProposeManyStream>, Status> {
        let peer = caller(&request)?;
        let (answers, receiver) = mpsc::channel(proposals::UNDER_WAY);
        tokio::spawn(proposals::attend(Arc::clone(&self.control), peer, request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn change_membership(&self, request: Request<wire::MembershipRequest>) -> Result<Response<wire::MembershipReply>, Status> {
        let change = membership::from_wire(request.into_inner()).ok_or_else(|| Status::unimplemented("no such change"))?;
        let result = self.control.change_membership_here(&change, JOIN_DEADLINE).await;
        Ok(Response::new(membership::reply(result)))
    }

    async fn barrier(&self, request: Request<wire::BarrierRequest>) -> Result<Response<wire::BarrierReply>, Status> {
        Ok(Response::new(self.control.barrier_for(request.into_inner()).await))
    }

    async fn inspect(&self, request: Request<wire::InspectRequest>) -> Result<Response<wire::InspectReply>, Status> {
        let reply = self.control.inspect(request.into_inner().state_hash).await.map_err(internal)?;
        Ok(Response::new(reply))
    }
}

impl Control {
    /// How this node is. The hash of the state reads all of it.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub async fn inspect(&self, with_hash: bool) -> Result<wire::InspectReply, ReplicaError> {
        let (status, fresh, staleness) = (self.status(), self.fresh_state(), self.staleness());
        let revision = self.replica().revision();
        let hash = match with_hash {
            false => None,
            true => {
                let replica = Arc::clone(self.replica());
                let read = move || {
                    replica.read(|view| {
                        let hash = state_hash(view).map_err(ReplicaError::Table)?;
                        Ok::<_, ReplicaError>((hash, view.revision().index))
                    })
                };
                tokio::task::spawn_blocking(read).await.ok().transpose()?
            }
        };
        Ok(wire::InspectReply {
            node_id: self.id().0,
            role: status.role.as_str().to_owned(),
            term: status.term,
            leader: status.leader.unwrap_or(0),
            lineage: revision.lineage,
            applied: revision.index,
            committed: status.committed.unwrap_or(0),
            last_log: status.last_log.unwrap_or(0),
            state_hash: hash.map(|(hash, _)| hash.to_vec()).unwrap_or_default().into(),
            state_hash_index: hash.map_or(0, |(_, index)| index),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.uptime().as_secs(),
            voters: status.members.voters.iter().copied().collect(),
            learners: status.members.learners.iter().copied().collect(),
            parent: status.parent.as_ref().map_or(0, |parent| parent.node.0),
            depth: status.parent.as_ref().map_or(0, |parent| parent.depth + 1),
            standby: status.standby.unwrap_or(0),
            children: self.children().into_iter().map(child).collect(),
            relay: self.hub().settings().relay,
            freshness: fresh.as_str().to_owned(),
            fence_reason: fence_reason(&fresh).to_owned(),
            staleness_ms: staleness.map_or(0, |staleness| u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX)),
            staleness_known: staleness.is_some(),
            clock_ms: self.stamps().now_ms(),
            round_trips: round_trips(self.peers().round_trips(status.members.voters.into_iter().map(NodeId))),
            autopilot: self.autopilot_words(),
        })
    }
}

fn fence_reason(state: &FreshState) -> &'static str {
    match state {
        FreshState::Fresh { .. } => "",
        FreshState::Fenced(fence) => fence.reason.as_str(),
    }
}

fn round_trips(measured: BTreeMap<NodeId, Duration>) -> Vec<wire::RoundTrip> {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    measured.into_iter().map(|(node, measured)| wire::RoundTrip { node_id: node.0, micros: micros(measured) }).collect()
}

fn child(child: ChildStatus) -> wire::Child {
    wire::Child { node_id: child.node.0, following: child.following, next: child.next }
}

fn caller<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let peer = request.extensions().get::<PeerIdentity>();
    peer.map(|peer| NodeId(peer.node_id)).ok_or_else(|| Status::unauthenticated("this call needs a node's certificate"))
}

fn fixed<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], Status> {
    bytes.try_into().map_err(|_| Status::invalid_argument(format!("{field} must have {N} bytes")))
}

fn unauthenticated(error: impl std::fmt::Display) -> Status {
    Status::unauthenticated(error.to_string())
}

fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}
