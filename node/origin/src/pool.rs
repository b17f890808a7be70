//! The connections to one origin: those that are kept, those that may be made, and those that wait for one.
//!
//! ```text
//!   take ──► kept and fit? ──► use it
//!     │         no
//!     ├──► a place free? ──► dial ──► use it; HTTP/2: others use it as well
//!     │         no
//!     └──► wait for a connection that comes back, a place that is freed, a dial that ends; not longer than the queue allows
//! ```
//!
//! While it is not known that an origin speaks HTTP/1.1, one connection is dialled at a time: a thousand requests to an origin that
//! speaks HTTP/2 make one connection, and one that does not answer is not dialled a thousand times.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use crate::dial::{Dialer, Use};
use crate::error::{ErrorKind, OriginError};
use crate::figures::add;
use crate::link::{Fresh, Multi, Single, Slot, Stream};
use crate::node::Node;

/// How long a connection may take to be ready for the next request after a response is complete.
const SETTLE: Duration = Duration::from_secs(1);

/// A connection that a request may be sent over.
#[derive(Debug)]
pub(crate) enum Held {
    /// All of it.
    Single(Single),
    /// One stream of it.
    Stream(Stream),
}

/// What a request will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Any connection.
    Any,
    /// One that was not used before, because one that was has just failed.
    New,
    /// One of its own, of HTTP/1.1.
    Upgrade,
}

/// The connections to one origin.
pub(crate) struct Pool {
    dialer: Dialer,
    keep: Duration,
    places: Arc<Semaphore>,
    node: Arc<Node>,
    changed: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Vec<Single>,
    shared: Vec<Arc<Multi>>,
    dialling: usize,
    /// Whether connections to this origin are shared, as far as is known.
    shares: Option<bool>,
    /// How many dials failed so far, and how the last one did.
    failures: u64,
    failure: Option<OriginError>,
}

/// What there is for a request.
enum Pick {
    Held(Held),
    Dial(OwnedSemaphorePermit),
    WaitForDial,
    WaitForPlace,
}

fn busy(waited: Result<(), Elapsed>) -> Result<(), OriginError> {
    waited.map_err(|elapsed| OriginError::because(ErrorKind::Busy, elapsed))
}

impl Pool {
    /// Of this many places. `shares` says whether connections to this origin are shared, if that is known before the first.
    pub(crate) fn new(dialer: Dialer, keep: Duration, places: usize, shares: Option<bool>, node: Arc<Node>) -> Arc<Self> {
        let pool = Arc::new(Self {
            dialer,
            keep,
            places: Arc::new(Semaphore::new(places)),
            node,
            changed: Arc::new(Notify::new()),
            state: Mutex::new(State { shares, ..State::default() }),
        });
        pool.node.add(&pool);
        pool
    }

    /// A connection, waiting for a place until then.
    pub(crate) async fn take(&self, wanted: Wanted, until: Instant) -> Result<Held, OriginError> {
        let failures = self.state.lock().failures;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.pick(wanted) {
                Pick::Held(held) => return Ok(held),
                Pick::Dial(place) => return self.dial(wanted, place, until).await,
                Pick::WaitForPlace => busy(timeout_at(until, changed).await)?,
                Pick::WaitForDial => {
                    busy(timeout_at(until, changed).await)?;
                    // Whoever waited for a dial shares its failure, rather than dialling again, one after the other.
                    self.failure_since(failures).map_or(Ok(()), Err)?;
                }
            }
        }
    }

    /// Whether requests share connections to this origin, as far as is known.
    pub(crate) fn is_shared(&self) -> bool {
        self.state.lock().shares == Some(true)
    }

    fn failure_since(&self, failures: u64) -> Option<OriginError> {
        let state = self.state.lock();
        if state.failures == failures { None } else { state.failure.as_ref().map(OriginError::share) }
    }

    fn pick(&self, wanted: Wanted) -> Pick {
        let now = Instant::now();
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        let pick = self.pick_of(&mut state, wanted, now, &mut dropped);
        // Dropping a connection wakes who waits, which is done without the lock.
        drop(state);
        drop(dropped);
        pick
    }

    fn pick_of(&self, state: &mut State, wanted: Wanted, now: Instant, dropped: &mut Vec<Single>) -> Pick {
        if wanted == Wanted::Any {
            while let Some(single) = state.kept.pop() {
                if single.is_fit(now, self.keep) {
                    return Pick::Held(Held::Single(single));
                }
                dropped.push(single);
            }
        }
        state.shared.retain(|multi| multi.is_fit(now, self.keep));
        if wanted != Wanted::Upgrade
            && let Some(stream) = state.shared.iter().find_map(|multi| multi.open(&self.changed))
        {
            return Pick::Held(Held::Stream(stream));
        }
        if wanted != Wanted::Upgrade && state.shares != Some(false) && state.dialling > 0 {
            return Pick::WaitForDial;
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                state.dialling += 1;
                Pick::Dial(place)
            }
            Err(_) => {
                // A connection that is kept makes way for one that is wanted new; its place is free in a moment.
                if !state.kept.is_empty() {
                    dropped.push(state.kept.remove(0));
                }
                Pick::WaitForPlace
            }
        }
    }

    async fn dial(&self, wanted: Wanted, place: OwnedSemaphorePermit, until: Instant) -> Result<Held, OriginError> {
        let dialling = Dialling { pool: self, ended: false };
        let node = self.node.place(until).await?;
        let slot = Slot::new(place, node, Arc::clone(&self.changed));
        let purpose = if wanted == Wanted::Upgrade { Use::Upgrade } else { Use::Pool };
        match self.dialer.dial(purpose, slot).await {
            Ok(fresh) => {
                add(&self.node.figures.connects);
                Ok(dialling.done(fresh, purpose))
            }
            Err(error) => {
                dialling.failed(&error);
                Err(error)
            }
        }
    }

    /// A response over this connection is complete: it is kept for the next.
    pub(crate) fn give_back(self: &Arc<Self>, mut single: Single) {
        if single.sender.is_ready() {
            self.keep(single);
            return;
        }
        if single.sender.is_closed() {
            return;
        }
        // The rest of the request is on its way, or its task has not come to look for the next request.
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            if let Ok(Ok(())) = timeout(SETTLE, single.sender.ready()).await
                && let Some(pool) = pool.upgrade()
            {
                pool.keep(single);
            }
        });
    }

    fn keep(&self, mut single: Single) {
        single.used = true;
        single.idle_since = Instant::now();
        self.state.lock().kept.push(single);
        self.changed.notify_one();
    }

    /// Ends connections that were kept for long enough, or that the origin ended.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut state = self.state.lock();
        let (fit, unfit): (Vec<_>, Vec<_>) = std::mem::take(&mut state.kept).into_iter().partition(|single| single.is_fit(now, self.keep));
        state.kept = fit;
        let (fit, unfit_shared): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.shared).into_iter().partition(|multi| multi.is_fit(now, self.keep));
        state.shared = fit;
        drop(state);
        drop((unfit, unfit_shared));
    }

    /// Ends the connections that nobody uses, to make room for those of others.
    pub(crate) fn shed(&self) {
        let mut state = self.state.lock();
        let kept = std::mem::take(&mut state.kept);
        let (idle, busy): (Vec<_>, Vec<_>) = std::mem::take(&mut state.shared).into_iter().partition(|multi| multi.is_idle());
        state.shared = busy;
        drop(state);
        drop((kept, idle));
    }
}

/// A dial that is under way. Who waits for it is told when it ends, however it does.
struct Dialling<'a> {
    pool: &'a Pool,
    ended: bool,
}

impl Dialling<'_> {
    fn done(mut self, fresh: Fresh, purpose: Use) -> Held {
        self.ended = true;
        let mut state = self.pool.state.lock();
        state.dialling -= 1;
        let held = match fresh {
            Fresh::Single(single) => {
                if purpose == Use::Pool {
                    state.shares = Some(false);
                }
                Held::Single(single)
            }
            Fresh::Multi(multi) => {
                add(&self.pool.node.figures.connects_http2);
                state.shares = Some(true);
                let stream = multi.first(&self.pool.changed);
                state.shared.push(multi);
                Held::Stream(stream)
            }
        };
        drop(state);
        self.pool.changed.notify_waiters();
        held
    }

    fn failed(mut self, error: &OriginError) {
        self.ended = true;
        let mut state = self.pool.state.lock();
        state.dialling -= 1;
        state.failures += 1;
        state.failure = Some(error.share());
        drop(state);
        self.pool.changed.notify_waiters();
    }
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.pool.state.lock().dialling -= 1;
            self.pool.changed.notify_one();
        }
    }
}
