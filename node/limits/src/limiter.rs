//! Whether a request may go on: the books and the purses, with a clock and a way to other nodes.

mod homes;
#[cfg(test)]
mod tests;
mod upkeep;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ncore_model::NodeId;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    address::Address,
    ask::Key,
    ledger::Ledger,
    metrics::{LimitMetrics, add},
    nodes::Nodes,
    policy::{Class, LimitSettings, Manner, Policy},
    purse::{Purse, Taken},
    reach::{Reach, Source},
    service::LimitService,
    table::Table,
    verdict::{Standing, Verdict},
    window::Window,
};

/// What a [`Limiter`] stands on.
pub struct LimiterParts {
    /// This node.
    pub own: NodeId,
    /// Higher at each start: Unix milliseconds serve well.
    pub incarnation: u64,
    /// The limits.
    pub settings: LimitSettings,
    /// The nodes of the cluster.
    pub nodes: Arc<dyn Nodes>,
    /// Where it counts.
    pub metrics: Arc<LimitMetrics>,
}

/// Says which requests may go on. A handle: clones are the same limiter.
#[derive(Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    own: NodeId,
    settings: LimitSettings,
    nodes: Arc<dyn Nodes>,
    pub(crate) metrics: Arc<LimitMetrics>,
    started: Instant,
    /// Numbers the lives of purses, over the lives of the node.
    lives: AtomicU64,
    members: Mutex<Arc<[NodeId]>>,
    reach: Mutex<Reach>,
    purses: Mutex<Table<Key, Purse>>,
    ledger: Mutex<Ledger>,
    addresses: Mutex<Table<Address, Window>>,
}

impl Limiter {
    /// A limiter that has counted nothing.
    #[must_use]
    pub fn new(parts: LimiterParts) -> Self {
        let LimiterParts { own, incarnation, settings, nodes, metrics } = parts;
        let span_ms = u64::try_from(settings.window.as_millis()).unwrap_or(u64::MAX);
        // Longer than anything that is kept of a subject counts for.
        let keep_ms = span_ms.saturating_mul(3).max(KEEP_MS_MIN);
        let shared = Shared {
            own,
            settings,
            nodes,
            metrics,
            started: Instant::now(),
            lives: AtomicU64::new(incarnation.saturating_mul(LIVES_PER_MS)),
            members: Mutex::new(Arc::from([own])),
            reach: Mutex::default(),
            purses: Mutex::new(Table::new(SUBJECTS_MAX, keep_ms)),
            ledger: Mutex::new(Ledger::new(settings, SUBJECTS_MAX, keep_ms)),
            addresses: Mutex::new(Table::new(ADDRESSES_MAX, span_ms.max(1))),
        };
        shared.meet_members();
        Self { shared: Arc::new(shared) }
    }

    /// Keeps homes told and the cluster known, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        upkeep::run(&self.shared, stop).await;
    }

    /// The books of this node, for other nodes.
    #[must_use]
    pub fn service(&self) -> LimitService {
        LimitService::new(Arc::clone(&self.shared))
    }

    /// Whether a request with this token of this client may go on. It never fails, and waits for at most [`PATIENCE`] for another node.
    ///
    /// A caller that goes away while it waits has used nothing, or at most its permit.
    pub async fn take(&self, client: &str, token: &str, class: Class) -> Verdict {
        let Some(policy) = self.shared.settings.policy(class) else { return Verdict::Unlimited };
        let key = Key::of_token(class, client, token);
        let verdict = match class.manner() {
            Manner::Leased => self.shared.take_lent(key, &policy).await,
            Manner::Asked => self.shared.take_asked(key, &policy).await,
        };
        self.counted(class, verdict)
    }

    /// The limit of a class, and as whose a token of this client counts: for whoever can hold requests to it for certain.
    #[must_use]
    pub fn limit_of(&self, client: &str, token: &str, class: Class) -> Option<(Policy, [u8; 16])> {
        self.shared.settings.policy(class).map(|policy| (policy, Key::of_token(class, client, token).subject))
    }

    /// Whether a request without a good token from this address may go on. Counted at this node alone.
    #[must_use]
    pub fn take_anonymous(&self, from: IpAddr) -> Verdict {
        let class = Class::Anonymous;
        let Some(policy) = self.shared.settings.policy(class) else { return Verdict::Unlimited };
        let (now_ms, grain_ms) = (self.shared.now_ms(), policy.grain_ms(class.manner()));
        let mut addresses = self.shared.addresses.lock();
        let window = addresses.entry(Address::of(from), now_ms, || Window::new(policy.span_ms, grain_ms));
        let left = u64::from(policy.limit).saturating_sub(window.used(now_ms));
        if left > 0 {
            window.book(now_ms, 1);
        }
        let remaining = u32::try_from(left.saturating_sub(1)).unwrap_or(u32::MAX);
        let frees_at_ms = window.frees_at_ms().unwrap_or(now_ms);
        drop(addresses);
        let standing = standing(class, policy, remaining, frees_at_ms, now_ms);
        self.counted(class, if left > 0 { Verdict::Admitted(standing) } else { Verdict::Refused(standing) })
    }

    fn counted(&self, class: Class, verdict: Verdict) -> Verdict {
        if matches!(verdict, Verdict::Refused(_)) {
            self.shared.metrics.refused(class);
        }
        verdict
    }
}

impl Shared {
    /// Milliseconds since this limiter was made.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn members(&self) -> Arc<[NodeId]> {
        Arc::clone(&self.members.lock())
    }

    fn source(&self, key: &Key, now_ms: u64) -> Source {
        self.reach.lock().source(key, self.own, &self.members(), now_ms)
    }

    /// From the permits that are here, or of the next that come.
    async fn take_lent(self: &Arc<Self>, key: Key, policy: &Policy) -> Verdict {
        let end = Instant::now() + PATIENCE;
        loop {
            let now_ms = self.now_ms();
            let (taken, answered) = self.with_purse(key, policy, |purse| (purse.take(now_ms, Manner::Leased), Arc::clone(&purse.answered)));
            // Registered before the ask is sent, so that its end is not missed.
            let over = answered.notified();
            match taken {
                Taken::Admitted => return self.verdict(key, policy, Taken::Admitted),
                Taken::Refused => return self.verdict(key, policy, Taken::Refused),
                Taken::AdmittedAsk => {
                    self.ask_for_more(key, policy, now_ms);
                    return self.verdict(key, policy, Taken::Admitted);
                }
                Taken::AskFirst => {}
            }
            let is_asked = self.ask_for_more(key, policy, now_ms) == Asked::OrComing;
            if !is_asked || timeout_at(end, over).await.is_err() {
                return self.decide_by_share(key, policy);
            }
        }
    }

    /// By asking for this one permit.
    async fn take_asked(self: &Arc<Self>, key: Key, policy: &Policy) -> Verdict {
        let now_ms = self.now_ms();
        if self.with_purse(key, policy, |purse| purse.take(now_ms, Manner::Asked)) == Taken::Refused {
            return self.verdict(key, policy, Taken::Refused);
        }
        let Source::Home(home) = self.source(&key, now_ms) else { return self.decide_by_share(key, policy) };
        let ask = self.with_purse(key, policy, |purse| purse.ask(now_ms, key, home, policy));
        let Some(grant) = self.ask_home(home, &ask, now_ms).await else { return self.decide_by_share(key, policy) };
        if grant.granted == 0 {
            return self.verdict(key, policy, Taken::Refused);
        }
        let now_ms = self.now_ms();
        self.with_purse(key, policy, |purse| purse.note_use(now_ms));
        Verdict::Admitted(standing(key.class, *policy, grant.remaining, now_ms.saturating_add(grant.frees_in_ms), now_ms))
    }

    /// Asks for permits that are lent, unless that is under way.
    fn ask_for_more(self: &Arc<Self>, key: Key, policy: &Policy, now_ms: u64) -> Asked {
        let Source::Home(home) = self.source(&key, now_ms) else { return Asked::Nobody };
        let ask = self.with_purse(key, policy, |purse| (!purse.is_asking()).then(|| purse.ask(now_ms, key, home, policy)));
        let Some(ask) = ask else { return Asked::OrComing };
        if home == self.own {
            self.ask_own_books(&ask, now_ms);
        } else {
            let shared = Arc::clone(self);
            // At most one for each purse.
            tokio::spawn(async move { shared.ask_home(home, &ask, now_ms).await });
        }
        Asked::OrComing
    }

    fn decide_by_share(&self, key: Key, policy: &Policy) -> Verdict {
        add(&self.metrics.decided_by_share);
        let (now_ms, share) = (self.now_ms(), policy.share(self.members().len()));
        let taken = self.with_purse(key, policy, |purse| purse.take_of_share(now_ms, share));
        self.verdict(key, policy, taken)
    }

    fn verdict(&self, key: Key, policy: &Policy, taken: Taken) -> Verdict {
        let now_ms = self.now_ms();
        let (remaining, frees_at_ms) = self.with_purse(key, policy, |purse| (purse.remaining(now_ms), purse.frees_at_ms()));
        match taken {
            Taken::Admitted | Taken::AdmittedAsk => Verdict::Admitted(standing(key.class, *policy, remaining, frees_at_ms, now_ms)),
            Taken::Refused | Taken::AskFirst => Verdict::Refused(standing(key.class, *policy, 0, frees_at_ms, now_ms)),
        }
    }

    fn with_purse<T>(&self, key: Key, policy: &Policy, act: impl FnOnce(&mut Purse) -> T) -> T {
        let new = || Purse::new(self.lives.fetch_add(1, Ordering::Relaxed), policy, key.class.manner());
        act(self.purses.lock().entry(key, self.now_ms(), new))
    }
}

/// Whether the answer to an ask can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It is there, or on its way.
    OrComing,
    /// There is nobody to ask.
    Nobody,
}

fn standing(class: Class, policy: Policy, remaining: u32, frees_at_ms: u64, now_ms: u64) -> Standing {
    let frees_in_ms = match frees_at_ms.saturating_sub(now_ms) {
        // Nothing that was told is still to come.
        0 if remaining > 0 => policy.span_ms,
        0 => 1,
        frees_in_ms => frees_in_ms,
    };
    Standing { class, policy, remaining, frees_in_ms }
}

/// How long a request waits for permits. Also how long an ask may take.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Subjects that are known at once, as a home and as a node that serves them.
const SUBJECTS_MAX: usize = 32_768;
/// Addresses that are known at once.
const ADDRESSES_MAX: usize = 65_536;
/// The shortest time for which a subject that does not ask is known.
const KEEP_MS_MIN: u64 = 30_000;
/// More purses than are made in a millisecond, so that numbers of lives never meet those of an earlier start.
const LIVES_PER_MS: u64 = 1_000;
