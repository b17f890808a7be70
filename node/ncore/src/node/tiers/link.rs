//! The way to the other nodes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{future::BoxFuture, stream::try_unfold};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use ncore_control::{BODIES_MAX, Peers};
use ncore_model::{NodeId, NodeState, Query};
use ncore_origin::{ErrorKind, OnInformational};
use ncore_proto::tiers::v1::{AskReply, EndRequest, ask_reply::Part, tiers_client::TiersClient};
use ncore_replica::Replica;
use ncore_serving::{
    ApiBody, BoxError,
    zones::{PassedBy, TierAnswer, TierAsk, TierLink, TierNode},
};
use ncore_store::cached::EntryKey;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tonic::{Code, Status, Streaming};

use super::wire;

/// How long a node may take to take a request: a connection and a round trip, and what it waits for its own state.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);
/// How long it may take until it has the head of an answer, with all that the client of origins may try. That it is still there the connection
/// finds out within seconds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(100);
/// How long it is taken for granted that the nodes are those that they were.
const NODES_FOR: Duration = Duration::from_secs(1);

/// The other nodes, as tiers.
pub(in crate::node) struct OtherTiers {
    own: TierNode,
    peers: Arc<Peers>,
    replica: Arc<Replica>,
    nodes: Mutex<(Option<Instant>, Arc<[TierNode]>)>,
    /// Places on the connection to each node.
    places: Mutex<HashMap<u64, Arc<Semaphore>>>,
}

impl OtherTiers {
    pub(in crate::node) fn new(own: TierNode, peers: Arc<Peers>, replica: Arc<Replica>) -> Self {
        Self { own, peers, replica, nodes: Mutex::new((None, Arc::new([]))), places: Mutex::default() }
    }

    fn place(&self, node: u64) -> Result<OwnedSemaphorePermit, PassedBy> {
        let places = Arc::clone(
            self.places.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_insert_with(|| Arc::new(Semaphore::new(BODIES_MAX))),
        );
        places.try_acquire_owned().map_err(|_| PassedBy::Busy)
    }
}

impl TierLink for OtherTiers {
    fn own(&self) -> TierNode {
        self.own.clone()
    }

    fn nodes(&self) -> Arc<[TierNode]> {
        let mut known = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.is_none_or(|read| read.elapsed() >= NODES_FOR) {
            match self.replica.members() {
                Ok(members) => {
                    let active = members.into_iter().filter(|node| node.state == NodeState::Active);
                    known.1 = active.map(|node| TierNode { id: node.id.0, region: node.region.into() }).collect();
                }
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the other nodes cannot be read from the state"),
            }
            known.0 = Some(Instant::now());
        }
        Arc::clone(&known.1)
    }

    fn ask(&self, node: u64, ask: TierAsk) -> BoxFuture<'static, Result<TierAnswer, PassedBy>> {
        let way = self.place(node).and_then(|place| {
            let channel = self.peers.channel_for_bodies(NodeId(node)).map_err(|_| PassedBy::Unreachable)?;
            Ok((place, TiersClient::new(channel).max_decoding_message_size(wire::MESSAGE_BYTES_MAX)))
        });
        Box::pin(async move {
            let (place, mut client) = way?;
            let informational = ask.informational.clone();
            let taken = timeout(TAKEN_WITHIN, client.ask(wire::ask_to(ask))).await.map_err(|_| PassedBy::Late)?;
            let mut replies = taken.map_err(|status| passed_by(&status))?.into_inner();
            let head = timeout(ANSWERED_WITHIN, head(&mut replies, informational)).await.map_err(|_| PassedBy::Late)?;
            match head.map_err(|status| passed_by(&status))? {
                Some(AskReply { part: Some(Part::Head(head)) }) => {
                    let (head, handed) = wire::head_of(head).ok_or(PassedBy::Cut)?;
                    Ok(TierAnswer::Response(Response::from_parts(head, body(replies, place)), handed))
                }
                Some(AskReply { part: Some(Part::Failed(kind)) }) => ErrorKind::named(&kind).map(TierAnswer::Failed).ok_or(PassedBy::Cut),
                _ => Err(PassedBy::Cut),
            }
        })
    }

    fn end(&self, node: u64, keys: Vec<EntryKey>) -> BoxFuture<'static, Result<(), PassedBy>> {
        let channel = self.peers.channel(NodeId(node));
        Box::pin(async move {
            let channel = channel.map_err(|_| PassedBy::Unreachable)?;
            let keys = keys.iter().map(|key| key.as_bytes().to_vec().into()).collect();
            TiersClient::new(channel).end(EndRequest { keys }).await.map(drop).map_err(|status| passed_by(&status))
        })
    }
}

fn passed_by(status: &Status) -> PassedBy {
    match status.code() {
        Code::FailedPrecondition => PassedBy::Behind,
        Code::Aborted => PassedBy::Fenced,
        Code::ResourceExhausted => PassedBy::Busy,
        Code::NotFound => PassedBy::Unknown,
        Code::Cancelled => PassedBy::Cut,
        _ => PassedBy::Unreachable,
    }
}

/// The first reply that is no interim response. Those are told as they come.
async fn head(replies: &mut Streaming<AskReply>, informational: Option<OnInformational>) -> Result<Option<AskReply>, Status> {
    loop {
        match replies.message().await? {
            Some(AskReply { part: Some(Part::Interim(interim)) }) => {
                if let (Some(OnInformational(told)), Some((head, _))) = (&informational, wire::head_of(interim)) {
                    told(head.status, &head.headers);
                }
            }
            reply => return Ok(reply),
        }
    }
}

/// The content of an answer. It holds its place on the connection until it ends.
fn body(replies: Streaming<AskReply>, place: OwnedSemaphorePermit) -> ApiBody {
    let frames = try_unfold((replies, place, false), |(mut replies, place, ended)| async move {
        if ended {
            return Ok(None);
        }
        let part = replies.message().await?.and_then(|reply| reply.part);
        let frame = match part {
            Some(Part::Data(bytes)) => Some((Frame::data(bytes), (replies, place, false))),
            Some(Part::End(trailers)) if trailers.fields.is_empty() => None,
            Some(Part::End(trailers)) => {
                let trailers = wire::fields_of(trailers.fields).ok_or("trailers that are none")?;
                Some((Frame::trailers(trailers), (replies, place, true)))
            }
            _ => return Err(BoxError::from("the content of another node was broken off")),
        };
        Ok(frame)
    });
    StreamBody::new(frames).boxed_unsync()
}
