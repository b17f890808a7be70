//! What a node knows of a subject's limit: the permits that it holds, what it has used, and what it was told last.

use std::sync::Arc;

use ncore_model::NodeId;
use tokio::sync::Notify;

use crate::{
    ask::{Ask, Grant, Key},
    policy::{Manner, Policy},
    window::Window,
};

/// One subject, as a node sees it that serves its requests.
#[derive(Debug)]
pub(crate) struct Purse {
    life: u64,
    sequence: u64,
    /// Who was asked last.
    home: Option<NodeId>,
    /// Used in this life, as far as the home did not count it when it granted it.
    spent: u64,
    /// What of that was in the last ask,
    told: u64,
    /// and in the last that was answered.
    confirmed: u64,
    held: u32,
    held_until_ms: u64,
    /// What `held` was when it came in.
    lent: u32,
    asked_at_ms: u64,
    asking: bool,
    waiting: u32,
    /// Whether a request may go on before the home has answered: once, and again after each grant that left something.
    has_credit: bool,
    /// Until when there is nothing to ask for: the home was asked, and there was nothing left.
    exhausted_until_ms: Option<u64>,
    remaining: u32,
    frees_at_ms: u64,
    /// All that was used here.
    local: Window,
    /// Told when an ask is over.
    pub(crate) answered: Arc<Notify>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It has its permit.
    Admitted,
    /// It has its permit, and it is time to ask for more.
    AdmittedAsk,
    /// There is none, and will be none before what [`Purse::frees_at_ms`] says.
    Refused,
    /// The home must be asked, or was, and its answer is waited for.
    AskFirst,
}

impl Purse {
    pub(crate) fn new(life: u64, policy: &Policy, manner: Manner) -> Self {
        Self {
            life,
            sequence: 0,
            home: None,
            spent: 0,
            told: 0,
            confirmed: 0,
            held: 0,
            held_until_ms: 0,
            lent: 0,
            asked_at_ms: 0,
            asking: false,
            waiting: 0,
            has_credit: true,
            exhausted_until_ms: None,
            remaining: policy.limit,
            frees_at_ms: 0,
            local: Window::new(policy.span_ms, policy.grain_ms(manner)),
            answered: Arc::default(),
        }
    }

    /// Takes a permit out of what is here.
    pub(crate) fn take(&mut self, now_ms: u64, manner: Manner) -> Taken {
        self.forget_what_ended(now_ms);
        if self.held > 0 {
            self.held -= 1;
            self.spend(now_ms);
            let low = self.held.saturating_mul(2) <= self.lent;
            return if low && !self.asking { Taken::AdmittedAsk } else { Taken::Admitted };
        }
        match self.exhausted_until_ms {
            Some(until) if now_ms < until => Taken::Refused,
            // The first request does not wait for what is nearly always a yes. The home counts it, whatever the answer is.
            _ if manner == Manner::Leased && self.has_credit && !self.asking => {
                self.has_credit = false;
                self.remaining = self.remaining.saturating_sub(1);
                self.spend(now_ms);
                Taken::AdmittedAsk
            }
            _ => {
                self.waiting = self.waiting.saturating_add(1);
                Taken::AskFirst
            }
        }
    }

    /// Whether an ask is under way. There is one at a time, where permits are lent.
    pub(crate) const fn is_asking(&self) -> bool {
        self.asking
    }

    /// What to say to `home`, now.
    pub(crate) fn ask(&mut self, now_ms: u64, key: Key, home: NodeId, policy: &Policy) -> Ask {
        self.forget_what_ended(now_ms);
        if self.home != Some(home) {
            // Whoever lent it keeps it in other books.
            self.held = 0;
            self.home = Some(home);
        }
        let used = u32::try_from(self.spent - self.told).unwrap_or(u32::MAX);
        let want = used.saturating_mul(2).saturating_add(self.waiting).max(1);
        self.told = self.spent;
        self.waiting = 0;
        self.asking = true;
        self.asked_at_ms = now_ms;
        self.sequence += 1;
        Ask {
            key,
            life: self.life,
            sequence: self.sequence,
            spent: self.spent,
            held: self.held,
            want: want.min(policy.limit),
            recent: self.local.ages(now_ms, RECENT_PARTS),
        }
    }

    /// Whether there is something to tell the home that it does not know, or something that is not used and would be missed elsewhere.
    pub(crate) fn is_due(&self, now_ms: u64, policy: &Policy) -> bool {
        let since_ms = now_ms.saturating_sub(self.asked_at_ms);
        !self.asking && since_ms >= policy.lease_ms() / REPORTS && (self.held > 0 || self.spent > self.confirmed)
    }

    /// What to say to `home` when nobody waits for anything: what was used; and permits that were not touched go back.
    pub(crate) fn report(&mut self, now_ms: u64, key: Key, home: NodeId, policy: &Policy) -> Ask {
        let is_idle = self.spent == self.told;
        if is_idle {
            self.held = 0;
        }
        let ask = self.ask(now_ms, key, home, policy);
        // Where each permit is asked for, one that nobody waits for would be lost.
        if is_idle || key.class.manner() == Manner::Asked { Ask { want: 0, ..ask } } else { ask }
    }

    /// The answer to an ask of this time.
    pub(crate) fn granted(&mut self, asked_at_ms: u64, ask: &Ask, grant: &Grant) {
        self.asking = false;
        self.confirmed = self.confirmed.max(ask.spent);
        self.remaining = grant.remaining;
        self.frees_at_ms = asked_at_ms.saturating_add(grant.frees_in_ms);
        if grant.granted > 0 {
            self.exhausted_until_ms = None;
            self.has_credit = grant.remaining > 0;
            if ask.key.class.manner() == Manner::Leased {
                self.held = self.held.saturating_add(grant.granted);
                self.lent = self.held;
                self.held_until_ms = asked_at_ms.saturating_add(grant.lease_ms);
            }
        } else if ask.want > 0 {
            // What is lent may come back before it has to.
            let ask_again_ms = match ask.key.class.manner() {
                Manner::Leased => grant.frees_in_ms.min(grant.lease_ms / REPORTS),
                Manner::Asked => grant.frees_in_ms,
            };
            self.exhausted_until_ms = Some(asked_at_ms.saturating_add(ask_again_ms));
        }
        self.answered.notify_waiters();
    }

    /// There is no answer.
    pub(crate) fn unanswered(&mut self) {
        self.asking = false;
        self.answered.notify_waiters();
    }

    /// A permit that the home counted when it granted it was used.
    pub(crate) fn note_use(&mut self, now_ms: u64) {
        self.local.book(now_ms, 1);
    }

    /// Takes a permit of what this node may admit by itself. What it used before, by whatever permit, counts.
    pub(crate) fn take_of_share(&mut self, now_ms: u64, share: u32) -> Taken {
        let used = self.local.used(now_ms);
        let left = u64::from(share).saturating_sub(used);
        self.remaining = u32::try_from(left.saturating_sub(1)).unwrap_or(u32::MAX);
        if left > 0 {
            self.spend(now_ms);
            self.frees_at_ms = self.local.frees_at_ms().unwrap_or(now_ms);
            return Taken::Admitted;
        }
        self.frees_at_ms = self.local.frees_at_ms().unwrap_or(now_ms);
        Taken::Refused
    }

    /// What is left, as far as this node knows.
    pub(crate) fn remaining(&self, now_ms: u64) -> u32 {
        let elsewhere = if self.exhausted_until_ms.is_some_and(|until| now_ms < until) { 0 } else { self.remaining };
        elsewhere.saturating_add(self.held)
    }

    /// When there will be more, as far as this node knows.
    pub(crate) const fn frees_at_ms(&self) -> u64 {
        self.frees_at_ms
    }

    fn spend(&mut self, now_ms: u64) {
        self.spent += 1;
        self.local.book(now_ms, 1);
    }

    fn forget_what_ended(&mut self, now_ms: u64) {
        if now_ms >= self.held_until_ms {
            self.held = 0;
        }
    }
}

/// In how many parts a node says when it used what.
const RECENT_PARTS: u64 = 12;
/// How often within a lease a node says what it used, if it has anything to say.
const REPORTS: u64 = 4;
