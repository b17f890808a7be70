//! What happened to a node, for whoever looks at it: the newest of a bounded number of typed events.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;

/// The most events that are kept.
const EVENTS_MAX: usize = 200;

/// The newest events.
#[derive(Debug, Default)]
pub struct Events {
    ring: Mutex<VecDeque<Event>>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When this node saw it, in milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
    /// To whom, or how much: a short text for people. Never a secret, a client or an address.
    pub about: String,
}

/// What can happen to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The node started.
    Started,
    /// Another node leads.
    LeaderChanged,
    /// No leader is known.
    LeaderLost,
    /// A node joined.
    NodeJoined,
    /// A node is about to be removed.
    NodeDraining,
    /// A node takes part again.
    NodeActive,
    /// A node was removed.
    NodeRemoved,
    /// The view of this node may be too old.
    Fenced,
    /// It is fresh again.
    Fresh,
    /// Blobs were found damaged and set aside.
    Damaged,
    /// Damaged blobs were replaced.
    Repaired,
    /// Purges were carried out.
    Purged,
    /// Requests failed for a reason of the node's own.
    Failed,
    /// The node is about to stop.
    Stopping,
}

/// How much somebody should care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As it should be.
    Info,
    /// To be looked at if it stays.
    Warning,
    /// To be looked at.
    Error,
}

impl Level {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl EventKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::LeaderChanged => "leader_changed",
            Self::LeaderLost => "leader_lost",
            Self::NodeJoined => "node_joined",
            Self::NodeDraining => "node_draining",
            Self::NodeActive => "node_active",
            Self::NodeRemoved => "node_removed",
            Self::Fenced => "fenced",
            Self::Fresh => "fresh",
            Self::Damaged => "damaged",
            Self::Repaired => "repaired",
            Self::Purged => "purged",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }

    /// How much somebody should care.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::LeaderLost | Self::Fenced | Self::NodeDraining | Self::Stopping => Level::Warning,
            Self::Damaged | Self::Failed => Level::Error,
            _ => Level::Info,
        }
    }
}

impl Events {
    /// Keeps that this happened now. The oldest is dropped if there are too many.
    pub fn push(&self, kind: EventKind, about: impl Into<String>) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let at_ms = u64::try_from(since).unwrap_or(u64::MAX);
        let mut ring = self.ring.lock();
        if ring.len() == EVENTS_MAX {
            ring.pop_front();
        }
        ring.push_back(Event { at_ms, kind, about: about.into() });
    }

    /// The newest, the newest first.
    #[must_use]
    pub fn newest(&self, max: usize) -> Vec<Event> {
        self.ring.lock().iter().rev().take(max).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS_MAX, EventKind, Events};

    #[test]
    fn the_newest_stay() {
        let events = Events::default();
        for number in 0..EVENTS_MAX + 5 {
            events.push(EventKind::Purged, number.to_string());
        }
        let newest = events.newest(usize::MAX);
        assert_eq!(newest.len(), EVENTS_MAX);
        assert_eq!((newest[0].about.as_str(), newest[EVENTS_MAX - 1].about.as_str()), ("204", "5"));
    }
}
