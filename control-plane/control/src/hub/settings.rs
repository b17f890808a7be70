//! Every number of a hub and of a child, with the reason for its default.

use std::time::Duration;

/// How long the last word to a child may take to be queued.
pub(super) const LAST_WORD: Duration = Duration::from_millis(500);

/// How this node passes the log on, and how it follows.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Whether this node passes the log on although it does not vote. Default: no.
    pub relay: bool,
    /// Bytes of the newest entries kept, encoded, for children. Default 8 MiB: some seconds of a busy cluster, so that a child that
    /// changes its parent is served from memory.
    pub ring_bytes: usize,
    /// Children that are fed at most. Default 60: with four other voters they are the 64 that one hub may have.
    pub children: usize,
    /// How long a child may take to take a frame, when its queue is full, before it is dropped. Default 10 s.
    pub slow_after: Duration,
    /// Bytes of frames read for a child at once. Default 2 MiB.
    pub read_bytes: usize,
    /// Entries within this are sent together, once a first one has gone out, by a hub whose places are all taken; by one with fewer
    /// children within a shorter time, in proportion, and not at all below a millisecond. Default 10 ms: a busy log costs a hub with many
    /// children 6 000 messages a second at most, and one with few children sends each run at once, since whoever asked for the change
    /// may be waiting there.
    pub coalesce: Duration,
    /// How often a child looks whether it has the best parent and a warm one. Default 1 s.
    pub review: Duration,
    /// How long a hub that failed, or had no place, is not tried again unless there is no other. Default 10 s.
    pub avoid: Duration,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            relay: false,
            ring_bytes: 8 << 20,
            children: 60,
            slow_after: Duration::from_secs(10),
            read_bytes: 2 << 20,
            coalesce: Duration::from_millis(10),
            review: Duration::from_secs(1),
            avoid: Duration::from_secs(10),
        }
    }
}
