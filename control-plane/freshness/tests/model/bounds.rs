//! How large a cluster the checker explores, how much happens to it, and what is broken in it.

/// The nodes, and how often each thing may happen on one path. What is not used up is explored too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Nodes 0 and up; node 0 leads at first, and is the parent of the others.
    pub(crate) voters: usize,
    /// The next nodes; the first is a child of the last voter, each further one of the relay before it.
    pub(crate) relays: usize,
    /// The last nodes; the first is a child of the last hub, the others of node 0.
    pub(crate) edges: usize,
    pub(crate) writes: u64,
    pub(crate) ticks: u64,
    pub(crate) hub_pings: u8,
    pub(crate) edge_pings: u8,
    pub(crate) joins: u8,
    pub(crate) restarts: u8,
    pub(crate) elections: u8,
    pub(crate) failures: u8,
    pub(crate) acks: Acks,
    /// Time passes between the moment at which ReadIndex is confirmed and the one at which the node knows.
    pub(crate) slow_reads: bool,
}

/// How acks get to the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// After each step, at once. Since acks only ever add to what a hub knows, it never knows more than this way, and what
    /// it says too early it says this way too: so most is explored like this.
    AtOnce,
    /// At any time, and then at once.
    AtAnyTime,
    /// As messages, of which a later one may overtake an earlier one and stand for it.
    Travel,
}

impl Bounds {
    pub(crate) const fn hubs(&self) -> usize {
        self.voters + self.relays
    }

    pub(crate) const fn nodes(&self) -> usize {
        self.hubs() + self.edges
    }
}

/// What the code around the machines does wrong. The machines themselves are the real ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// A round also answers pings that arrived after it began.
    ReadBeforePing,
    /// A relay answers pings from what it has, without a ping of its own.
    RelayAnswersAlone,
    /// A hub forgets a child as soon as it sees that it left.
    DepartedForgotten,
    /// A new leader acts as if it had led all along.
    LeaderDoesNotWait,
    /// A restarted node believes that it is as fresh as before.
    FreshAfterRestart,
    /// Hubs assume that all clocks run alike.
    NoDrift,
    /// A child counts from its first answer on, not from the beginning of the round.
    CountedWhenAnswered,
    /// A voter that does not lead asks Raft itself, past the leader's hub.
    ReadPastLeader,
    /// A node that led does not ask whether it still does.
    LeadNotConfirmed,
}
