//! What is done when no request asks for it: homes are told what was used and get back what was not, nodes that were silent are asked for a
//! sign of life, and the list of nodes is kept up to date.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use ncore_model::NodeId;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::{ask::Ask, policy::Class, reach::Source, wire::ASKS_MAX};

pub(super) async fn run(shared: &Arc<Shared>, stop: CancellationToken) {
    let lease_ms = shared.settings.policy(Class::Default).map_or(LEASE_MS, |policy| policy.lease_ms());
    let mut ticks = interval(Duration::from_millis((lease_ms / 10).clamp(20, 500)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        shared.meet_members();
        shared.tell_homes().await;
    }
}

impl Shared {
    pub(super) fn meet_members(&self) {
        match self.nodes.members() {
            Ok(members) if !members.is_empty() => *self.members.lock() = Arc::from(members),
            // A node that has no state yet.
            Ok(_) => {}
            Err(error) => tracing::warn!(error, "which nodes there are cannot be read; those that were known count"),
        }
    }

    async fn tell_homes(&self) {
        let now_ms = self.now_ms();
        let mut by_home = self.due(now_ms);
        for doubted in self.reach.lock().doubted(&self.members()) {
            by_home.entry(doubted).or_default();
        }
        if let Some(asks) = by_home.remove(&self.own) {
            for ask in asks {
                self.ask_own_books(&ask, now_ms);
            }
        }
        let calls = by_home.iter().flat_map(|(home, asks)| {
            let batches: Vec<&[Ask]> = if asks.is_empty() { vec![&[]] } else { asks.chunks(ASKS_MAX).collect() };
            batches.into_iter().map(|batch| self.ask_for_all(*home, batch, now_ms))
        });
        join_all(calls).await;
    }

    /// What homes are to be told.
    fn due(&self, now_ms: u64) -> BTreeMap<NodeId, Vec<Ask>> {
        let (mut by_home, members) = (BTreeMap::<NodeId, Vec<Ask>>::new(), self.members());
        let mut purses = self.purses.lock();
        purses.turn(now_ms);
        let reach = self.reach.lock();
        for (key, purse) in purses.iter_mut() {
            let Some(policy) = self.settings.policy(key.class).filter(|policy| purse.is_due(now_ms, policy)) else { continue };
            if let Source::Home(home) = reach.source(key, self.own, &members, now_ms) {
                by_home.entry(home).or_default().push(purse.report(now_ms, *key, home, &policy));
            }
        }
        by_home
    }
}

/// Of a node that limits no tokens, and so has nothing to tell.
const LEASE_MS: u64 = 5_000;
