//! A stream to a hub, on the side of the child.

use std::time::Duration;

use futures_util::FutureExt;
use ncore_model::NodeId;
use ncore_proto::hub::v1::{self as wire, down::Message as Down, hub_client::HubClient, up::Message as Up};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming, transport::Channel};

use super::{MAX_MESSAGE, parents::Candidate};
use crate::peers::Peers;

/// How long a hub may take to welcome a child, the connection included.
const WELCOME: Duration = Duration::from_secs(4);
/// Messages that may wait to go up.
const QUEUE: usize = 64;

/// A hub that has welcomed this node.
pub(crate) struct Link {
    /// The hub.
    pub(crate) hub: Candidate,
    /// How it welcomed this node.
    pub(crate) welcome: wire::Welcome,
    up: mpsc::Sender<wire::Up>,
    down: Streaming<wire::Down>,
}

/// Why there is no stream, or none any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// The hub cannot be reached, or its stream broke.
    #[error("{0}")]
    Broken(String),
    /// It sends its children elsewhere.
    #[error("it sends this node away: {reason}")]
    Away {
        /// Why.
        reason: String,
        /// Whom it names, the best first.
        others: Vec<NodeId>,
    },
}

impl Link {
    /// Says hello to a hub and waits for its welcome.
    pub(crate) async fn open(peers: &Peers, hub: Candidate, hello: wire::Hello) -> Result<Self, LinkError> {
        // A connection of its own, so that entries do not wait behind the content of assets.
        let channel = peers.fresh_channel(hub.node, &hub.address).map_err(|error| LinkError::Broken(error.to_string()))?;
        Self::open_over(channel, hub, hello).await
    }

    /// The same, over a connection that is there already.
    pub(crate) async fn open_over(channel: Channel, hub: Candidate, hello: wire::Hello) -> Result<Self, LinkError> {
        match timeout(WELCOME, Self::say_hello(channel, hub, hello)).await {
            Ok(opened) => opened,
            Err(_) => Err(LinkError::Broken("no welcome came in time".to_owned())),
        }
    }

    async fn say_hello(channel: Channel, hub: Candidate, hello: wire::Hello) -> Result<Self, LinkError> {
        let mut client = HubClient::new(channel).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
        let (up, messages) = mpsc::channel(QUEUE);
        // The queue is empty: there is a place.
        let _ = up.try_send(wire::Up { message: Some(Up::Hello(hello)) });
        let mut down = client.sync(ReceiverStream::new(messages)).await.map_err(|status| broken(&status))?.into_inner();
        let first = down.message().await.inspect_err(|status| {
            // It will say the same the next time: somebody has to do something about it.
            if status.code() == Code::FailedPrecondition {
                tracing::warn!(hub = %hub.node, reason = status.message(), "a hub does not take this node");
            }
        });
        match message_of(first)? {
            Some(Down::Welcome(welcome)) => Ok(Self { hub, welcome, up, down }),
            Some(Down::GoAway(away)) => Err(sent_away(away)),
            _ => Err(LinkError::Broken("it does not begin with a welcome".to_owned())),
        }
    }

    /// For whoever sends pings and acknowledgements.
    pub(crate) fn sender(&self) -> mpsc::Sender<wire::Up> {
        self.up.clone()
    }

    /// Sends a message up. It is dropped if too many wait already: the hub hears nothing at all then, and will be left.
    pub(crate) fn send(&self, message: Up) {
        let _ = self.up.try_send(wire::Up { message: Some(message) });
    }

    /// The next message that this version understands. Cancel safe.
    ///
    /// # Errors
    /// [`LinkError`] when there is none any more.
    pub(crate) async fn next(&mut self) -> Result<Down, LinkError> {
        loop {
            match next(&mut self.down).await? {
                Some(Down::GoAway(away)) => return Err(sent_away(away)),
                Some(message) => return Ok(message),
                None => {}
            }
        }
    }

    /// The next message if it is here already.
    pub(crate) fn next_now(&mut self) -> Option<Result<Down, LinkError>> {
        self.next().now_or_never()
    }
}

async fn next(down: &mut Streaming<wire::Down>) -> Result<Option<Down>, LinkError> {
    message_of(down.message().await)
}

fn message_of(received: Result<Option<wire::Down>, tonic::Status>) -> Result<Option<Down>, LinkError> {
    match received {
        Ok(Some(wire::Down { message })) => Ok(message),
        Ok(None) => Err(LinkError::Broken("it ended the stream".to_owned())),
        Err(status) => Err(broken(&status)),
    }
}

fn broken(status: &tonic::Status) -> LinkError {
    LinkError::Broken(status.message().to_owned())
}

fn sent_away(away: wire::GoAway) -> LinkError {
    LinkError::Away { reason: away.reason, others: away.others.into_iter().map(NodeId).collect() }
}
