//! The receiving side: what other nodes ask of this one.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
};

use futures_util::{Stream, StreamExt, stream};
use ncore_proto::raft::v1::{self as pb, raft_server};
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use tokio::time::{self, Duration, Instant};
use tonic::{Request, Response, Status, Streaming};

use super::PeerIdentity;
use crate::{
    convert,
    error::ReadError,
    node::RaftNode,
    receive::{self, Offer},
    record::RecordError,
    snapshot,
    types::{Raft, TypeConfig, Vote},
};

/// Serves a node's Raft traffic. Made by [`crate::service`].
#[derive(Clone)]
pub struct RaftService {
    slot: Arc<OnceLock<RaftNode>>,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl RaftService {
    pub(crate) fn new(slot: Arc<OnceLock<RaftNode>>) -> Self {
        Self { slot }
    }

    fn node(&self) -> Result<&RaftNode, Status> {
        self.slot.get().ok_or_else(|| Status::unavailable("this node takes no part in Raft"))
    }

    fn raft(&self) -> Result<&Raft, Status> {
        self.node().map(RaftNode::raft)
    }

    /// The message, if its sender is who it claims to be, and speaks for itself if it speaks for anybody.
    fn admit<T: Routed>(&self, peer: PeerIdentity, message: T) -> Result<T, Status> {
        let from = self.node()?.peers().admit(message.route(), peer).map_err(|status| *status)?;
        match message.speaks_for() {
            Some(node) if node != from => Err(Status::permission_denied("the vote is not the sender's own")),
            _ => Ok(message),
        }
    }

    fn open<T: Routed>(&self, request: Request<T>) -> Result<T, Status> {
        let peer = identity(&request)?;
        self.admit(peer, request.into_inner())
    }
}

/// A message with a route. Most carry the vote of the candidate or leader that sends them.
trait Routed {
    fn route(&self) -> Option<&pb::Route>;
    fn speaks_for(&self) -> Option<u64>;
}

macro_rules! routed {
    ($($message:ident: $vote:expr;)*) => {$(
        impl Routed for pb::$message {
            fn route(&self) -> Option<&pb::Route> {
                self.route.as_ref()
            }

            fn speaks_for(&self) -> Option<u64> {
                let vote: fn(&Self) -> Option<&pb::Vote> = $vote;
                vote(self).map(|vote| vote.node)
            }
        }
    )*};
}

routed! {
    AppendRequest: |message| message.vote.as_ref();
    VoteRequest: |message| message.vote.as_ref();
    TransferLeaderRequest: |message| message.from_leader.as_ref();
    SnapshotOffer: |message| message.vote.as_ref();
    FetchRequest: |_| None;
    DescribeRequest: |_| None;
    ReadIndexRequest: |_| None;
    TouchRequest: |_| None;
}

#[tonic::async_trait]
impl raft_server::Raft for RaftService {
    type AppendStream = Replies<pb::AppendReply>;
    type OfferSnapshotStream = Replies<pb::SnapshotProgress>;
    type FetchSnapshotStream = Replies<pb::FetchChunk>;

    async fn append(&self, request: Request<Streaming<pb::AppendRequest>>) -> Result<Response<Self::AppendStream>, Status> {
        let peer = identity(&request)?;
        if self.slot.get().is_none() {
            // The leader tries again at once. This node may be about to take part, and if not, the leader is to be patient.
            time::sleep(NOT_YET).await;
        }
        // A request that cannot be admitted or read ends the input; its status is the last thing the sender hears.
        let refusal = Arc::new(Mutex::new(None));
        let (service, noted) = (self.clone(), Arc::clone(&refusal));
        let entries = stream::unfold(request.into_inner(), move |mut messages| {
            let (service, noted) = (service.clone(), Arc::clone(&noted));
            async move {
                let message = messages.message().await;
                let entries = message.and_then(|message| {
                    let admitted = message.map(|message| service.admit(peer, message)).transpose()?;
                    admitted.map(append_request).transpose().map_err(|error| malformed(&error))
                });
                match entries {
                    Ok(entries) => entries.map(|entries| (entries, messages)),
                    Err(status) => {
                        *noted.lock() = Some(status);
                        None
                    }
                }
            }
        });
        let replies = self.raft()?.stream_append(entries).map(|result| result.as_ref().map(append_reply).map_err(|_| stopped()));
        let last_word = stream::once(async move { refusal.lock().take() }).filter_map(|status| async move { status.map(Err) });
        Ok(Response::new(Box::pin(replies.chain(last_word))))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteReply>, Status> {
        let request = vote_request(&self.open(request)?)?;
        let response = self.raft()?.vote(request).await.map_err(|_| stopped())?;
        Ok(Response::new(vote_reply(&response)))
    }

    async fn pre_vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteReply>, Status> {
        let request = vote_request(&self.open(request)?)?;
        let response = self.raft()?.pre_vote(request).await.map_err(|_| stopped())?;
        Ok(Response::new(vote_reply(&response)))
    }

    async fn transfer_leader(&self, request: Request<pb::TransferLeaderRequest>) -> Result<Response<pb::TransferLeaderReply>, Status> {
        let message = self.open(request)?;
        let from_leader = required_vote(message.from_leader)?;
        let request = TransferLeaderRequest::new(from_leader, message.to_node, message.last_log.map(convert::log_id_from));
        let response = self.raft()?.handle_transfer_leader(request).await.map_err(|_| stopped())?;
        Ok(Response::new(transfer_reply(&response)))
    }

    async fn offer_snapshot(&self, request: Request<pb::SnapshotOffer>) -> Result<Response<Self::OfferSnapshotStream>, Status> {
        let message = self.open(request)?;
        let offer = Offer::from_proto(message).map_err(|error| malformed(&error))?;
        Ok(Response::new(Box::pin(receive::accept(self.node()?.clone(), offer))))
    }

    async fn fetch_snapshot(&self, request: Request<pb::FetchRequest>) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let message = self.open(request)?;
        let snapshots = Arc::clone(self.node()?.snapshots());
        let stored = snapshots.by_reference(&message.reference).ok_or_else(|| Status::not_found("no such snapshot here"))?;
        let file = stored.file(&message.file).cloned().ok_or_else(|| Status::not_found("no such file in the snapshot"))?;
        let chunks = snapshot::file_chunks(snapshots, stored, &file, message.offset).await.map_err(|error| unreadable(&error))?;
        Ok(Response::new(Box::pin(chunks.map(|chunk| chunk.map_err(|error| unreadable(&error))))))
    }

    async fn describe_snapshot(&self, request: Request<pb::DescribeRequest>) -> Result<Response<pb::Snapshot>, Status> {
        let message = self.open(request)?;
        let stored = self.node()?.snapshot_reaching(message.at_least, Instant::now() + DESCRIBE).await;
        let stored = stored.ok_or_else(|| Status::unavailable("there is no such snapshot yet"))?;
        Ok(Response::new(stored.description().to_proto()))
    }

    async fn read_index(&self, request: Request<pb::ReadIndexRequest>) -> Result<Response<pb::ReadIndexReply>, Status> {
        let message = self.open(request)?;
        let deadline = Instant::now() + Duration::from_millis(message.deadline_ms.into());
        let outcome = match self.node()?.read_index(deadline).await {
            Ok(index) => pb::read_index_reply::Outcome::Index(index),
            Err(ReadError::NotLeader { leader }) => pb::read_index_reply::Outcome::NotLeader(pb::read_index_reply::NotLeader { leader }),
            Err(ReadError::Unavailable) => pb::read_index_reply::Outcome::Unavailable(pb::read_index_reply::Unavailable {}),
            Err(ReadError::Stopped) => return Err(stopped()),
        };
        Ok(Response::new(pb::ReadIndexReply { outcome: Some(outcome) }))
    }

    async fn touch(&self, request: Request<pb::TouchRequest>) -> Result<Response<pb::TouchReply>, Status> {
        self.open(request)?;
        Ok(Response::new(pb::TouchReply {}))
    }
}

/// How long a leader waits for the answer of a node that takes no part yet.
const NOT_YET: Duration = Duration::from_millis(200);
/// How long a caller waits for a snapshot that is being taken.
const DESCRIBE: Duration = Duration::from_secs(30);

fn identity<T>(request: &Request<T>) -> Result<PeerIdentity, Status> {
    request.extensions().get().copied().ok_or_else(|| Status::unauthenticated("the peer has no verified identity"))
}

fn append_request(message: pb::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, RecordError> {
    Ok(AppendEntriesRequest {
        vote: convert::vote_from(message.vote.ok_or(RecordError::Field("vote"))?),
        prev_log_id: message.previous.map(convert::log_id_from),
        entries: message.entries.into_iter().map(convert::entry_from).collect::<Result<_, _>>()?,
        leader_commit: message.committed.map(convert::log_id_from),
    })
}

fn append_reply(result: &StreamAppendResult<TypeConfig>) -> pb::AppendReply {
    let outcome = match result {
        Ok(last) => pb::append_reply::Outcome::Matched(pb::Matched { last: last.as_ref().map(convert::log_id_to) }),
        Err(StreamAppendError::Conflict(at)) => pb::append_reply::Outcome::Conflict(convert::log_id_to(at)),
        Err(StreamAppendError::HigherVote(vote)) => pb::append_reply::Outcome::HigherVote(convert::vote_to(vote)),
    };
    pb::AppendReply { outcome: Some(outcome) }
}

fn vote_request(message: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
    let mut request = VoteRequest::new(required_vote(message.vote)?, message.last_log.map(convert::log_id_from));
    request.leadership_transfer = message.leadership_transfer;
    Ok(request)
}

fn vote_reply(response: &VoteResponse<TypeConfig>) -> pb::VoteReply {
    pb::VoteReply {
        vote: Some(convert::vote_to(&response.vote)),
        granted: response.vote_granted,
        last_log: response.last_log_id.as_ref().map(convert::log_id_to),
    }
}

fn transfer_reply(response: &Result<(), TransferLeaderError<TypeConfig>>) -> pb::TransferLeaderReply {
    use pb::transfer_leader_reply::{Accepted, LogNotFlushed, Outcome, VoteChanged};
    let outcome = match response {
        Ok(()) => Outcome::Accepted(Accepted {}),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            Outcome::VoteChanged(VoteChanged { expected: Some(convert::vote_to(expected)), actual: Some(convert::vote_to(actual)) })
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => Outcome::LogNotFlushed(LogNotFlushed {
            expected: expected.as_ref().map(convert::log_id_to),
            actual: actual.as_ref().map(convert::log_id_to),
        }),
    };
    pb::TransferLeaderReply { outcome: Some(outcome) }
}

fn required_vote(vote: Option<pb::Vote>) -> Result<Vote, Status> {
    vote.map(convert::vote_from).ok_or_else(|| malformed(&RecordError::Field("vote")))
}

fn malformed(error: &RecordError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn unreadable(error: &std::io::Error) -> Status {
    tracing::warn!(%error, "a snapshot file could not be read");
    Status::internal("the file could not be read")
}

fn stopped() -> Status {
    Status::unavailable("the node is stopping")
}
