//! One child, on the side of the hub.
//!
//! ```text
//!   welcomed ── Follow ─► fed ──┬─ has everything: waits for the ring to move
//!       │                       ├─ its entries have fallen out of ring and log ─► Compacted
//!       │                       ├─ takes nothing for too long ─────────────────► dropped
//!       └───────────────────────┴─ the hub stops or drains ────────────────────► GoAway
//!                                  the child was removed, or came anew ────────► ended
//! ```

use std::sync::Arc;

use ncore_freshness::{Ack, Answer, Child, JoinError, PingSeq};
use ncore_model::{NodeId, NodeState};
use ncore_proto::hub::v1::{self as wire, down::Message as Down, up::Message as Up};
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant, sleep_until, timeout},
};
use tonic::{Status, Streaming};

use super::{Hub, children::Place, leadership::Leader, source::Supply};
use crate::freshness::{Membership, wire as convert};

/// Shorter times between two runs of entries are not kept.
const SHORTEST_PACE: Duration = Duration::from_millis(1);

/// A child's stream.
pub(super) struct Session {
    hub: Arc<Hub>,
    child: NodeId,
    region: String,
    relay: bool,
    place: Place,
    down: mpsc::Sender<Result<wire::Down, Status>>,
    /// Where the child stands, once it has said so.
    follow: watch::Sender<Option<wire::Follow>>,
    /// Whether it takes part in Raft, and is here to be fresh alone.
    voter: bool,
    incarnation: u64,
    /// Gives `feed` the answers to the pings of the child, once it counts.
    answers: watch::Sender<Option<watch::Receiver<Option<Answer>>>>,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The child has gone.
    Left,
    /// It came again, on another stream.
    Replaced,
    /// It was removed from the cluster.
    Removed,
    /// It did not take what it was sent.
    Slow,
    /// It is to go elsewhere.
    Away(&'static str),
    /// It needs a checkpoint; this is the first index that is here.
    Compacted(u64),
    /// It did not keep to the protocol.
    Protocol(&'static str),
}

impl Session {
    pub(super) fn new(hub: Arc<Hub>, hello: wire::Hello, place: Place, down: mpsc::Sender<Result<wire::Down, Status>>) -> Self {
        Self {
            hub,
            child: NodeId(hello.node_id),
            region: hello.region,
            relay: hello.relay,
            place,
            down,
            follow: watch::Sender::new(None),
            voter: hello.voter,
            incarnation: hello.incarnation,
            answers: watch::Sender::new(None),
        }
    }

    /// Serves the child until one of the two has had enough.
    pub(super) async fn run(self, up: Streaming<wire::Up>) {
        let end = tokio::select! {
            // First, so that a child that was removed gets nothing that was committed after that.
            biased;
            end = self.watch_over() => end,
            end = self.listen(up) => end,
            end = self.feed() => end,
        };
        tracing::debug!(child = %self.child, ?end, "a child's stream ended");
        let last = match end {
            End::Left | End::Replaced => return,
            End::Removed => Err(Status::permission_denied("this node was removed from the cluster")),
            End::Slow => Err(Status::resource_exhausted("this node does not take what it is sent")),
            End::Protocol(what) => Err(Status::invalid_argument(what)),
            End::Away(reason) => {
                let others = self.hub.others(self.child, &self.region, self.relay);
                Ok(Down::GoAway(wire::GoAway { reason: reason.to_owned(), others }))
            }
            End::Compacted(oldest) => Ok(Down::Compacted(wire::Compacted { oldest, lineage: self.hub.replica.revision().lineage })),
        };
        let last = last.map(|message| wire::Down { message: Some(message) });
        // A child that takes nothing does not hear this either.
        let _ = timeout(super::settings::LAST_WORD, self.down.send(last)).await;
    }

    /// Waits for a reason from outside to end the session.
    async fn watch_over(&self) -> End {
        let mut nodes = self.hub.nodes.watch();
        loop {
            nodes.mark_unchanged();
            if self.hub.state_of(self.child) == Some(NodeState::Removed) {
                return End::Removed;
            }
            if !self.voter && self.hub.state_of(self.hub.own) == Some(NodeState::Draining) {
                return End::Away("this node is draining");
            }
            tokio::select! {
                () = self.hub.stop.cancelled() => return End::Away("this node is stopping"),
                () = self.place.replaced.cancelled() => return End::Replaced,
                () = self.down.closed() => return End::Left,
                changed = nodes.changed() => if changed.is_err() { return End::Away("this node is stopping") },
            }
        }
    }

    async fn listen(&self, mut up: Streaming<wire::Up>) -> End {
        let mut counted: Option<Membership> = None;
        loop {
            let message = match up.message().await {
                Ok(Some(wire::Up { message })) => message,
                Ok(None) | Err(_) => return End::Left,
            };
            match message {
                Some(Up::Follow(_)) if self.follow.borrow().is_some() => return End::Protocol("the child follows already"),
                Some(Up::Follow(follow)) => {
                    if self.place.follow(follow.next).is_err() {
                        return End::Away("this hub feeds as many as it may");
                    }
                    self.follow.send_replace(Some(follow));
                }
                Some(Up::Ack(ack)) => {
                    let ack = convert::ack_of(ack);
                    self.place.acknowledge(ack.applied.index + 1);
                    match &counted {
                        Some(member) => member.ack(ack),
                        None => match self.count(ack) {
                            Ok(member) => counted = Some(member),
                            Err(end) => return end,
                        },
                    }
                }
                Some(Up::Ping(ping)) => match &counted {
                    Some(member) => member.ping(PingSeq(ping.seq)),
                    None => return End::Protocol("a child says how far it is before it asks"),
                },
                Some(Up::Hello(_)) => return End::Protocol("a child says hello once"),
                // What this version does not know.
                None => {}
            }
        }
    }

    /// From its first acknowledgement on the child counts for freshness.
    fn count(&self, ack: Ack) -> Result<Membership, End> {
        let child = Child { node: self.child, incarnation: self.incarnation };
        match self.hub.pulse.join(child, ack) {
            Ok(member) => {
                self.answers.send_replace(Some(member.answers.clone()));
                Ok(member)
            }
            Err(JoinError::Full) => Err(End::Away("this hub has as many children as it can have")),
            Err(JoinError::Superseded) => Err(End::Replaced),
        }
    }

    async fn feed(&self) -> End {
        match self.try_feed().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn try_feed(&self) -> Result<std::convert::Infallible, End> {
        let (mut ring, mut leader, mut follow) = (self.hub.ring.watch(), self.hub.leadership.watch(), self.follow.subscribe());
        let (mut told, mut next, mut sent_at) = (None, None, Instant::now());
        let (mut counted, mut pongs) = (self.answers.subscribe(), None);
        loop {
            ring.mark_unchanged();
            let known = *leader.borrow_and_update();
            if told != Some(known) {
                told = Some(known);
                self.send(leader_message(known)).await?;
            }
            let begun = *follow.borrow_and_update();
            if let (None, Some(follow)) = (next, begun) {
                next = Some(self.starting_at(&follow)?);
            }
            if let Some(index) = next {
                match self.hub.supply(index).await {
                    Supply::Frames(frames) => {
                        for frame in frames {
                            next = Some(frame.end());
                            self.send(Down::Entries(frame.to_wire())).await?;
                        }
                        sent_at = Instant::now();
                        continue;
                    }
                    Supply::Nothing => {}
                    Supply::Compacted { oldest } => return Err(End::Compacted(oldest)),
                    Supply::Stopped => return Err(End::Away("this node is stopping")),
                }
            }
            tokio::select! {
                changed = ring.changed(), if next.is_some() => {
                    changed.map_err(|_| End::Away("this node is stopping"))?;
                    let pace = self.hub.pace();
                    // The clock of the runtime has no shorter times.
                    if pace >= SHORTEST_PACE {
                        sleep_until(sent_at + pace).await;
                    }
                }
                changed = leader.changed() => changed.map_err(|_| End::Away("this node is stopping"))?,
                changed = follow.changed(), if next.is_none() => changed.map_err(|_| End::Left)?,
                _ = counted.changed() => pongs = counted.borrow_and_update().clone(),
                answer = next_answer(&mut pongs) => self.send(pong_message(answer)).await?,
            }
        }
    }

    /// The first index that the child lacks, if this node can go on from where the child stands.
    fn starting_at(&self, follow: &wire::Follow) -> Result<u64, End> {
        let own = self.hub.replica.revision().lineage;
        match follow.lineage.cmp(&own) {
            std::cmp::Ordering::Less => Err(End::Compacted(self.hub.ring.next())),
            std::cmp::Ordering::Equal => Ok(follow.next),
            std::cmp::Ordering::Greater => Err(End::Away("this hub is of an earlier lineage than the child")),
        }
    }

    async fn send(&self, message: Down) -> Result<(), End> {
        let message = wire::Down { message: Some(message) };
        match timeout(self.hub.settings.slow_after, self.down.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Left),
            Err(_) => Err(End::Slow),
        }
    }
}

/// The next answer to a ping. Cancel safe.
async fn next_answer(answers: &mut Option<watch::Receiver<Option<Answer>>>) -> Answer {
    let Some(answers) = answers else { return std::future::pending().await };
    loop {
        if answers.changed().await.is_err() {
            // The child does not count any more: its stream is about to end.
            return std::future::pending().await;
        }
        if let Some(answer) = *answers.borrow_and_update() {
            return answer;
        }
    }
}

fn pong_message(answer: Answer) -> Down {
    Down::Pong(wire::Pong { seq: answer.seq.0, read: Some(convert::revision(answer.read)) })
}

fn leader_message(leader: Leader) -> Down {
    Down::Leader(wire::Leader { node_id: leader.node.unwrap_or(0), term: leader.term })
}
