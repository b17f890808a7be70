//! A learner of Raft, reduced to the protocol: it takes the entries and says that it has them, at once, and keeps nothing.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use ncore_proto::raft::v1::{
    self as wire,
    append_reply::Outcome,
    raft_server::{Raft, RaftServer},
};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::machine::Machine;

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The largest message of a stream, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// Answers the leader until the process ends.
pub(crate) fn serve(machine: Machine) {
    let service = RaftServer::new(Learner).max_decoding_message_size(MAX_MESSAGE);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(machine.incoming()));
}

struct Learner;

#[tonic::async_trait]
impl Raft for Learner {
    type AppendStream = Replies<wire::AppendReply>;
    type OfferSnapshotStream = Replies<wire::SnapshotProgress>;
    type FetchSnapshotStream = Replies<wire::FetchChunk>;

    async fn append(&self, request: Request<Streaming<wire::AppendRequest>>) -> Result<Response<Self::AppendStream>, Status> {
        let replies = request.into_inner().map(|request| {
            let request = request?;
            let last = request.entries.last().and_then(|entry| entry.id).or(request.previous);
            Ok(wire::AppendReply { outcome: Some(Outcome::Matched(wire::Matched { last })) })
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn vote(&self, _: Request<wire::VoteRequest>) -> Result<Response<wire::VoteReply>, Status> {
        Err(no())
    }

    async fn pre_vote(&self, _: Request<wire::VoteRequest>) -> Result<Response<wire::VoteReply>, Status> {
        Err(no())
    }

    async fn transfer_leader(&self, _: Request<wire::TransferLeaderRequest>) -> Result<Response<wire::TransferLeaderReply>, Status> {
        Err(no())
    }

    async fn offer_snapshot(&self, _: Request<wire::SnapshotOffer>) -> Result<Response<Self::OfferSnapshotStream>, Status> {
        Err(no())
    }

    async fn fetch_snapshot(&self, _: Request<wire::FetchRequest>) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        Err(no())
    }

    async fn describe_snapshot(&self, _: Request<wire::DescribeRequest>) -> Result<Response<wire::Snapshot>, Status> {
        Err(no())
    }

    async fn read_index(&self, _: Request<wire::ReadIndexRequest>) -> Result<Response<wire::ReadIndexReply>, Status> {
        Err(no())
    }

    async fn touch(&self, _: Request<wire::TouchRequest>) -> Result<Response<wire::TouchReply>, Status> {
        Ok(Response::new(wire::TouchReply {}))
    }
}

fn no() -> Status {
    Status::unimplemented("a learner of the benchmark takes entries and nothing else")
}
