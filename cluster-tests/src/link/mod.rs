//! The network between the nodes, and its faults.
//!
//! Node A reaches node B only through a [`Proxy`] of its own for that purpose: the `[dial]` table of A's configuration
//! rewrites B's advertised address to the proxy's. So there is one proxy for each ordered pair of nodes, and what can
//! happen to a pair is governed by three things:
//!
//! ```text
//!            ┌── Flow A→B ──▶          bytes from A to B, whoever dialled: delay, rate, silence, flipped bits
//!     A ═════╡   Door A|B   ╞═════ B   whether connections exist at all (broken and refused, or let through)
//!            ◀── Flow B→A ──┘          bytes from B to A
//! ```
//!
//! Two ways to cut ([`Cut`]): *refused* is what a host without the process does (connections break, new ones are
//! refused at once); *silent* is what a network partition does (nothing passes and nobody is told). Faults stay until
//! they are healed. The proxies run on a thread of their own, so that a busy test does not slow the network.
//!
//! Not here: faults of UDP (the nodes speak TCP only), reordering (TCP hides it), loss of single packets (what the
//! ends see of it is delay).

mod door;
mod flow;
mod proxy;

pub use door::Door;
pub use flow::{Flow, Settings};
pub use proxy::{Proxy, Route};

use crate::seed::Seed;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// All links of a cluster. Nodes are named by their slots.
#[derive(Debug)]
pub struct Links {
    flows: BTreeMap<(usize, usize), Arc<Flow>>,
    /// Keyed by the smaller slot first.
    doors: BTreeMap<(usize, usize), Arc<Door>>,
    proxies: BTreeMap<(usize, usize), Proxy>,
    ends: Vec<SocketAddr>,
    seed: Seed,
    runtime: Option<Runtime>,
}

/// A row of a node's `[dial]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The address that the other node is known by.
    pub advertised: SocketAddr,
    /// The address to dial in its place.
    pub through: SocketAddr,
}

/// What the ends notice of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Connections are reset and new ones refused.
    Refused,
    /// No byte passes; connections stay as they are and new ones get no answer.
    Silent,
}

impl Links {
    /// Opens a link for each ordered pair of `ends`, which are the nodes' addresses in the order of their slots.
    ///
    /// # Errors
    /// When no ports or threads are left.
    pub fn open(ends: &[SocketAddr], seed: Seed) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("links").enable_all().build()?;
        let mut links =
            Self { flows: BTreeMap::new(), doors: BTreeMap::new(), proxies: BTreeMap::new(), ends: ends.to_vec(), seed, runtime: None };
        for (from, to) in pairs(ends.len()) {
            links.flows.insert((from, to), Arc::new(Flow::new(seed.derive(&format!("{from}>{to}")))));
            links.doors.entry(unordered(from, to)).or_default();
        }
        for (from, to) in pairs(ends.len()) {
            let route = Route {
                target: ends[to],
                forth: Arc::clone(links.flow(from, to)),
                back: Arc::clone(links.flow(to, from)),
                door: Arc::clone(links.door(from, to)),
                handshake: true,
            };
            links.proxies.insert((from, to), Proxy::open(runtime.handle(), route)?);
        }
        links.runtime = Some(runtime);
        Ok(links)
    }

    /// How the node in this slot must dial each of the others.
    pub fn dial_table(&self, from: usize) -> impl Iterator<Item = Ends> {
        self.proxies
            .iter()
            .filter(move |((dialler, _), _)| *dialler == from)
            .map(|((_, to), proxy)| Ends { advertised: self.ends[*to], through: proxy.addr() })
    }

    /// Opens a gate in front of any address of this machine, with flows of its own.
    ///
    /// # Errors
    /// When no port is free.
    pub fn gate(&self, target: SocketAddr) -> io::Result<Gate> {
        let route = Route {
            target,
            forth: Arc::new(Flow::new(self.seed.derive(&format!("to {target}")))),
            back: Arc::new(Flow::new(self.seed.derive(&format!("from {target}")))),
            door: Arc::default(),
            handshake: false,
        };
        // The runtime is there until `drop`.
        let runtime = self.runtime.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Gate { proxy: Proxy::open(runtime.handle(), route.clone())?, route })
    }

    /// Cuts two nodes off from each other.
    pub fn cut(&self, a: usize, b: usize, how: Cut) {
        match how {
            Cut::Refused => self.door(a, b).set_open(false),
            Cut::Silent => {
                self.one_way(a, b);
                self.one_way(b, a);
            }
        }
    }

    /// Silences one direction: nothing that `from` sends reaches `to`, while the other direction works.
    pub fn one_way(&self, from: usize, to: usize) {
        self.flow(from, to).adjust(|settings| settings.open = false);
    }

    /// Cuts a node off from all others.
    pub fn isolate(&self, node: usize, how: Cut) {
        self.partition(&[node], &self.others(node), how);
    }

    /// Cuts every node of one side off from every node of the other.
    pub fn partition(&self, one: &[usize], other: &[usize], how: Cut) {
        for a in one {
            for b in other {
                self.cut(*a, *b, how);
            }
        }
    }

    /// Breaks the connections between two nodes once; new ones are let through.
    pub fn reset(&self, a: usize, b: usize) {
        self.door(a, b).slam();
    }

    /// Delays what `from` sends to `to`.
    pub fn delay(&self, from: usize, to: usize, delay: Duration) {
        self.flow(from, to).adjust(|settings| settings.delay = delay);
    }

    /// Gives all pairs this round-trip time.
    pub fn round_trip(&self, time: Duration) {
        for flow in self.flows.values() {
            flow.adjust(|settings| settings.delay = time / 2);
        }
    }

    /// Limits what `from` sends to `to`, in bytes per second for each connection; 0 lifts the limit.
    pub fn limit(&self, from: usize, to: usize, bytes_per_second: u64) {
        self.flow(from, to).adjust(|settings| settings.rate = NonZeroU64::new(bytes_per_second));
    }

    /// Flips one bit about every `bytes` that `from` sends to `to`; 0 stops it.
    pub fn flip(&self, from: usize, to: usize, bytes: u64) {
        self.flow(from, to).adjust(|settings| settings.flip_every = NonZeroU64::new(bytes));
    }

    /// How many bits were flipped on all links so far.
    #[must_use]
    pub fn flips(&self) -> u64 {
        self.flows.values().map(|flow| flow.flips()).sum()
    }

    /// Ends all faults. What silence held back arrives.
    pub fn heal_all(&self) {
        for flow in self.flows.values() {
            flow.adjust(|settings| *settings = Settings::default());
        }
        for door in self.doors.values() {
            door.set_open(true);
        }
    }

    /// Ends the faults between two nodes.
    pub fn heal(&self, a: usize, b: usize) {
        self.flow(a, b).adjust(|settings| *settings = Settings::default());
        self.flow(b, a).adjust(|settings| *settings = Settings::default());
        self.door(a, b).set_open(true);
    }

    /// The bytes that one node sends to another, for what has no name here.
    ///
    /// # Panics
    /// When the two are not different slots of the cluster: a mistake in the test.
    #[must_use]
    pub fn flow(&self, from: usize, to: usize) -> &Arc<Flow> {
        &self.flows[&(from, to)]
    }

    fn door(&self, a: usize, b: usize) -> &Arc<Door> {
        &self.doors[&unordered(a, b)]
    }

    fn others(&self, node: usize) -> Vec<usize> {
        (0..self.ends.len()).filter(|other| *other != node).collect()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for the tasks is forbidden here: this runs inside the test's own runtime.
            runtime.shutdown_background();
        }
    }
}

/// A proxy between clients and one node. While it holds answers back, requests still get through.
#[derive(Debug)]
pub struct Gate {
    proxy: Proxy,
    route: Route,
}

impl Gate {
    /// Base of the HTTP URLs through the gate, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.proxy.addr())
    }

    /// What clients send.
    #[must_use]
    pub fn requests(&self) -> &Flow {
        &self.route.forth
    }

    /// What the node answers.
    #[must_use]
    pub fn answers(&self) -> &Flow {
        &self.route.back
    }

    /// Breaks all connections through the gate once.
    pub fn reset(&self) {
        self.route.door.slam();
    }
}

/// All ordered pairs of different slots.
fn pairs(slots: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..slots).flat_map(move |from| (0..slots).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

fn unordered(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
