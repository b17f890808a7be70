//! The figures of a node between nodes: a service that gives this node's, and the way to those of others.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use ncore_console::{EVENTS_TOLD, Member, NodeEvent, NodeNow, Nodes, Unheard};
use ncore_control::{Control, ControlPlane, Peers};
use ncore_freshness::FreshState;
use ncore_model::{NodeId, NodeState, Query};
use ncore_proto::figures::v1::{
    NowReply, NowRequest,
    figures_client::FiguresClient,
    figures_server::{Figures, FiguresServer},
};
use ncore_telemetry::{Event, Events, History};
use tonic::{Code, Request, Response, Status};

mod wire;

/// The most bytes of an answer: some times what one has.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What this node says of itself.
pub(super) struct OwnFigures {
    pub(super) control: Arc<Control>,
    pub(super) history: Arc<History>,
    pub(super) events: Arc<Events>,
}

impl OwnFigures {
    fn now(&self) -> NodeNow {
        let fence = match self.control.fresh_state() {
            FreshState::Fresh { .. } => None,
            FreshState::Fenced(fence) => Some(fence.reason.as_str().to_owned()),
        };
        let event = |event: Event| NodeEvent {
            at_ms: event.at_ms,
            level: event.kind.level().as_str().to_owned(),
            kind: event.kind.as_str().to_owned(),
            about: event.about,
        };
        NodeNow {
            role: self.control.status().role.as_str().to_owned(),
            applied: self.control.replica().revision().index,
            fence,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.control.uptime().as_secs(),
            summary: self.history.summary(),
            events: self.events.newest(EVENTS_TOLD).into_iter().map(event).collect(),
        }
    }
}

/// Gives the figures of this node to other nodes, as soon as it has some. Who may call is checked by the layer that checks the
/// certificates of the cluster port.
pub(super) struct FigureService(Arc<OnceLock<OwnFigures>>);

impl FigureService {
    pub(super) fn new(own: Arc<OnceLock<OwnFigures>>) -> FiguresServer<Self> {
        FiguresServer::new(Self(own))
    }
}

#[tonic::async_trait]
impl Figures for FigureService {
    async fn now(&self, _: Request<NowRequest>) -> Result<Response<NowReply>, Status> {
        let own = self.0.get().ok_or_else(|| Status::unavailable("the node has just begun to start"))?;
        Ok(Response::new(wire::reply_of(own.now())))
    }
}

/// All nodes, for the console.
pub(super) struct AllNodes {
    pub(super) own: Arc<OnceLock<OwnFigures>>,
    pub(super) peers: Arc<Peers>,
    pub(super) control: Arc<Control>,
}

impl Nodes for AllNodes {
    fn members(&self) -> Result<Vec<Member>, ncore_console::BoxError> {
        let replica = self.control.replica();
        let relays = replica.relays()?;
        let voters = self.control.status().members.voters;
        let member = |node: ncore_model::Node| Member {
            id: node.id.0,
            is_voter: voters.contains(&node.id.0),
            is_relay: relays.contains(&node.id),
            is_draining: node.state == NodeState::Draining,
            name: node.name,
            region: node.region,
            url: node.http_address,
            software: node.software,
        };
        Ok(replica.members()?.into_iter().map(member).collect())
    }

    fn ask(&self, node: u64) -> BoxFuture<'static, Result<NodeNow, Unheard>> {
        if node == self.control.id().0 {
            let own = self.own.get().map(OwnFigures::now);
            return Box::pin(async move { own.ok_or_else(|| Unheard::Away("the node has just begun to start".into())) });
        }
        let channel = self.peers.channel(NodeId(node));
        Box::pin(async move {
            let channel = channel.map_err(|error| Unheard::Away(error.into()))?;
            let mut client = FiguresClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            match client.now(NowRequest {}).await {
                Ok(reply) => Ok(wire::of_reply(reply.into_inner())),
                Err(status) if status.code() == Code::Unimplemented => Err(Unheard::Older),
                Err(status) => Err(Unheard::Away(status.into())),
            }
        })
    }
}
