//! How old a node's view can be, and whether every node has seen a change: the pure core of freshness, relays and the barrier.
//!
//! Nothing here does I/O, reads a clock, draws a random number or knows of tokio: events come in with the time at which they
//! happened, decisions go out. So the rules that the promises of the cluster lean on are proved on this very code, by tables,
//! by proptest and by a model checker that drives it (`tests/model`). The reasons are in `docs/freshness.md`.
//!
//! ```text
//!   every node         Follower   ping ──►                      ──► staleness(now), state(now): fresh or fenced, and why
//!                                 pong, applied, clock ──►
//!
//!   leader and relays  Hub        join, leave, ping, ack ──►    ──► rounds, answers to pings, the ack that goes up
//!
//!   leader             Hub        barrier ──►                   ──► pending (who holds it back), or complete and by what
//! ```
//!
//! A node is driven like this; `now` is the machine's CLOCK_BOOTTIME throughout, and one `Hub` lives as long as its process:
//!
//! * **Every node**, once a second or so: `follower.clock(now, wall)`; `round = hub.begin_round(now)` if it has children;
//!   then `seq = follower.ping(now)`, sent to the parent *after* both calls. When the pong comes: `follower.pong(..)`, and
//!   `hub.end_round(round, RoundOutcome::Upstream { read }, now)` gives the answers for the children.
//! * **The leader** does the same with a ReadIndex round of Raft in place of the ping to a parent: `begin_round` and `ping`
//!   first, then ReadIndex, then `RoundOutcome::Led { term, read }`.
//! * **A voter that does not lead is a child of the leader** as every relay is: its upstream ping is what reaches ReadIndex.
//!   To run ReadIndex past the leader's `Hub` would grant freshness that the leader does not know of.
//! * **Whenever something was applied**, that is, has taken effect for requests: `follower.applied(..)`, `hub.applied(..)`.
//! * **Up**, when `hub.report(now)` changed, and at least once a round: the ack. It need not be in order with pings.
//!
//! ## Invariants
//!
//! 1. **Never understated.** A node that is fresh as of `t0` has applied everything that was committed before its clock read `t0`.
//! 2. **Nothing survives.** A `Follower` and a `Hub` start empty with their process, and a process has its own incarnation.
//! 3. **Counted before granted.** A ping is answered from a round that began after it arrived, and from the beginning of that
//!    round the child counts in what this node reports, for `bound * (1 + drift)`, whether or not it stays.
//! 4. **Once true, always true.** An ack says that whatever is fresh through this node has applied so much, and that stays true
//!    whoever joins later. So the parent keeps the most that was ever said, and the order in which acks arrive does not matter.
//! 5. **Bounded.** Pings, rounds, children, children that left, and laggards are all limited.

mod ack;
mod barrier;
mod children;
mod clock;
mod fences;
mod follower;
mod hub;
mod ledger;
mod policy;
mod settings;

pub use ack::{Ack, Child, Laggard, MAX_LAGGARDS};
pub use barrier::{Barrier, BarrierState, CompleteBy, Pending};
pub use children::{JoinError, MAX_CHILDREN};
pub use clock::{Boottime, WallTime};
pub use fences::{FencePolicies, Fences};
pub use follower::{Fence, FenceReason, Follower, FreshState, MAX_PINGS, PingSeq};
pub use hub::{Hub, RoundOutcome};
pub use ledger::{Answer, MAX_ROUNDS, RoundId};
pub use policy::{FenceAction, FencePolicy, Guarded};
pub use settings::Settings;
