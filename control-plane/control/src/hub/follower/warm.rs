//! A second stream that stands ready: connected and welcomed, without entries, so that losing the first costs one message.

use std::sync::Arc;

use futures_util::future::pending;
use ncore_model::NodeId;
use ncore_proto::hub::v1::{Hello, down::Message as Down};
use tokio::task::JoinHandle;

use crate::{
    hub::{
        leadership::Leadership,
        link::{Link, LinkError},
        parents::Candidate,
    },
    peers::Peers,
};

/// At most one stream, or an attempt at one.
#[derive(Default)]
pub(super) enum Warm {
    #[default]
    Cold,
    Opening(NodeId, Opening),
    Open(Box<Link>),
}

/// An attempt, given up when it is dropped.
pub(super) struct Opening(JoinHandle<Result<Link, LinkError>>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Warm {
    /// The hub at the other end, if there is a stream.
    pub(super) fn hub(&self) -> Option<NodeId> {
        match self {
            Self::Open(link) => Some(link.hub.node),
            Self::Cold | Self::Opening(..) => None,
        }
    }

    /// Whether the hub said that it could feed this node.
    pub(super) fn has_place(&self) -> bool {
        matches!(self, Self::Open(link) if link.welcome.places > 0)
    }

    /// Sees to it that the stream is one to `hub`.
    pub(super) fn aim(&mut self, hub: Option<Candidate>, peers: &Arc<Peers>, hello: Hello) {
        let aimed = match self {
            Self::Cold => None,
            Self::Opening(node, _) => Some(*node),
            Self::Open(link) => Some(link.hub.node),
        };
        if aimed == hub.as_ref().map(|hub| hub.node) {
            return;
        }
        *self = match hub {
            None => Self::Cold,
            Some(hub) => {
                let (node, peers) = (hub.node, Arc::clone(peers));
                Self::Opening(node, Opening(tokio::spawn(async move { Link::open(&peers, hub, hello).await })))
            }
        };
    }

    /// The stream, if it is one to a hub that may be followed and can feed this node.
    pub(super) fn take(&mut self, candidates: &[Candidate]) -> Option<Link> {
        let fits = self.has_place() && candidates.iter().any(|hub| Some(hub.node) == self.hub());
        match std::mem::take(self) {
            Self::Open(link) if fits => Some(*link),
            _ => None,
        }
    }

    /// Works on the stream: waits for it to be opened, hears who leads, and notices its end. Cancel safe; to be called again and again.
    pub(super) async fn tend(&mut self, leadership: &Leadership) {
        match self {
            Self::Cold => pending().await,
            Self::Opening(_, opening) => {
                let opened = (&mut opening.0).await;
                *self = match opened {
                    Ok(Ok(link)) => Self::Open(Box::new(link)),
                    Ok(Err(_)) | Err(_) => Self::Cold,
                };
            }
            Self::Open(link) => match link.next().await {
                // It is said once, and the stream may become the one that is followed. It may also be that this hub knows and the other
                // is cut off from whoever leads now.
                Ok(Down::Leader(leader)) => leadership.learn((&leader).into()),
                // Whatever else a hub says to those that it does not feed is not news to this node.
                Ok(_) => {}
                Err(_) => *self = Self::Cold,
            },
        }
    }
}
