//! The figures of a node at one moment.

use crate::latency::LatencyCounts;

/// The figures of a node at one moment, as `/metrics` has them. What is called a count only rises while the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// When, in milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// Count of requests.
    pub requests: u64,
    /// Counts of responses by the hundreds of their status, from 1xx to 5xx.
    pub statuses: [u64; 5],
    /// Count of assets whose first bytes were on this node.
    pub hits: u64,
    /// Count of assets whose first bytes came from another node.
    pub misses: u64,
    /// Count of bytes of bodies sent to viewers.
    pub sent_bytes: u64,
    /// Counts of how long it took to the head of a response.
    pub latency: LatencyCounts,
    /// Connections open now.
    pub connections: u64,
    /// The most that there may be.
    pub connections_max: u64,
    /// What the machine is doing; `None` where it does not say.
    pub machine: Option<Machine>,
    /// The file system of the data; `None` where it does not say.
    pub storage: Option<Room>,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Count of ticks in which a processor had something to do.
    pub cpu_busy: u64,
    /// Count of ticks altogether, of all processors.
    pub cpu_all: u64,
    /// Its memory.
    pub memory: Room,
}

/// A room for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes that are taken.
    pub used: u64,
    /// Bytes that it has.
    pub total: u64,
}
