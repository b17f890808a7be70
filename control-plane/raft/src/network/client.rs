//! The sending side: openraft's network, one [`PeerClient`] per peer and purpose.

use std::{error::Error, future::Future, sync::Arc, time::Duration};

use futures_util::{
    Stream, StreamExt,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use ncore_proto::raft::v1::{self as pb, raft_client::RaftClient};
use openraft::{
    OptionalSend, RPCTypes, RaftNetworkFactory,
    alias::SnapshotOf,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption},
    raft::{
        AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
};
use tokio::time;
use tonic::{Code, Status, transport::Channel};

use super::{Lane, append, peers::Peers};
use crate::{
    convert,
    log::LogStore,
    snapshot::{SnapshotData, StoredSnapshot},
    types::{Node, RpcError, TypeConfig, Vote},
};

/// Makes a [`PeerClient`] for each of openraft's purposes.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
    pub(crate) log: LogStore,
}

/// Talks to one peer over one lane.
pub(crate) struct PeerClient {
    peers: Arc<Peers>,
    log: LogStore,
    target: u64,
    address: String,
    lane: Lane,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, node: &Node) -> PeerClient {
        self.client(target, node, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Node) -> PeerClient {
        self.client(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Node) -> PeerClient {
        self.client(target, node, Lane::Bulk)
    }
}

impl Network {
    pub(super) fn client(&self, target: u64, node: &Node, lane: Lane) -> PeerClient {
        PeerClient { peers: Arc::clone(&self.peers), log: self.log.clone(), target, address: node.addr.clone(), lane }
    }
}

impl PeerClient {
    /// Connects within `limit`, or finds that the peer is out of reach.
    async fn connect(&self, lane: Lane, limit: Duration, action: RPCTypes) -> Result<RaftClient<Channel>, RpcError> {
        match time::timeout(limit, self.peers.client(self.target, &self.address, lane)).await {
            Err(_) => Err(self.timed_out(action, limit)),
            Ok(Err(error)) => Err(RPCError::Unreachable(Unreachable::new(&error))),
            Ok(Ok(client)) => Ok(client),
        }
    }

    /// One request and its answer within `limit`.
    pub(super) async fn call<T, F>(
        &self,
        lane: Lane,
        limit: Duration,
        action: RPCTypes,
        call: impl FnOnce(RaftClient<Channel>) -> F,
    ) -> Result<T, RpcError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let attempt = self.peers.reach.attempt(self.target);
        let exchange = async {
            let client = self.connect(lane, limit, action).await?;
            let answer = call(client).await.map_err(|status| self.failed(lane, &status))?;
            Ok(answer.into_inner())
        };
        let outcome = time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(self.timed_out(action, limit)));
        match &outcome {
            Ok(_) => {
                self.peers.pauses.answered(self.target);
                attempt.answered();
            }
            Err(error) => {
                if matches!(error, RPCError::Unreachable(_)) {
                    self.peers.pauses.refused(self.target);
                }
                attempt.failed(error);
            }
        }
        outcome
    }

    fn failed(&self, lane: Lane, status: &Status) -> RpcError {
        if is_broken(status) {
            self.peers.forget(self.target, &self.address, lane);
        }
        rpc_error(status)
    }

    fn timed_out(&self, action: RPCTypes, timeout: Duration) -> RpcError {
        RPCError::Timeout(Timeout { action, id: self.peers.node_id(), target: self.target, timeout })
    }

    /// What was sent was not answered in time. A connection that is dead without knowing it would be found out later, by its
    /// keep-alive; a new one costs little.
    fn fell_silent(&self, limit: Duration) -> RpcError {
        self.peers.forget(self.target, &self.address, self.lane);
        self.timed_out(RPCTypes::AppendEntries, limit)
    }

    fn note(&self, error: Option<&RpcError>) {
        match error {
            None => self.peers.reach.answered(self.target),
            Some(error) => self.peers.reach.failed(self.target, error),
        }
    }

    /// `request`, or the one that continues where the peer's log ends, if the peer has said so and this log agrees with it.
    ///
    /// The answer then goes beyond what openraft asked for. It takes that as it is (in version 0.10.0-alpha.37), but a debug build of it
    /// asserts otherwise.
    async fn continued(&self, request: AppendEntriesRequest<TypeConfig>) -> AppendEntriesRequest<TypeConfig> {
        if cfg!(debug_assertions) || self.lane != Lane::Log || request.entries.is_empty() {
            return request;
        }
        let Some(end) = self.peers.granted.take(self.target, &request.vote).filter(|end| Some(end) > request.prev_log_id.as_ref()) else {
            return request;
        };
        // An entry that cannot be read was purged, or stops this node by itself.
        let Ok(mut entries) = self.log.read_batch(end.index, u64::MAX).await else { return request };
        if entries.first().is_none_or(|entry| entry.log_id != end) {
            return request;
        }
        entries.remove(0);
        tracing::debug!(target = self.target, index = end.index, "the peer's log is known from its vote");
        AppendEntriesRequest { prev_log_id: Some(end), entries, ..request }
    }

    fn vote_request(&self, request: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
        pb::VoteRequest {
            route: Some(self.peers.route_to(self.target)),
            vote: Some(convert::vote_to(&request.vote)),
            last_log: request.last_log_id.as_ref().map(convert::log_id_to),
            leadership_transfer: request.leadership_transfer,
        }
    }

    /// Offers a snapshot and follows the receiver's progress to the end. The time it takes is not bounded, the time
    /// without progress is.
    async fn offer(&self, vote: &Vote, stored: &StoredSnapshot, action: RPCTypes) -> Result<SnapshotResponse<TypeConfig>, RpcError> {
        let idle = self.peers.timeouts.snapshot_idle;
        let offer = pb::SnapshotOffer {
            route: Some(self.peers.route_to(self.target)),
            vote: Some(convert::vote_to(vote)),
            snapshot: Some(stored.description().to_proto()),
            source: Some(self.peers.own_member()),
        };
        let mut progress = self.call(Lane::Control, idle, action, |mut client| async move { client.offer_snapshot(offer).await }).await?;
        loop {
            let message = time::timeout(idle, progress.message()).await.map_err(|_| self.timed_out(action, idle))?;
            match message.map_err(|status| self.failed(Lane::Control, &status))?.map(|progress| progress.state) {
                None => return Err(RPCError::Network(NetworkError::from_string("the receiver ended without an outcome"))),
                Some(Some(pb::snapshot_progress::State::Finished(finished))) => {
                    let vote = finished.vote.ok_or_else(malformed)?;
                    return Ok(SnapshotResponse::new(convert::vote_from(vote)));
                }
                Some(state) => tracing::trace!(target = self.target, ?state, "snapshot on its way"),
            }
        }
    }
}

impl NetBackoff<TypeConfig> for PeerClient {
    /// The pauses are the ones of the configuration.
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetStreamAppend<TypeConfig> for PeerClient {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            // openraft pauses after a failure, and it does so inside this stream, before it gives a request out. So there is no
            // dialling without a request: it would fail before anybody asked for one, and be tried again without a pause.
            let Some(first) = input.next().await else { return Ok(stream::empty().boxed()) };
            if self.lane == Lane::Control && !self.peers.pauses.are_over(self.target) {
                return Err(RPCError::Unreachable(Unreachable::from_string("the peer took no connection a moment ago")));
            }
            let first = self.continued(first).await;
            let input = stream::once(future::ready(first)).chain(input);
            let limit = self.peers.timeouts.append;
            let (requests, outstanding) = append::requests(input, self.peers.route_to(self.target));
            let answers =
                self.call(self.lane, limit, RPCTypes::AppendEntries, |mut client| async move { client.append(requests).await }).await?;
            let this = &*self;
            let failed = move |status: &Status| this.failed(this.lane, status);
            let timed_out = move || this.fell_silent(limit);
            let replies = append::replies(answers, outstanding, limit, failed, timed_out);
            Ok(replies.inspect(move |reply| this.note(reply.as_ref().err())).boxed())
        })
    }
}

impl NetVote<TypeConfig> for PeerClient {
    async fn vote(&mut self, request: VoteRequest<TypeConfig>, option: RPCOption) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let message = self.vote_request(&request);
        let limit = option.soft_ttl();
        let reply = self.call(Lane::Control, limit, RPCTypes::Vote, |mut client| async move { client.vote(message).await }).await?;
        let response = vote_response(reply)?;
        if response.vote_granted && response.vote.leader_id == request.vote.leader_id {
            self.peers.granted.note(self.target, &request.vote, response.last_log_id);
        }
        Ok(response)
    }

    async fn pre_vote(&mut self, request: VoteRequest<TypeConfig>, option: RPCOption) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let message = self.vote_request(&request);
        let limit = option.soft_ttl();
        let reply = self.call(Lane::Control, limit, RPCTypes::Vote, |mut client| async move { client.pre_vote(message).await }).await?;
        vote_response(reply)
    }
}

impl NetSnapshot<TypeConfig> for PeerClient {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let SnapshotData::Stored(stored) = snapshot.snapshot else {
            return Err(StreamingError::Unreachable(Unreachable::from_string("only a stored snapshot can be sent")));
        };
        tokio::select! {
            outcome = self.offer(&vote, &stored, RPCTypes::InstallSnapshot) => outcome.map_err(StreamingError::from),
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }
}

impl NetTransferLeader<TypeConfig> for PeerClient {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let message = pb::TransferLeaderRequest {
            route: Some(self.peers.route_to(self.target)),
            from_leader: Some(convert::vote_to(request.from_leader())),
            to_node: *request.to_node_id(),
            last_log: request.last_log_id().map(convert::log_id_to),
        };
        let limit = option.soft_ttl();
        let call = |mut client: RaftClient<Channel>| async move { client.transfer_leader(message).await };
        let reply = self.call(Lane::Control, limit, RPCTypes::TransferLeader, call).await?;
        Ok(match reply.outcome.ok_or_else(malformed)? {
            pb::transfer_leader_reply::Outcome::Accepted(_) => Ok(()),
            pb::transfer_leader_reply::Outcome::VoteChanged(changed) => Err(TransferLeaderError::VoteChanged {
                expected: convert::vote_from(changed.expected.ok_or_else(malformed)?),
                actual: convert::vote_from(changed.actual.ok_or_else(malformed)?),
            }),
            pb::transfer_leader_reply::Outcome::LogNotFlushed(behind) => Err(TransferLeaderError::LogNotFlushed {
                expected: behind.expected.map(convert::log_id_from),
                actual: behind.actual.map(convert::log_id_from),
            }),
        })
    }
}

fn vote_response(reply: pb::VoteReply) -> Result<VoteResponse<TypeConfig>, RpcError> {
    let vote = convert::vote_from(reply.vote.ok_or_else(malformed)?);
    Ok(VoteResponse::new(vote, reply.last_log.map(convert::log_id_from), reply.granted))
}

/// Whether the connection itself is at fault, so that a new one may help.
fn is_broken(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal)
}

/// A failed call as openraft sees it: a refusal or a broken connection calls for a pause, anything else for another try.
pub(super) fn rpc_error(status: &Status) -> RpcError {
    tracing::debug!(code = ?status.code(), message = status.message(), source = ?status.source(), "a peer could not be called");
    match status.code() {
        Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => RPCError::Network(NetworkError::new(status)),
        _ => RPCError::Unreachable(Unreachable::new(status)),
    }
}

pub(super) fn malformed() -> RpcError {
    RPCError::Unreachable(Unreachable::from_string("the peer's answer lacks a field"))
}
