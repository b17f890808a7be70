//! Proposals on their way to the leader: one stream for all that this node forwards.
//!
//! ```text
//!   callers ── orders ──► queue ──► what is there goes as one message ──► leader: one write of Raft
//!      ▲                            at most two messages are under way,        │
//!      │                            or one more after each GATHER              │
//!      └────────────────────────────────── answers, by number ◄────────────────┘
//! ```
//!
//! A lone caller's proposal goes at once. Many callers share messages, and with them the work on both sides: a message costs the cluster
//! three syncs and a dozen wake-ups, whatever it carries. Over a long way, where answers take longer than [`GATHER`], no proposal waits
//! longer than that.
//!
//! An order is either withdrawn by its caller or sent, never both: so a caller whose patience ends while the order is in the queue knows
//! that nothing was appended.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use ncore_model::NodeId;
use ncore_proto::cluster::v1::{self as wire, cluster_client::ClusterClient};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::{
    peers::{ConnectFailed, Peers},
    propose::{self, Try},
    service::MAX_MESSAGE,
};

/// Orders that wait to be taken. Their callers wait behind it, and may withdraw.
const QUEUE: usize = 1_024;
/// Proposals, and bytes of them, in one message at most; but always one.
const MESSAGE: usize = 512;
const MESSAGE_BYTES: usize = 1 << 20;
/// Messages under way beyond which the next one waits for an answer, or for [`GATHER`].
const AHEAD: usize = 2;
/// The longest wait for company.
const GATHER: Duration = Duration::from_millis(10);
/// Proposals without an answer at most.
const UNANSWERED: usize = 4_096;
/// How long a leader may take to open the stream, the connection included.
const OPEN: Duration = Duration::from_secs(3);

const OUT_OF_REACH: &str = "the leader is out of reach";
const BROKE: &str = "the connection to the leader broke";

/// The way to the leader. It leads to one node at a time.
#[derive(Default)]
pub(crate) struct Forwarder {
    lane: Mutex<Option<Lane>>,
}

struct Lane {
    leader: NodeId,
    orders: mpsc::Sender<Order>,
}

/// A proposal that somebody waits for.
struct Order {
    proposal: Bytes,
    until: Instant,
    claim: Claim,
    answer: oneshot::Sender<Try>,
}

/// Whoever takes it first has the say over an order.
#[derive(Clone, Default)]
struct Claim(Arc<AtomicBool>);

impl Claim {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Forwarder {
    /// Has `leader` propose a record of a proposal.
    pub(crate) async fn propose(&self, peers: &Peers, leader: NodeId, proposal: Bytes, patience: Duration) -> Try {
        let Some(orders) = self.lane_to(peers, leader) else {
            return Try::NotAppended("the leader's address is not known");
        };
        let (until, claim) = (Instant::now() + patience, Claim::default());
        let (answer, answered) = oneshot::channel();
        let order = Order { proposal, until, claim: claim.clone(), answer };
        let exchange = async {
            if orders.send(order).await.is_err() {
                return Try::NotAppended(OUT_OF_REACH);
            }
            answered.await.unwrap_or(Try::NoAnswer(BROKE))
        };
        match timeout_at(until, exchange).await {
            Ok(result) => result,
            Err(_) if claim.take() => Try::NotAppended("the leader did not take it in time"),
            Err(_) => Try::NoAnswer("the leader did not answer in time"),
        }
    }

    /// Takes no more orders on the present way.
    pub(crate) fn close(&self) {
        *self.lane.lock() = None;
    }

    fn lane_to(&self, peers: &Peers, leader: NodeId) -> Option<mpsc::Sender<Order>> {
        let mut lane = self.lane.lock();
        if let Some(known) = lane.as_ref().filter(|known| known.leader == leader && !known.orders.is_closed()) {
            return Some(known.orders.clone());
        }
        // Of its own, so that no proposal waits behind the content of assets.
        let channel = peers.private_channel(leader).ok()?;
        let (orders, queue) = mpsc::channel(QUEUE);
        tokio::spawn(run(leader, channel, queue));
        *lane = Some(Lane { leader, orders: orders.clone() });
        Some(orders)
    }
}

/// Forwards until nobody orders any more, or the stream ends.
async fn run(leader: NodeId, channel: Channel, mut queue: mpsc::Receiver<Order>) {
    let (up, messages) = mpsc::channel(AHEAD);
    let mut client = ClusterClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE);
    match timeout(OPEN, client.propose_many(ReceiverStream::new(messages))).await {
        Ok(Ok(answers)) => Flow::new(up).run(answers.into_inner(), &mut queue).await,
        Ok(Err(status)) if status.code() == Code::Unimplemented => one_by_one(&channel, &mut queue).await,
        Ok(Err(status)) => tracing::debug!(%leader, code = ?status.code(), message = status.message(), "no stream to the leader"),
        Err(_) => tracing::debug!(%leader, "no stream to the leader in time"),
    }
    // None of these was sent.
    queue.close();
    while let Ok(order) = queue.try_recv() {
        let _ = order.answer.send(Try::NotAppended(OUT_OF_REACH));
    }
}

/// The stream, as it is on this side.
struct Flow {
    up: mpsc::Sender<wire::Proposals>,
    /// Taken from the queue, and not sent yet.
    taken: Vec<Order>,
    /// By number.
    sent: HashMap<u64, Sent>,
    /// How many answers each message that is under way still lacks, by the number of its first proposal.
    under_way: HashMap<u64, usize>,
    next: u64,
    sent_at: Instant,
}

struct Sent {
    message: u64,
    answer: oneshot::Sender<Try>,
}

impl Flow {
    fn new(up: mpsc::Sender<wire::Proposals>) -> Self {
        Self { up, taken: Vec::new(), sent: HashMap::new(), under_way: HashMap::new(), next: 0, sent_at: Instant::now() }
    }

    async fn run(mut self, mut answers: Streaming<wire::Answers>, queue: &mut mpsc::Receiver<Order>) {
        let mut ordering = true;
        while ordering || !self.sent.is_empty() || !self.taken.is_empty() {
            let room = MESSAGE.min(UNANSWERED.saturating_sub(self.sent.len())).saturating_sub(self.taken.len());
            let goes_now = self.under_way.len() < AHEAD || self.sent_at.elapsed() >= GATHER;
            let up = self.up.clone();
            tokio::select! {
                // In this order: answers make room, and a message takes all that is there.
                biased;
                message = answers.message() => match message {
                    Ok(Some(message)) => self.settle(message),
                    Ok(None) | Err(_) => break,
                },
                count = queue.recv_many(&mut self.taken, room), if ordering && room > 0 => ordering = count > 0,
                place = up.reserve(), if goes_now && !self.taken.is_empty() => match place {
                    Ok(place) => self.send(place),
                    Err(_) => break,
                },
                () = sleep_until(self.sent_at + GATHER), if !goes_now && !self.taken.is_empty() => {}
            }
        }
        for order in self.taken {
            let _ = order.answer.send(Try::NotAppended(OUT_OF_REACH));
        }
        for (_, sent) in self.sent {
            let _ = sent.answer.send(Try::NoAnswer(BROKE));
        }
    }

    fn send(&mut self, place: mpsc::Permit<'_, wire::Proposals>) {
        let mut bytes = 0;
        let fits = self.taken.iter().take_while(|order| {
            let fits = bytes == 0 || bytes + order.proposal.len() <= MESSAGE_BYTES;
            bytes += order.proposal.len();
            fits
        });
        let fitting = fits.count();
        let (message, mut proposals) = (self.next, Vec::new());
        for order in self.taken.drain(..fitting).filter(|order| order.claim.take()) {
            proposals.push(wire::NumberedProposal { number: self.next, request: Some(order.request()) });
            self.sent.insert(self.next, Sent { message, answer: order.answer });
            self.next += 1;
        }
        if proposals.is_empty() {
            return;
        }
        self.under_way.insert(message, proposals.len());
        self.sent_at = Instant::now();
        place.send(wire::Proposals { proposals });
    }

    fn settle(&mut self, answers: wire::Answers) {
        for wire::NumberedReply { number, reply } in answers.replies {
            let Some(sent) = self.sent.remove(&number) else { continue };
            if let Some(lacking) = self.under_way.get_mut(&sent.message) {
                *lacking -= 1;
                if *lacking == 0 {
                    self.under_way.remove(&sent.message);
                }
            }
            // Nobody may be waiting any more.
            let _ = sent.answer.send(propose::from_wire(reply.unwrap_or_default()));
        }
    }
}

impl Order {
    fn request(&self) -> wire::ProposeRequest {
        let left = self.until.saturating_duration_since(Instant::now());
        wire::ProposeRequest { proposal: self.proposal.clone(), deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// For a leader of an older release, which has no such stream: a call for each proposal. Ends with the first that fails, so that the
/// next one finds out whether the leader is of a newer release now.
async fn one_by_one(channel: &Channel, queue: &mut mpsc::Receiver<Order>) {
    let failed = tokio_util::sync::CancellationToken::new();
    while let Some(Some(order)) = failed.run_until_cancelled(queue.recv()).await {
        if !order.claim.take() {
            continue;
        }
        let (mut client, failed) = (ClusterClient::new(channel.clone()), failed.clone());
        tokio::spawn(async move {
            let result = match timeout_at(order.until, client.propose(order.request())).await {
                Ok(Ok(reply)) => propose::from_wire(reply.into_inner()),
                Ok(Err(status)) => {
                    failed.cancel();
                    not_answered(&status)
                }
                Err(_) => Try::NoAnswer("the leader did not answer in time"),
            };
            let _ = order.answer.send(result);
        });
    }
}

fn not_answered(status: &Status) -> Try {
    if ConnectFailed::is_cause_of(status) {
        return Try::NotAppended(OUT_OF_REACH);
    }
    tracing::debug!(code = ?status.code(), message = status.message(), "proposing at the leader failed");
    Try::NoAnswer(BROKE)
}
