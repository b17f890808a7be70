//! Which nodes answer, as far as this node has tried.
//!
//! ```text
//!   answers ── an ask fails ──► doubted ── and nothing came for SILENT_MS ──► silent
//!      ▲                           │                                           │
//!      └───────────────────────────┴──────────── it answers ◄──────────────────┘
//! ```
//!
//! While a home is doubted its subjects keep to the share of this node: it may have been a hiccup, and other nodes may reach it. Of a node that
//! is silent it is taken that all see it so, and the next in rank is the home.

use std::collections::HashMap;

use ncore_model::NodeId;

use crate::{ask::Key, rank};

/// The nodes that did not answer.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    failing_since_ms: HashMap<NodeId, u64>,
}

/// Where the permits of a subject come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// This node is its home, or that one.
    Home(NodeId),
    /// Its home is doubted, or there is none: what this node may admit by itself.
    Share,
}

impl Reach {
    /// Where to get permits for this key.
    pub(crate) fn source(&self, key: &Key, own: NodeId, members: &[NodeId], now_ms: u64) -> Source {
        let silent = |node: NodeId| self.failing_since_ms.get(&node).is_some_and(|since| now_ms.saturating_sub(*since) >= SILENT_MS);
        match rank::first(key, members, |node| node == own || !silent(node)) {
            Some(home) if home == own || !self.failing_since_ms.contains_key(&home) => Source::Home(home),
            Some(_) | None => Source::Share,
        }
    }

    /// An ask was not answered.
    pub(crate) fn failed(&mut self, node: NodeId, now_ms: u64) -> Doubt {
        let mut doubt = Doubt::Known;
        self.failing_since_ms.entry(node).or_insert_with(|| {
            doubt = Doubt::New;
            now_ms
        });
        doubt
    }

    /// It was.
    pub(crate) fn answered(&mut self, node: NodeId) -> Doubt {
        if self.failing_since_ms.remove(&node).is_some() { Doubt::Known } else { Doubt::New }
    }

    /// Those of `members` that are to be asked for a sign of life. Others are forgotten.
    pub(crate) fn doubted(&mut self, members: &[NodeId]) -> Vec<NodeId> {
        self.failing_since_ms.retain(|node, _| members.contains(node));
        self.failing_since_ms.keys().copied().collect()
    }
}

/// Whether it was known already that a node does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    Known,
    New,
}

/// How long a node is doubted before it counts as silent. Longer than an ask waits, and than a new start of a node takes.
const SILENT_MS: u64 = 3_000;

#[cfg(test)]
mod tests {
    use ncore_model::NodeId;

    use super::{Doubt, Reach, SILENT_MS, Source};
    use crate::{ask::Key, policy::Class, rank};

    #[test]
    fn a_home_is_doubted_then_replaced_and_comes_back() {
        let (own, members) = (NodeId(2), [1, 2, 3].map(NodeId));
        let homed = |home| move |token: &u32| rank::first(&key(*token), &members, |_| true) == Some(NodeId(home));
        let token = key((0..).find(homed(1)).expect("a token"));
        let of_own = key((0..).find(homed(2)).expect("a token"));
        let mut reach = Reach::default();
        assert_eq!(reach.source(&token, own, &members, 0), Source::Home(NodeId(1)));
        assert_eq!((reach.failed(NodeId(1), 10), reach.failed(NodeId(1), 900)), (Doubt::New, Doubt::Known));
        assert_eq!(reach.source(&token, own, &members, 10), Source::Share);
        assert_eq!(reach.source(&token, own, &members, 9 + SILENT_MS), Source::Share);
        let next = rank::first(&token, &members, |node| node != NodeId(1)).expect("another");
        assert_eq!(reach.source(&token, own, &members, 10 + SILENT_MS), Source::Home(next));
        assert_eq!(reach.source(&of_own, own, &members, 10), Source::Home(own), "others do not matter to it");
        assert_eq!(reach.doubted(&members), [NodeId(1)]);
        assert_eq!(reach.answered(NodeId(1)), Doubt::Known);
        assert_eq!(reach.source(&token, own, &members, 20 + SILENT_MS), Source::Home(NodeId(1)));
        reach.failed(NodeId(3), 0);
        assert!(reach.doubted(&members[..2]).is_empty(), "who is no member is forgotten");
        assert_eq!(reach.source(&token, own, &[], 0), Source::Share, "nothing is known of the cluster yet");
    }

    fn key(token: u32) -> Key {
        Key::of_token(Class::Default, "cl_1", &token.to_string())
    }
}
