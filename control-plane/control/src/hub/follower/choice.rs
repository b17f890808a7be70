//! Which hub is tried next, and which not for a while.

use std::collections::HashSet;

use ncore_model::{NodeId, Query};
use tokio::time::Instant;

use super::{Follower, FollowerParts};
use crate::hub::{
    link::{Link, LinkError},
    parents::{Candidate, Chooser, candidates},
};

impl Follower {
    /// The hubs that may be followed now, the best first.
    pub(super) fn candidates(&mut self) -> Vec<Candidate> {
        let FollowerParts { own, replica, first_hubs, hello, .. } = &self.parts;
        let (Ok(members), Ok(relays)) = (replica.members(), replica.relays()) else { return Vec::new() };
        let voters = crate::status::voters(None, replica);
        let mut all = candidates(Chooser { node: *own, region: &hello.region, relay: hello.relay }, &members, &voters, &relays);
        if all.is_empty() {
            all = first_hubs.candidates(*own);
        } else if !hello.relay {
            // What this node knows can be too old for the one hub that has a place. A relay follows none that may be a relay itself.
            let known: HashSet<NodeId> = all.iter().map(|hub| hub.node).collect();
            all.extend(first_hubs.candidates(*own).into_iter().filter(|hub| !known.contains(&hub.node)));
        }
        let (now, next) = (Instant::now(), self.parts.machine.next());
        self.avoided.retain(|_, until| *until > now);
        self.too_new.retain(|_, oldest| *oldest > next);
        all.retain(|hub| !self.too_new.contains_key(&hub.node));
        self.unfinished = self.unfinished.filter(|(_, until)| *until > now);
        if let Some((source, _)) = self.unfinished
            && all.iter().any(|hub| hub.node == source)
        {
            all.retain(|hub| hub.node == source);
        }
        // Those to be avoided last, and not never.
        all.sort_by_key(|hub| (self.avoided.contains_key(&hub.node), !self.named.is_empty() && !self.named.contains(&hub.node)));
        all
    }

    /// A stream to the best hub that takes this node.
    pub(super) async fn find(&mut self) -> Option<Link> {
        let candidates = self.candidates();
        if let Some(link) = self.warm.take(&candidates) {
            return Some(link);
        }
        for hub in candidates {
            match Link::open(&self.parts.peers, hub.clone(), self.parts.hello.clone()).await {
                Ok(link) if link.welcome.places == 0 => self.avoid(hub.node),
                Ok(link) => return Some(link),
                Err(error) => self.lost(&hub, &error),
            }
        }
        None
    }

    pub(super) fn lost(&mut self, hub: &Candidate, error: &LinkError) {
        tracing::debug!(hub = %hub.node, %error, "not following");
        if let LinkError::Away { others, .. } = error {
            self.named.clone_from(others);
        }
        self.avoid(hub.node);
    }

    pub(super) fn avoid(&mut self, hub: NodeId) {
        self.avoided.insert(hub, Instant::now() + self.parts.settings.avoid);
    }
}
