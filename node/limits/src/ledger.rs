//! The books of a home: what was used of each subject's limit, and what other nodes hold.
//!
//! A permit counts from when it is lent until it is known what became of it: as used when the holder says so, as free when it gives it back,
//! and as used at the end of the lease when the holder says nothing. So what is used never exceeds the limit in any stretch of time, as long
//! as one node keeps the books.

use ncore_model::NodeId;

use crate::{
    ask::{Ask, Grant, Key},
    policy::{LimitSettings, Manner, Policy},
    table::Table,
    window::Window,
};

/// The books of one node, for the subjects whose home it is.
#[derive(Debug)]
pub(crate) struct Ledger {
    settings: LimitSettings,
    accounts: Table<Key, Account>,
}

impl Ledger {
    pub(crate) fn new(settings: LimitSettings, subjects_max: usize, keep_ms: u64) -> Self {
        Self { settings, accounts: Table::new(subjects_max, keep_ms) }
    }

    /// Notes what a node says, and grants what may be granted to one of `nodes` nodes. `None` if there is no such limit here.
    pub(crate) fn ask(&mut self, now_ms: u64, node: NodeId, ask: &Ask, nodes: usize) -> Option<Grant> {
        let policy = self.settings.policy(ask.key.class)?;
        let manner = ask.key.class.manner();
        let account = self.accounts.entry(ask.key, now_ms, || Account::new(&policy, manner));
        Some(account.ask(now_ms, node, ask, &policy, manner, nodes))
    }
}

#[derive(Debug)]
struct Account {
    window: Window,
    holders: Vec<Holder>,
}

/// What is known of a node that asked.
#[derive(Debug)]
struct Holder {
    node: NodeId,
    life: u64,
    sequence: u64,
    spent: u64,
    held: u32,
    held_until_ms: u64,
    /// What was taken for used when a lease ended. If the node says later that it was, that is not counted again.
    assumed: u32,
    asked_at_ms: u64,
}

impl Account {
    fn new(policy: &Policy, manner: Manner) -> Self {
        Self { window: Window::new(policy.span_ms, policy.grain_ms(manner)), holders: Vec::new() }
    }

    fn ask(&mut self, now_ms: u64, node: NodeId, ask: &Ask, policy: &Policy, manner: Manner, nodes: usize) -> Grant {
        self.settle(now_ms, policy);
        let is_stale = !self.listen(now_ms, node, ask, policy) && manner == Manner::Leased;
        let free = self.free(now_ms, policy);
        let wanted = if is_stale { 0 } else { ask.want.min(free) };
        let granted = match manner {
            Manner::Asked => wanted.min(1),
            // Less and less as it runs out, so that no node sits on what another could use.
            Manner::Leased => wanted.min((free / u32::try_from(nodes.max(1) * 2).unwrap_or(u32::MAX)).max(1)),
        };
        if manner == Manner::Asked {
            self.window.book(now_ms, granted);
        } else if let Some(holder) = self.holders.iter_mut().find(|holder| holder.node == node && !is_stale) {
            holder.held = holder.held.saturating_add(granted);
            holder.held_until_ms = now_ms + policy.lease_ms();
        }
        Grant {
            granted,
            remaining: free - granted,
            frees_in_ms: self.frees_at_ms(node, free - granted).map_or(policy.span_ms, |at| at.saturating_sub(now_ms).max(1)),
            lease_ms: policy.lease_ms(),
        }
    }

    /// Leases that ended count as used, and nodes that said nothing for long are forgotten.
    fn settle(&mut self, now_ms: u64, policy: &Policy) {
        for holder in self.holders.iter_mut().filter(|holder| holder.held_until_ms <= now_ms) {
            self.window.book(holder.held_until_ms, holder.held);
            holder.assumed = holder.assumed.saturating_add(holder.held);
            holder.held = 0;
        }
        // What they used before is over by then, so that they may be met as if for the first time.
        let forget_ms = policy.span_ms * 2 + policy.lease_ms();
        self.holders.retain(|holder| holder.held > 0 || holder.asked_at_ms.saturating_add(forget_ms) > now_ms);
    }

    /// Notes what the node says of itself. Whether it is news, and not an older ask that comes late.
    fn listen(&mut self, now_ms: u64, node: NodeId, ask: &Ask, policy: &Policy) -> bool {
        let held = ask.held.min(policy.limit);
        let known = self.holders.iter_mut().find(|holder| holder.node == node);
        match known {
            Some(holder) if holder.life == ask.life => {
                // It may have been away for longer than what it used counts.
                let recent: u64 = ask.recent.iter().map(|(_, count)| u64::from(*count)).sum();
                let spent = u32::try_from(ask.spent.saturating_sub(holder.spent).min(recent)).unwrap_or(u32::MAX);
                let again = spent.min(holder.assumed);
                self.window.book(now_ms, spent - again);
                holder.spent = holder.spent.max(ask.spent);
                holder.assumed -= again;
                let is_news = ask.sequence > holder.sequence;
                if is_news {
                    (holder.sequence, holder.held, holder.assumed, holder.asked_at_ms) = (ask.sequence, held, 0, now_ms);
                }
                is_news
            }
            other => {
                // Another life of it: what the last one held may have been used.
                if let Some(before) = other {
                    self.window.book(now_ms, before.held);
                    self.holders.retain(|holder| holder.node != node);
                }
                for (age_ms, count) in ask.recent.iter().filter(|(age_ms, _)| *age_ms < policy.span_ms) {
                    self.window.book(now_ms.saturating_sub(*age_ms), (*count).min(policy.limit));
                }
                self.holders.push(Holder {
                    node,
                    life: ask.life,
                    sequence: ask.sequence,
                    spent: ask.spent,
                    held,
                    held_until_ms: now_ms + policy.lease_ms(),
                    assumed: 0,
                    asked_at_ms: now_ms,
                });
                true
            }
        }
    }

    fn free(&mut self, now_ms: u64, policy: &Policy) -> u32 {
        let held: u64 = self.holders.iter().map(|holder| u64::from(holder.held)).sum();
        let taken = self.window.used(now_ms).saturating_add(held);
        u32::try_from(u64::from(policy.limit).saturating_sub(taken)).unwrap_or(0)
    }

    /// When a use no longer counts; if nothing is `left`, also when something may come back that is lent to others than `node`.
    fn frees_at_ms(&self, node: NodeId, left: u32) -> Option<u64> {
        let lent = self.holders.iter().filter(|holder| holder.held > 0 && holder.node != node && left == 0);
        let leases = lent.map(|holder| holder.held_until_ms);
        self.window.frees_at_ms().into_iter().chain(leases).min()
    }
}
