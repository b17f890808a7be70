//! Following a hub: choosing it, taking its entries, keeping another one warm, and going elsewhere when that is better.
//!
//! ```text
//!   choose ─► open ─► Follow ──┬─ entries: check, apply
//!     ▲        (or the warm    ├─ compacted, by a voter: checkpoint ─┐
//!     │         one)           ├─ compacted, by a relay: a voter     │
//!     │                        ├─ broken, sent away: another         │
//!     │                        └─ a better one is warm: that one     │
//!     └──────────────────────────────────────────────────────────────┘
//! ```

mod choice;
mod status;
mod warm;

pub(crate) use status::FollowerStatus;
pub use status::Parent;

use std::{collections::HashMap, sync::Arc, time::Duration};

use ncore_freshness::PingSeq;
use ncore_model::{NodeId, Revision};
use ncore_proto::hub::v1::{self as wire, down::Message as Down, up::Message as Up};
use ncore_raft::{CommittedEntry, Fatal, FatalReason, StateMachine};
use ncore_replica::Replica;
use rand::RngExt;
use tokio::{
    task,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Catcher, FirstHubs, HubSettings,
    checkpoint::CatchError,
    frame,
    leadership::Leadership,
    link::{Link, LinkError},
    parents::Candidate,
};
use crate::{
    freshness::{Pulse, Upstream, wire as convert},
    machine::ReplicaMachine,
    peers::Peers,
};
use warm::Warm;

/// The waits between rounds in which no hub could be had, from the first to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long a hub may leave pings unanswered before another is followed.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a voter may be out of reach before a checkpoint of which it sent a part is given up.
const UNFINISHED: Duration = Duration::from_secs(30);
/// Entries, and bytes of them, that are applied at once at most.
const BATCH_ENTRIES: usize = 1_024;
const BATCH_BYTES: usize = 4 << 20;
/// So many entries are applied where they are met: the way to another thread and back takes longer.
const SMALL_BATCH: usize = 8;

/// What a follower is made from.
pub(crate) struct FollowerParts {
    pub(crate) own: NodeId,
    pub(crate) replica: Arc<Replica>,
    pub(crate) machine: Arc<ReplicaMachine>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) first_hubs: FirstHubs,
    pub(crate) catcher: Catcher,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) hello: wire::Hello,
    pub(crate) status: Arc<FollowerStatus>,
    pub(crate) settings: HubSettings,
}

/// Follows hubs, one after the other.
pub(crate) struct Follower {
    parts: FollowerParts,
    /// Hubs that are not to be tried before a time, unless there is no other.
    avoided: HashMap<NodeId, Instant>,
    /// Hubs that the last one named when it sent this node away.
    named: Vec<NodeId>,
    /// The voter of whose checkpoint a part has come, and until when no other is asked: one of another voter has other files.
    unfinished: Option<(NodeId, Instant)>,
    /// Relays whose ring begins later than this node stands, and where.
    too_new: HashMap<NodeId, u64>,
    warm: Warm,
}

/// Why a hub is not followed any more.
enum End {
    /// A better one is warm.
    Better,
    /// The stream ended.
    Lost(LinkError),
    /// The hub does not have the entries that come next; this is the first that it has.
    Compacted(u64),
    /// What it sent does not fit.
    Misfit(String),
    /// The node must stop.
    Fatal(FatalReason),
}

impl Follower {
    pub(crate) fn new(parts: FollowerParts) -> Self {
        Self { parts, avoided: HashMap::new(), named: Vec::new(), unfinished: None, too_new: HashMap::new(), warm: Warm::default() }
    }

    /// Follows until `stop`.
    ///
    /// # Errors
    /// [`FatalReason`], for which the node must stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), FatalReason> {
        let following = self.follow_hubs();
        let result = stop.run_until_cancelled(following).await.map_or(Ok(()), Err);
        self.parts.status.left();
        result
    }

    async fn follow_hubs(&mut self) -> FatalReason {
        let mut backoff = BACKOFF.0;
        loop {
            let Some(link) = self.find().await else {
                let jitter = rand::rng().random_range(0.5..1.0);
                sleep(backoff.mul_f64(jitter)).await;
                backoff = (backoff * 2).min(BACKOFF.1);
                continue;
            };
            backoff = BACKOFF.0;
            let hub = link.hub.clone();
            let end = self.follow(link).await;
            self.parts.status.left();
            match end {
                End::Better => {}
                End::Lost(error) => self.lost(&hub, &error),
                End::Misfit(what) => {
                    tracing::warn!(hub = %hub.node, what, "a hub sent what does not fit");
                    self.avoid(hub.node);
                }
                End::Compacted(oldest) => {
                    if let Err(fatal) = self.catch_up(&hub, oldest).await {
                        return fatal;
                    }
                }
                End::Fatal(reason) => return reason,
            }
        }
    }

    async fn follow(&mut self, mut link: Link) -> End {
        let Revision { lineage, .. } = self.parts.replica.revision();
        let next = self.parts.machine.next();
        link.send(Up::Follow(wire::Follow { lineage, next }));
        self.named.clear();
        tracing::info!(hub = %link.hub.node, depth = link.welcome.depth, next, "following");
        self.parts.status.follows(&link.hub, link.welcome.depth, link.welcome.next);
        let upstream = self.parts.pulse.attach(link.sender());
        let mut review = interval(self.parts.settings.review);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = link.next() => match self.take(&mut link, &upstream, message).await {
                    Ok(()) => {}
                    Err(end) => return end,
                },
                _ = review.tick() => {
                    if self.is_silent(&link, &upstream) {
                        return End::Lost(LinkError::Broken("it answers no ping".to_owned()));
                    }
                    if self.review(&link) {
                        return End::Better;
                    }
                }
                () = self.warm.tend(&self.parts.leadership) => {}
            }
        }
    }

    /// Takes a message, and whatever entries are there behind it.
    async fn take(&self, link: &mut Link, upstream: &Upstream, message: Result<Down, LinkError>) -> Result<(), End> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut message = Some(message);
        while let Some(taken) = message {
            match taken {
                Ok(Down::Entries(entries)) => {
                    bytes += entries.batch.len();
                    self.unpack(&entries, &mut batch)?;
                }
                other => {
                    // In their order: what came before is applied before.
                    self.apply(std::mem::take(&mut batch)).await?;
                    self.heed(&other.map_err(End::Lost)?, upstream)?;
                }
            }
            message = if batch.len() < BATCH_ENTRIES && bytes < BATCH_BYTES { link.next_now() } else { None };
        }
        self.apply(batch).await
    }

    fn heed(&self, message: &Down, upstream: &Upstream) -> Result<(), End> {
        match message {
            Down::Leader(leader) => {
                self.parts.leadership.learn(leader.into());
                Ok(())
            }
            &Down::Compacted(wire::Compacted { oldest, .. }) => Err(End::Compacted(oldest)),
            Down::Welcome(_) => Err(End::Misfit("a second welcome".to_owned())),
            Down::Pong(pong) => {
                upstream.pong(PingSeq(pong.seq), convert::revision_of(pong.read));
                Ok(())
            }
            Down::Entries(_) | Down::GoAway(_) => Ok(()),
        }
    }

    /// Adds the entries to the batch, if they are those that come next.
    fn unpack(&self, entries: &wire::Entries, batch: &mut Vec<CommittedEntry>) -> Result<(), End> {
        let expected = batch.last().map_or_else(|| self.parts.machine.next(), |last| last.position.index + 1);
        if entries.first != expected {
            return Err(End::Misfit(format!("entry {} where {expected} belongs", entries.first)));
        }
        let decoded = frame::decode(entries).map_err(|error| End::Misfit(crate::chain(&error)))?;
        let before = batch.last().map(|last| last.position).or_else(|| self.parts.machine.position());
        if let (Some(before), Some(first)) = (before, decoded.first())
            && (first.position.term, first.position.node) < (before.term, before.node)
        {
            return Err(End::Misfit(format!(
                "entry {} of term {} after one of term {}",
                first.position.index, first.position.term, before.term
            )));
        }
        batch.extend(decoded);
        Ok(())
    }

    async fn apply(&self, batch: Vec<CommittedEntry>) -> Result<(), End> {
        if batch.is_empty() {
            return Ok(());
        }
        let machine = Arc::clone(&self.parts.machine);
        let applied = match batch.len() <= SMALL_BATCH {
            true => machine.apply(batch),
            false => {
                let applied = task::spawn_blocking(move || machine.apply(batch)).await;
                applied.unwrap_or_else(|error| Err(Fatal::new("apply entries", error)))
            }
        };
        applied.map_err(|fatal| End::Fatal(FatalReason::Machine(fatal)))?;
        self.parts.status.applied(self.parts.machine.next());
        Ok(())
    }

    /// Whether the hub should have answered a ping by now: it has known a leader for long enough, and this node has what it had at
    /// the beginning. While there was no leader it could not answer, and to leave it for that would cost the time that is left.
    fn is_silent(&self, link: &Link, upstream: &Upstream) -> bool {
        let silence = upstream.silence().min(self.parts.leadership.known_for());
        silence > SILENCE && self.parts.machine.next() >= link.welcome.next
    }

    /// Sees to the warm stream. True if it is better than the one that is followed.
    fn review(&mut self, link: &Link) -> bool {
        let candidates = self.candidates();
        let rank = |node: NodeId| candidates.iter().position(|hub| hub.node == node);
        let own = rank(link.hub.node).unwrap_or(usize::MAX);
        if self.warm.hub().and_then(rank).is_some_and(|warm| warm < own) && self.warm.has_place() {
            return true;
        }
        let best = candidates.into_iter().find(|hub| hub.node != link.hub.node);
        self.warm.aim(best, &self.parts.peers, self.parts.hello.clone());
        self.parts.status.warm(self.warm.hub());
        false
    }

    async fn catch_up(&mut self, hub: &Candidate, oldest: u64) -> Result<(), FatalReason> {
        if !hub.voter {
            // It has a ring and no log. A voter has both, and checkpoints.
            self.too_new.insert(hub.node, oldest);
            return Ok(());
        }
        let before = self.parts.catcher.present();
        match self.parts.catcher.catch_up(hub, oldest).await {
            Ok(()) => {
                self.unfinished = None;
                self.parts.status.took_checkpoint();
                Ok(())
            }
            Err(CatchError::Fatal(reason)) => Err(reason),
            Err(error) => {
                tracing::warn!(hub = %hub.node, reason = crate::chain(&error), "no checkpoint could be taken over");
                if self.parts.catcher.present() != before {
                    self.unfinished = Some((hub.node, Instant::now() + UNFINISHED));
                }
                self.avoid(hub.node);
                Ok(())
            }
        }
    }
}
