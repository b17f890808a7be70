//! One request to the origin for all that want the same: who comes first leads, and the others follow.
//!
//! ```text
//!   ASKING ──┬─► FILLING     the answer is kept: followers for whom it is stream it
//!            ├─► FRESHENED   what was stored is valid: followers get it
//!            ├─► ALONE       the answer is for the leader only: each follower asks by itself
//!            └─► FAILED      there is no answer: each follower tries once more, or gets what is stale
//! ```
//! A flight is the errand of its leader, and goes on if the leader's viewer goes away. Nobody joins a flight that began before a purge that is about
//! what it asks for, or that was invalidated by a write; its answer is not kept either.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use ncore_store::cached::EntryKey;
use tokio::sync::watch;

use super::{
    filling::Filling,
    tiers::{Source, Way},
    variant::Variant,
};

/// How far a flight is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Asking,
    Filling(Arc<Filling>),
    Freshened(Arc<Variant>, Source),
    Alone,
    Failed,
}

/// One request to the origin.
#[derive(Debug)]
pub(crate) struct Flight {
    /// What it is for: at least one.
    keys: Vec<EntryKey>,
    /// The revision that this node had applied before it began.
    pub(crate) fill: u64,
    /// How many kinds of nodes may be asked before the origin.
    depth: u8,
    state: watch::Sender<State>,
}

/// What a request is in a flight.
#[derive(Debug)]
pub(crate) enum Seat {
    /// It is the one that asks.
    Leader(Arc<Flight>),
    /// It waits for what the leader is answered.
    Follower(watch::Receiver<State>),
    /// It would be the one that asks, but a flight has ended since it looked for what is stored: that may be there now.
    Missed,
    /// There is no room for another flight.
    None,
}

/// The flights under way.
#[derive(Debug)]
pub(crate) struct Flights {
    by_key: Mutex<HashMap<EntryKey, Arc<Flight>>>,
    max: usize,
    /// How often something was invalidated. Of many places: what comes is not kept if something else was invalidated meanwhile that has the same
    /// one, and behind an API that is written to that is often.
    invalidations: Counts<65_536>,
    /// How often a flight has ended. Of few: every hit reads one, and two keys with the same one cost another look at most.
    landings: Counts<256>,
}

/// How often something has happened to a key, or to another one that has the same place.
#[derive(Debug)]
struct Counts<const PLACES: usize>(Box<[AtomicU32]>);

impl Flights {
    /// At most `max` at once.
    pub(crate) fn new(max: usize) -> Self {
        Self { by_key: Mutex::default(), max, invalidations: Counts::new(), landings: Counts::new() }
    }

    /// Takes a seat in the flight for a key, which has to be younger than `newest_purge`. A new one begins under the revision `fill`.
    pub(crate) fn board(&self, key: EntryKey, fill: u64, newest_purge: u64, way: &Way) -> Seat {
        self.board_since(None, key, fill, newest_purge, way)
    }

    /// The same for who has looked for what is stored when so many flights had ended ([`landings`](Self::landings)), if it can look again: what one of them
    /// has brought since need not be asked for again.
    pub(crate) fn board_since(&self, landings: Option<u32>, key: EntryKey, fill: u64, newest_purge: u64, way: &Way) -> Seat {
        self.seat(vec![key], landings, fill, newest_purge, way)
    }

    /// The same for several keys in a row: in the flight for the first of them, or in a new one for as many as none is under way for.
    pub(crate) fn board_run(&self, keys: Vec<EntryKey>, fill: u64, newest_purge: u64, way: &Way) -> Seat {
        self.seat(keys, None, fill, newest_purge, way)
    }

    fn seat(&self, mut keys: Vec<EntryKey>, landings: Option<u32>, fill: u64, newest_purge: u64, way: &Way) -> Seat {
        let mut by_key = self.by_key();
        let may_join = |known: &&Arc<Flight>| known.fill >= newest_purge && known.may_be_waited_for(way);
        let under_way = |key: &EntryKey| by_key.get(key).filter(may_join);
        let Some(first) = keys.first() else { return Seat::None };
        if let Some(known) = under_way(first) {
            return Seat::Follower(known.follow());
        }
        if landings.is_some_and(|landings| self.landings(first) != landings) {
            return Seat::Missed;
        }
        let free = keys.iter().position(|key| under_way(key).is_some()).unwrap_or(keys.len());
        let is_full = by_key.len() >= self.max && !by_key.contains_key(first);
        if is_full {
            return Seat::None;
        }
        keys.truncate(free);
        let flight = Arc::new(Flight { keys, fill, depth: way.depth(), state: watch::Sender::new(State::Asking) });
        for key in &flight.keys {
            by_key.insert(*key, Arc::clone(&flight));
        }
        Seat::Leader(flight)
    }

    /// How far the flight for a key is, if one is under way that is younger than `newest_purge`.
    pub(crate) fn under_way(&self, key: &EntryKey, newest_purge: u64) -> Option<State> {
        let by_key = self.by_key();
        let known = by_key.get(key).filter(|known| known.fill >= newest_purge)?;
        let state = known.state.borrow().clone();
        Some(state)
    }

    /// Ends a flight.
    pub(crate) fn land(&self, flight: &Arc<Flight>) {
        let mut by_key = self.by_key();
        for key in &flight.keys {
            self.landings.add(key);
            if by_key.get(key).is_some_and(|known| Arc::ptr_eq(known, flight)) {
                by_key.remove(key);
            }
        }
    }

    /// How often flights for a key have ended, at least.
    pub(crate) fn landings(&self, key: &EntryKey) -> u32 {
        self.landings.of(key)
    }

    /// How often what is under a key was invalidated, at least. What is asked for is kept only if this is the same when it comes.
    pub(crate) fn invalidations(&self, key: &EntryKey) -> u32 {
        self.invalidations.of(key)
    }

    /// What is asked for under a key is not to be kept, and nobody joins its flight any more.
    pub(crate) fn invalidate(&self, key: &EntryKey) {
        self.invalidations.add(key);
        self.by_key().remove(key);
    }

    fn by_key(&self) -> std::sync::MutexGuard<'_, HashMap<EntryKey, Arc<Flight>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<const PLACES: usize> Counts<PLACES> {
    fn new() -> Self {
        Self((0..PLACES).map(|_| AtomicU32::new(0)).collect())
    }

    fn of(&self, key: &EntryKey) -> u32 {
        self.0[key.place(PLACES)].load(Ordering::Acquire)
    }

    fn add(&self, key: &EntryKey) {
        self.0[key.place(PLACES)].fetch_add(1, Ordering::AcqRel);
    }
}

impl Flight {
    /// For how many keys it is.
    pub(crate) fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    /// How many wait for what it is answered, or have been told and not begun to read.
    pub(crate) fn waiting(&self) -> usize {
        self.state.receiver_count()
    }

    /// One who waits, as who leads does.
    pub(crate) fn follow(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Whether a request on this way may wait for it: it may not wait for what may wait for it. What has its head already waits for nobody.
    fn may_be_waited_for(&self, way: &Way) -> bool {
        self.depth <= way.depth_joined() || !matches!(*self.state.borrow(), State::Asking)
    }

    /// Tells the followers.
    pub(crate) fn tell(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// What the leader was answered, as soon as it is known. Who follows is counted for as long as it has its receiver.
pub(crate) async fn answer(follower: &mut watch::Receiver<State>) -> State {
    match follower.wait_for(|state| !matches!(state, State::Asking)).await {
        Ok(state) => state.clone(),
        // The task of the flight is gone without a word.
        Err(_) => State::Failed,
    }
}

#[cfg(test)]
mod tests {
    use ncore_store::cached::EntryKey;

    use super::{Flights, Seat, State, answer};
    use crate::zones::tiers::{AskedAs, Hop, Tier, Way};

    /// The way of a viewer's request to the origin, without tiers.
    fn straight() -> Way {
        Way { asked_as: AskedAs::Node, hops: Vec::new() }
    }

    fn key(name: &str) -> EntryKey {
        EntryKey::of(&[name.as_bytes()])
    }

    #[tokio::test]
    async fn the_first_leads_and_the_others_follow() {
        let flights = Flights::new(1);
        let Seat::Leader(flight) = flights.board(key("a"), 5, 0, &straight()) else { panic!("the first") };
        let Seat::Follower(mut one) = flights.board(key("a"), 6, 5, &straight()) else { panic!("the second") };
        assert!(matches!(flights.board(key("b"), 6, 0, &straight()), Seat::None), "there is no room");
        flight.tell(State::Alone);
        assert!(matches!(answer(&mut one).await, State::Alone));
        flights.land(&flight);
        assert!(matches!(flights.board(key("b"), 6, 0, &straight()), Seat::Leader(_)));
    }

    /// What a flight has brought is there before the flight ends: who has looked before that, and comes after it, looks again.
    #[test]
    fn who_has_looked_before_a_flight_ended_does_not_lead_another() {
        let flights = Flights::new(8);
        let looked = flights.landings(&key("a"));
        let board = |landings| flights.board_since(Some(landings), key("a"), 5, 0, &straight());
        let Seat::Leader(flight) = board(looked) else { panic!("the first") };
        assert!(matches!(board(looked), Seat::Follower(_)));
        flights.land(&flight);
        assert!(matches!(board(looked), Seat::Missed));
        assert!(matches!(board(flights.landings(&key("a"))), Seat::Leader(_)));
    }

    #[tokio::test]
    async fn nobody_joins_what_began_before_a_purge() {
        let flights = Flights::new(8);
        let Seat::Leader(old) = flights.board(key("a"), 5, 0, &straight()) else { panic!("the first") };
        let Seat::Leader(new) = flights.board(key("a"), 6, 6, &straight()) else { panic!("after the purge") };
        assert_eq!((old.fill, new.fill), (5, 6));
        // The old one ends, and the new one is still there.
        flights.land(&old);
        assert!(matches!(flights.board(key("a"), 6, 6, &straight()), Seat::Follower(_)));
        let before = flights.invalidations(&key("a"));
        flights.invalidate(&key("a"));
        assert!(flights.invalidations(&key("a")) > before);
        assert!(matches!(flights.board(key("a"), 6, 6, &straight()), Seat::Leader(_)));
    }

    /// A thousand writes while something is asked for leave it to be kept, as a rule.
    #[test]
    fn what_is_invalidated_is_hardly_ever_taken_for_something_else() {
        let flights = Flights::new(8);
        (0..1_000).for_each(|number| flights.invalidate(&key(&format!("written/{number}"))));
        let touched = (0..1_000).filter(|number| flights.invalidations(&key(&format!("read/{number}"))) > 0).count();
        assert!(touched < 50, "{touched} of 1000");
    }

    #[test]
    fn a_run_goes_as_far_as_nobody_else_is() {
        let flights = Flights::new(8);
        let keys = |names: &[&str]| names.iter().map(|name| key(name)).collect();
        let Seat::Leader(later) = flights.board_run(keys(&["c", "d"]), 5, 0, &straight()) else { panic!("the first") };
        let Seat::Leader(run) = flights.board_run(keys(&["a", "b", "c"]), 5, 0, &straight()) else { panic!("before it") };
        assert_eq!((later.len(), run.len()), (2, 2));
        for name in ["a", "b", "c", "d"] {
            assert!(matches!(flights.board(key(name), 5, 0, &straight()), Seat::Follower(_)), "{name}");
        }
        flights.land(&run);
        assert!(matches!(flights.board_run(keys(&["b", "c"]), 5, 0, &straight()), Seat::Leader(flight) if flight.len() == 1));
        assert!(
            matches!(flights.board_run(keys(&["c", "d"]), 6, 6, &straight()), Seat::Leader(flight) if flight.len() == 2),
            "after a purge"
        );
    }

    #[tokio::test]
    async fn a_flight_that_vanishes_has_failed() {
        let flights = Flights::new(8);
        let Seat::Leader(flight) = flights.board(key("a"), 5, 0, &straight()) else { panic!("the first") };
        let Seat::Follower(mut follower) = flights.board(key("a"), 5, 0, &straight()) else { panic!("the second") };
        flights.land(&flight);
        drop(flight);
        assert!(matches!(answer(&mut follower).await, State::Failed));
    }

    /// Two nodes that take each other for the owner do not wait for each other.
    #[tokio::test]
    async fn who_is_asked_waits_for_nobody_who_may_wait_for_it() {
        let way = |asked_as, tier: Option<Tier>| Way { asked_as, hops: tier.map(|tier| Hop { node: 2, tier }).into_iter().collect() };
        let flights = Flights::new(8);
        let viewers = way(AskedAs::Node, Some(Tier::Region));
        let Seat::Leader(deep) = flights.board(key("a"), 5, 0, &viewers) else { panic!("the first") };
        assert!(matches!(flights.board(key("a"), 5, 0, &viewers), Seat::Follower(_)), "another viewer");
        let Seat::Leader(middle) = flights.board(key("a"), 5, 0, &way(AskedAs::Region, Some(Tier::Shield))) else { panic!("a ring") };
        let Seat::Leader(last) = flights.board(key("a"), 5, 0, &way(AskedAs::Shield, None)) else { panic!("a ring") };
        for asked_as in [AskedAs::Node, AskedAs::Region, AskedAs::Shield] {
            assert!(matches!(flights.board(key("a"), 5, 0, &way(asked_as, None)), Seat::Follower(_)), "{asked_as:?}: it asks the origin");
        }
        for flight in [deep, middle, last] {
            flights.land(&flight);
        }
        let Seat::Leader(deep) = flights.board(key("a"), 5, 0, &viewers) else { panic!("they have landed") };
        deep.tell(State::Alone);
        assert!(matches!(flights.board(key("a"), 5, 0, &way(AskedAs::Shield, None)), Seat::Follower(_)), "it has an answer");
    }
}
