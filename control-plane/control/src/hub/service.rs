//! The stream of children, on the side of the hub: who is taken in.

use std::sync::Arc;

use ncore_model::{NodeId, NodeState};
use ncore_proto::hub::v1::{
    self as wire,
    down::Message as Down,
    hub_server::{Hub as HubRpc, HubServer},
    up::Message as Up,
};
use ncore_raft::PeerIdentity;
use tokio::{
    sync::mpsc,
    time::{Duration, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Hub, MAX_MESSAGE, session::Session};
use crate::protocol;

/// How long a child may take to say hello.
const HELLO: Duration = Duration::from_secs(5);
/// Messages that may wait for one child. A frame has some megabytes at most.
const QUEUE: usize = 8;

/// The service `Hub`.
#[derive(Clone)]
pub(crate) struct HubService {
    hub: Arc<Hub>,
}

impl HubService {
    pub(crate) fn server(hub: Arc<Hub>) -> HubServer<Self> {
        HubServer::new(Self { hub }).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
    }
}

#[tonic::async_trait]
impl HubRpc for HubService {
    type SyncStream = ReceiverStream<Result<wire::Down, Status>>;

    async fn sync(&self, request: Request<Streaming<wire::Up>>) -> Result<Response<Self::SyncStream>, Status> {
        let peer = request.extensions().get::<PeerIdentity>().copied();
        let peer = peer.ok_or_else(|| Status::unauthenticated("this call needs a node's certificate"))?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (hub, up) = (Arc::clone(&self.hub), request.into_inner());
        tokio::spawn(async move {
            let down = sender.clone();
            if let Err(status) = attend(hub, NodeId(peer.node_id), up, sender).await {
                // The child may be gone, or not listening.
                let _ = down.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

async fn attend(
    hub: Arc<Hub>,
    peer: NodeId,
    mut up: Streaming<wire::Up>,
    down: mpsc::Sender<Result<wire::Down, Status>>,
) -> Result<(), Status> {
    let first = timeout(HELLO, up.message()).await.map_err(|_| Status::deadline_exceeded("no hello came"))??;
    let Some(wire::Up { message: Some(Up::Hello(hello)) }) = first else {
        return Err(Status::invalid_argument("a stream begins with a hello"));
    };
    if NodeId(hello.node_id) != peer || hello.cluster_id != hub.cluster_id.as_slice() {
        return Err(Status::permission_denied("the hello is not that of this node of this cluster"));
    }
    let spoken = protocol::common(hello.protocol_min, hello.protocol_max);
    let spoken = spoken.map_err(|error| Status::failed_precondition(error.to_string()))?;
    match welcome(&hub, &hello, spoken) {
        Ok(welcome) => {
            let Ok(place) = hub.children.admit(peer) else {
                return send_away(&hub, &hello, "this hub has no place", &down);
            };
            // The queue is empty: there is a place.
            let _ = down.try_send(Ok(wire::Down { message: Some(Down::Welcome(welcome)) }));
            Session::new(hub, hello, place, down).run(up).await;
            Ok(())
        }
        Err(reason) => send_away(&hub, &hello, reason, &down),
    }
}

/// The welcome of a child, or why it is not welcome.
fn welcome(hub: &Hub, hello: &wire::Hello, protocol: u32) -> Result<wire::Welcome, &'static str> {
    let depth = hub.depth().ok_or("this node passes nothing on")?;
    if hello.relay && depth > 0 {
        return Err("a relay follows voters only");
    }
    if hub.stop.is_cancelled() {
        return Err("this node is stopping");
    }
    if hello.freshness_bound_ms > u64::try_from(hub.pulse.settings().bound.as_millis()).unwrap_or(u64::MAX) {
        tracing::warn!(child = hello.node_id, "a child has a greater cluster.freshness_bound than this node, and is not taken");
        return Err("this node's cluster.freshness_bound is less than that of the child");
    }
    if !hello.voter && hub.state_of(hub.own) == Some(NodeState::Draining) {
        return Err("this node is draining");
    }
    Ok(wire::Welcome {
        hub_id: hub.own.0,
        protocol,
        lineage: hub.replica.revision().lineage,
        next: hub.ring.next(),
        depth,
        places: u32::try_from(hub.children.room()).unwrap_or(u32::MAX),
    })
}

fn send_away(hub: &Hub, hello: &wire::Hello, reason: &str, down: &mpsc::Sender<Result<wire::Down, Status>>) -> Result<(), Status> {
    let others = hub.others(NodeId(hello.node_id), &hello.region, hello.relay);
    let away = wire::GoAway { reason: reason.to_owned(), others };
    // The child may be gone already.
    let _ = down.try_send(Ok(wire::Down { message: Some(Down::GoAway(away)) }));
    Ok(())
}
