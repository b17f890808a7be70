//! The other nodes: where they are, how near, and one connection to each.

mod clocks;
mod connector;
mod round_trip;
mod sightings;
mod survey;
mod windows;

pub use connector::ConnectFailed;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use ncore_identity::{ExpectedPeer, IdentityHandle, client_config};
use ncore_model::{Node, NodeId, NodeState, Query, TableError};
use ncore_proto::cluster::v1::{InspectRequest, cluster_client::ClusterClient};
use ncore_replica::Replica;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use clocks::Clocks;
use connector::Connector;
use round_trip::RoundTrips;
use sightings::Sightings;
use survey::Survey;
pub(crate) use windows::Windows;

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that is silent for this long is asked for a sign of life,
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// and given up if none comes within this.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes under way on a stream where many share a connection and each is read as fast as somebody far away reads: one that stands still holds
/// a small part of what the connection may have under way, so that it holds up no other.
const BODY_WINDOW: u32 = 1 << 20;
/// What such a connection may have under way: the windows of [`BODIES_MAX`] streams.
const BODIES_WINDOW: u32 = BODY_WINDOW * 256;
/// How many streams may be open on a connection for bodies without one holding up another.
pub const BODIES_MAX: usize = 256;

/// How far away a node may be whose connection is made but once: the other side of the world.
const FAR: Duration = Duration::from_millis(300);

/// The other nodes.
pub struct Peers {
    own: NodeId,
    own_region: String,
    replica: Arc<Replica>,
    identity: IdentityHandle,
    dial: HashMap<String, String>,
    channels: Mutex<Channels>,
    for_bodies: Mutex<Channels>,
    round_trips: RoundTrips,
    clocks: Clocks,
    sightings: Sightings,
    survey: Survey,
}

/// A connection to each node.
type Channels = HashMap<NodeId, Known>;

/// A connection, and what it was made for.
#[derive(Debug)]
struct Known {
    address: String,
    windows: Windows,
    channel: Channel,
}

/// Why there is no way to a node.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It is not, or no longer, a node of this cluster.
    #[error("node {0} is not of this cluster")]
    Unknown(NodeId),
    /// Its address cannot be dialled.
    #[error("node {node} has the address {address:?}, which is not host:port")]
    Address {
        /// Which node.
        node: NodeId,
        /// The address.
        address: String,
    },
    /// The state could not be read.
    #[error("the state cannot be read")]
    State(#[source] TableError),
}

impl Peers {
    /// The others of node `own`. `dial` says what to dial in place of an advertised address.
    #[must_use]
    pub fn new(own: NodeId, own_region: String, replica: Arc<Replica>, identity: IdentityHandle, dial: HashMap<String, String>) -> Self {
        Self {
            own,
            own_region,
            replica,
            identity,
            dial,
            channels: Mutex::default(),
            for_bodies: Mutex::default(),
            round_trips: RoundTrips::default(),
            clocks: Clocks::default(),
            sightings: Sightings::default(),
            survey: Survey::default(),
        }
    }

    /// The nodes that were not removed, without this one, nearest first: by measured round trip, and where none was measured,
    /// those of the same region first.
    ///
    /// # Errors
    /// [`PeerError::State`].
    pub fn nearest_first(&self) -> Result<Vec<Node>, PeerError> {
        let mut nodes = self.replica.members().map_err(PeerError::State)?;
        nodes.retain(|node| node.id != self.own);
        sort_by_distance(&mut nodes, &self.own_region, |id| self.round_trips.of(id));
        Ok(nodes)
    }

    /// Whether the node answered when it was last asked how near it is.
    #[must_use]
    pub fn is_near(&self, id: NodeId) -> bool {
        self.round_trips.of(id) != u64::MAX
    }

    /// The latest that the node's clock can show at `now`, in Unix milliseconds; `None` if the node did not answer when it was last
    /// asked.
    #[must_use]
    pub(crate) fn clock_ms(&self, id: NodeId, now: Instant) -> Option<u64> {
        self.clocks.latest_ms(id, now)
    }

    /// How long ago the node was last asked and answered; `None` if it did not answer, or was not asked.
    pub(crate) fn silence(&self, id: NodeId, now: Instant) -> Option<Duration> {
        self.sightings.silence(id, now)
    }

    /// The round trips to these nodes, as far as they were measured.
    pub(crate) fn round_trips(&self, to: impl IntoIterator<Item = NodeId>) -> BTreeMap<NodeId, Duration> {
        to.into_iter().filter_map(|node| Some((node, self.round_trips.measured(node)?))).collect()
    }

    /// The round trips to the voters that the node measured, as it said when it was last asked; none if that is too long ago.
    pub(crate) fn measured_by(&self, id: NodeId, now: Instant) -> BTreeMap<NodeId, Duration> {
        self.sightings.round_trips(id, now)
    }

    /// A connection to a node of the state, made when it is first used, and made again when it breaks, or when the node turns out to be
    /// much nearer or farther than it was: what goes on over the former one goes on.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn channel(&self, id: NodeId) -> Result<Channel, PeerError> {
        let node = self.replica.node(id).map_err(PeerError::State)?;
        let node = node.filter(|node| node.state != NodeState::Removed).ok_or(PeerError::Unknown(id))?;
        self.shared_channel(&self.channels, id, &node.cluster_address, self.round_trips.measured(id).map(Windows::over))
    }

    /// A connection to a node of the state for up to [`BODIES_MAX`] streams that are read as slowly as viewers read. It is apart from the one of
    /// [`channel`](Self::channel), so that what the cluster says of itself never waits for them.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn channel_for_bodies(&self, id: NodeId) -> Result<Channel, PeerError> {
        let node = self.replica.node(id).map_err(PeerError::State)?;
        let node = node.filter(|node| node.state != NodeState::Removed).ok_or(PeerError::Unknown(id))?;
        let windows = Windows { stream: BODY_WINDOW, connection: BODIES_WINDOW };
        self.shared_channel(&self.for_bodies, id, &node.cluster_address, Some(windows))
    }

    /// A connection that is not shared. `joined_at` is where the node was when it joined: the state, if it has the node, knows
    /// its present address.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn fresh_channel(&self, id: NodeId, joined_at: &str) -> Result<Channel, PeerError> {
        let node = self.replica.node(id).map_err(PeerError::State)?;
        self.connect(id, node.as_ref().map_or(joined_at, |node| &node.cluster_address))
    }

    /// A connection to a node of the state that is not shared.
    pub(crate) fn private_channel(&self, id: NodeId) -> Result<Channel, PeerError> {
        let node = self.replica.node(id).map_err(PeerError::State)?;
        let node = node.filter(|node| node.state != NodeState::Removed).ok_or(PeerError::Unknown(id))?;
        self.connect(id, &node.cluster_address)
    }

    fn shared_channel(
        &self,
        channels: &Mutex<Channels>,
        id: NodeId,
        address: &str,
        windows: Option<Windows>,
    ) -> Result<Channel, PeerError> {
        let mut channels = channels.lock();
        if let Some(known) = channels.get(&id)
            && known.address == address
            && !windows.is_some_and(|windows| known.windows.gives_way_to(windows))
        {
            return Ok(known.channel.clone());
        }
        // A node that was not measured counts as near: it will be, over this connection, within seconds.
        let windows = windows.unwrap_or_else(|| Windows::over(Duration::ZERO));
        let channel = self.connect_with(id, address, windows)?;
        channels.insert(id, Known { address: address.to_owned(), windows, channel: channel.clone() });
        Ok(channel)
    }

    /// Asks some of the others for a sign of life, and notes how long it took and what they say: those of `close`, those that are
    /// nearest, and some of the rest in turn. What it costs does not grow with the cluster.
    pub async fn measure(&self, close: &BTreeSet<NodeId>) {
        let Ok(nodes) = self.nearest_first() else { return };
        let others: Vec<NodeId> = nodes.into_iter().map(|node| node.id).collect();
        futures_util::future::join_all(self.survey.next(&others, close).into_iter().map(|node| self.ask(node))).await;
    }

    async fn ask(&self, node: NodeId) {
        let Ok(channel) = self.channel(node) else { return };
        let start = Instant::now();
        let mut request = tonic::Request::new(InspectRequest { state_hash: false });
        request.set_timeout(CONNECT_TIMEOUT);
        match ClusterClient::new(channel).inspect(request).await {
            Ok(reply) => {
                let reply = reply.into_inner();
                self.round_trips.note(node, start.elapsed());
                self.clocks.note(node, reply.clock_ms, start);
                self.sightings.note(node, &reply.round_trips, start);
            }
            Err(_) => {
                self.round_trips.forget(node);
                self.clocks.forget(node);
                self.sightings.forget(node);
            }
        }
    }

    fn connect(&self, id: NodeId, address: &str) -> Result<Channel, PeerError> {
        self.connect_with(id, address, Windows::over(FAR))
    }

    fn connect_with(&self, id: NodeId, address: &str, windows: Windows) -> Result<Channel, PeerError> {
        let actual = self.dial.get(address).map_or(address, String::as_str);
        let malformed = || PeerError::Address { node: id, address: address.to_owned() };
        // The scheme is http because TLS is the connector's own business.
        let endpoint = Endpoint::from_shared(format!("http://{actual}")).map_err(|_| malformed())?;
        let config = client_config(&self.identity, ExpectedPeer::Node(id.0));
        Ok(tuned(endpoint, windows).connect_with_connector_lazy(Connector::new(config, ExpectedPeer::Node(id.0))))
    }
}

/// Sorts nodes, the nearest first: by `distance`, then those of `region` first. Each is asked for once: round trips are measured anew
/// meanwhile, and a sort whose keys change under it panics.
fn sort_by_distance(nodes: &mut [Node], region: &str, mut distance: impl FnMut(NodeId) -> u64) {
    nodes.sort_by_cached_key(|node| (distance(node.id), node.region != region, node.id));
}

/// A connection for a machine that has no certificate yet.
///
/// # Errors
/// [`PeerError::Address`], with node 0.
pub(crate) fn joining_channel(
    address: &str,
    dial: &HashMap<String, String>,
    config: Arc<tokio_rustls::rustls::ClientConfig>,
) -> Result<Channel, PeerError> {
    let actual = dial.get(address).map_or(address, String::as_str);
    let malformed = || PeerError::Address { node: NodeId(0), address: address.to_owned() };
    let endpoint = Endpoint::from_shared(format!("http://{actual}")).map_err(|_| malformed())?;
    Ok(tuned(endpoint, Windows::over(FAR)).connect_with_connector_lazy(Connector::new(config, ExpectedPeer::AnyMember)))
}

fn tuned(endpoint: Endpoint, windows: Windows) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ncore_model::{Node, NodeId, NodeState, SchemaRange};
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::sort_by_distance;

    fn node(id: u64) -> Node {
        Node {
            id: NodeId(id),
            name: format!("node-{id}"),
            region: if id.is_multiple_of(2) { "here" } else { "there" }.into(),
            cluster_address: String::new(),
            http_address: String::new(),
            voter: false,
            state: NodeState::Active,
            schema: SchemaRange { min: 1, max: 1 },
            software: String::new(),
            incarnation: 1,
            added_at_ms: 0,
        }
    }

    #[test]
    fn the_nearest_is_first_and_then_those_of_the_region() {
        let mut nodes: Vec<_> = (1..=4).map(node).collect();
        sort_by_distance(&mut nodes, "here", |id| if id == NodeId(3) { 1 } else { u64::MAX });
        assert_eq!(nodes.iter().map(|node| node.id.0).collect::<Vec<_>>(), [3, 2, 4, 1]);
    }

    #[test]
    fn distances_may_change_while_nodes_are_sorted() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut nodes: Vec<_> = (1..=200).map(node).collect();
        for _ in 0..50 {
            let mut asked = BTreeSet::new();
            sort_by_distance(&mut nodes, "here", |id| {
                assert!(asked.insert(id), "{id:?} was asked for before");
                random.random_range(0..5)
            });
            assert_eq!(asked.len(), nodes.len());
        }
    }
}
