//! The freshness of this node and of those below it, behind one lock.

mod ends;
mod fencings;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ncore_freshness::{
    Ack, Answer, Barrier, BarrierState, Boottime, Child, Follower, FreshState, Hub, JoinError, PingSeq, RoundId, RoundOutcome, Settings,
};
use ncore_model::Revision;
use ncore_proto::hub::v1::{self as wire, up::Message as Up};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use self::fencings::Fencings;
use super::{
    clock::{boottime, wall},
    wire as convert,
};

/// Every event of freshness goes through here, with the time at which it happened.
pub(crate) struct Pulse {
    settings: Settings,
    core: Mutex<Core>,
    /// As of when the view is fresh, in nanoseconds of CLOCK_BOOTTIME; 0 for not at all. Written under the lock after every event, so
    /// that requests need not take it.
    fresh_as_of: AtomicU64,
    /// The state as it was last looked at.
    state: watch::Sender<FreshState>,
    /// Counts what may have changed the report that goes up, or the state of a barrier.
    progress: watch::Sender<u64>,
    /// A round is wanted: soon, because children wait for one.
    pub(super) asked: Notify,
    /// A round is wanted: now.
    pub(super) urged: Notify,
}

struct Core {
    follower: Follower,
    hub: Hub,
    upstream: Option<Attached>,
    attached: u64,
    outlets: HashMap<Child, Outlet>,
    joined: u64,
    fencings: Fencings,
}

/// Where the answers for a child go.
struct Outlet {
    /// Of which joining it is: a node that comes again joins again, and its earlier stream ends later.
    number: u64,
    answers: watch::Sender<Option<Answer>>,
}

/// A stream to a node nearer to the leader.
struct Attached {
    number: u64,
    up: mpsc::Sender<wire::Up>,
    /// Pings without a pong, each with the round that it answers.
    under_way: VecDeque<(PingSeq, RoundId)>,
    /// When the last pong came, or the stream began.
    heard: Boottime,
}

/// Holds a stream as the one that pings go up on; it is not used any more when this is dropped.
pub(crate) struct Upstream {
    pulse: Arc<Pulse>,
    number: u64,
}

/// A child counts here. It leaves when this is dropped.
pub(crate) struct Membership {
    pulse: Arc<Pulse>,
    child: Child,
    number: u64,
    /// The newest answer to the child's pings.
    pub(crate) answers: watch::Receiver<Option<Answer>>,
}

impl Pulse {
    pub(crate) fn new(settings: Settings, applied: Revision) -> Arc<Self> {
        let follower = Follower::new(settings, applied, boottime());
        let state = watch::Sender::new(follower.state(boottime()));
        let hub = Hub::new(settings, applied);
        let core = Mutex::new(Core {
            follower,
            hub,
            upstream: None,
            attached: 0,
            outlets: HashMap::new(),
            joined: 0,
            fencings: Fencings::default(),
        });
        let fresh_as_of = AtomicU64::new(0);
        Arc::new(Self { settings, core, fresh_as_of, state, progress: watch::Sender::new(0), asked: Notify::new(), urged: Notify::new() })
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Whether this node may act on its view, as of now. What is read from the view *after* this call is at least that new. Without a
    /// lock while it is fresh.
    pub(crate) fn state(&self) -> FreshState {
        let as_of = Boottime::from_nanos(self.fresh_as_of.load(Ordering::Acquire));
        let is_known = as_of > Boottime::from_nanos(0);
        if is_known && boottime().since(as_of) < self.settings.bound {
            return FreshState::Fresh { as_of };
        }
        self.core.lock().follower.state(boottime())
    }

    /// Makes known to requests what an event has come to.
    fn publish(&self, core: &Core) {
        let as_of = match core.follower.state(boottime()) {
            FreshState::Fresh { as_of } => as_of.as_nanos(),
            FreshState::Fenced(_) => 0,
        };
        self.fresh_as_of.store(as_of, Ordering::Release);
    }

    /// How old the view can be at most; `None` if nothing is known.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        self.core.lock().follower.staleness(boottime())
    }

    /// How often freshness ended, since the start.
    pub(crate) fn fencings(&self) -> u64 {
        let mut core = self.core.lock();
        core.count(boottime());
        core.fencings.count()
    }

    /// Follows the state. It is announced within a tenth of a second, so whoever must know at an exact time asks for it.
    pub(crate) fn watch(&self) -> watch::Receiver<FreshState> {
        self.state.subscribe()
    }

    /// Has a round begin now.
    pub(crate) fn urge(&self) {
        self.urged.notify_one();
    }

    /// Looks at both clocks, and announces the state if it is another.
    pub(super) fn look(&self) {
        let mut core = self.core.lock();
        let now = boottime();
        core.tell_time(now);
        let state = core.follower.state(now);
        self.publish(&core);
        drop(core);
        self.state.send_if_modified(|known| {
            let news = *known != state;
            *known = state;
            news
        });
    }

    /// This node answers from a view that has `revision` in it.
    pub(super) fn applied(&self, revision: Revision) {
        let mut core = self.core.lock();
        let now = boottime();
        core.count(now);
        core.follower.applied(revision, now);
        core.count(now);
        self.publish(&core);
    }

    /// The same, and the view would outlive a loss of power.
    pub(super) fn durable(&self, revision: Revision) {
        self.core.lock().hub.applied(revision);
        self.moved();
    }

    /// What to tell upwards.
    pub(super) fn report(&self) -> Ack {
        self.core.lock().hub.report(boottime())
    }

    /// Follows whatever may change the report or a barrier.
    pub(super) fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    fn moved(&self) {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn barrier(&self, barrier: &Barrier) -> BarrierState {
        self.core.lock().hub.barrier(barrier, boottime())
    }

    /// A round of this node as the leader begins. ReadIndex must be started after this call.
    pub(super) fn begin_led(&self) -> (RoundId, PingSeq) {
        let mut core = self.core.lock();
        let now = boottime();
        core.tell_time(now);
        self.publish(&core);
        (core.hub.begin_round(now), core.follower.ping(now))
    }

    /// It ended.
    pub(super) fn end_led(&self, (round, seq): (RoundId, PingSeq), outcome: RoundOutcome) {
        let mut core = self.core.lock();
        let now = boottime();
        if let RoundOutcome::Led { read, .. } = outcome {
            core.pong(seq, read, now);
        }
        self.publish(&core);
        core.end_round(round, outcome);
        drop(core);
        self.moved();
    }

    /// A round with a ping upwards. Whether there is somebody to ask.
    pub(super) fn ping_upstream(&self) -> bool {
        let mut core = self.core.lock();
        let now = boottime();
        core.tell_time(now);
        self.publish(&core);
        let Core { follower, hub, upstream: Some(attached), .. } = &mut *core else { return false };
        let (round, ack) = (hub.begin_round(now), hub.report(now));
        let seq = follower.ping(now);
        let mut given_up = None;
        if attached.under_way.len() >= ncore_freshness::MAX_ROUNDS {
            given_up = attached.under_way.pop_front();
        }
        attached.under_way.push_back((seq, round));
        // A stream that takes nothing brings no pong either, and is left for that.
        let _ = attached.up.try_send(wire::Up { message: Some(Up::Ack(convert::ack(&ack))) });
        let _ = attached.up.try_send(wire::Up { message: Some(Up::Ping(wire::Ping { seq: seq.0 })) });
        if let Some((_, round)) = given_up {
            hub.end_round(round, RoundOutcome::Failed, now);
        }
        true
    }

    /// Sends what is to be told upwards, if there is somebody to tell.
    pub(super) fn acknowledge(&self, ack: &Ack) {
        if let Some(attached) = &self.core.lock().upstream {
            let _ = attached.up.try_send(wire::Up { message: Some(Up::Ack(convert::ack(ack))) });
        }
    }

    /// Pings go up on this stream from now on; at once, to begin with.
    pub(crate) fn attach(self: &Arc<Self>, up: mpsc::Sender<wire::Up>) -> Upstream {
        let mut core = self.core.lock();
        core.detach();
        core.attached += 1;
        let number = core.attached;
        let now = boottime();
        let ack = convert::ack(&core.hub.report(now));
        let _ = up.try_send(wire::Up { message: Some(Up::Ack(ack)) });
        core.upstream = Some(Attached { number, up, under_way: VecDeque::new(), heard: now });
        drop(core);
        self.urge();
        Upstream { pulse: Arc::clone(self), number }
    }

    /// A child says how far it is, and counts from its first ping on.
    pub(crate) fn join(self: &Arc<Self>, child: Child, ack: Ack) -> Result<Membership, JoinError> {
        let mut core = self.core.lock();
        core.hub.join(child, ack, boottime())?;
        core.joined += 1;
        let (number, (sender, answers)) = (core.joined, watch::channel(None));
        core.outlets.insert(child, Outlet { number, answers: sender });
        drop(core);
        self.moved();
        Ok(Membership { pulse: Arc::clone(self), child, number, answers })
    }
}

impl Core {
    /// Looks at both clocks.
    fn tell_time(&mut self, now: Boottime) {
        self.count(now);
        self.follower.clock(now, wall());
        self.count(now);
    }

    /// An answer came. Freshness may have ended unseen since the last look, so that is looked for first.
    fn pong(&mut self, seq: PingSeq, read: Revision, now: Boottime) {
        self.count(now);
        self.follower.pong(seq, read, now);
        self.count(now);
    }

    fn count(&mut self, now: Boottime) {
        self.fencings.note(&self.follower.state(now));
    }

    fn end_round(&mut self, round: RoundId, outcome: RoundOutcome) {
        for answer in self.hub.end_round(round, outcome, boottime()) {
            if let Some(outlet) = self.outlets.get(&answer.child) {
                outlet.answers.send_replace(Some(answer));
            }
        }
    }

    fn detach(&mut self) {
        let Some(attached) = self.upstream.take() else { return };
        for (_, round) in attached.under_way {
            self.end_round(round, RoundOutcome::Failed);
        }
    }
}
