//! Taking a snapshot that a leader offers: decide, pull, install, and tell the leader how it goes.
//!
//! One at a time. A newer offer ends the pull of an older one, and so does the leader that stops listening; what was
//! pulled stays on disk for the next offer. An installation that has begun is never interrupted.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use ncore_proto::raft::v1::{self as pb, snapshot_progress::State};
use openraft::async_runtime::watch::WatchReceiver;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, mpsc, watch},
    task, time,
};
use tonic::Status;

use crate::{
    convert,
    node::RaftNode,
    record::RecordError,
    snapshot::{Description, PullError, PullLimits, Puller, ReceivedSnapshot, SnapshotData},
    types::{Snapshot, Vote},
};

/// An offered snapshot.
pub(crate) struct Offer {
    vote: Vote,
    description: Description,
    source: pb::Member,
}

/// Keeps offers from getting into each other's way.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    /// Held while `incoming` is written or a snapshot is being installed.
    slot: Arc<Mutex<()>>,
    /// Counts the offers. A pull ends when it is not the newest any more.
    newest: watch::Sender<u64>,
}

type Reports = mpsc::Sender<Result<pb::SnapshotProgress, Status>>;

impl Offer {
    /// Reads an offer. A snapshot that reaches beyond the term of the leader that offers it is forged or corrupt.
    pub(crate) fn from_proto(offer: pb::SnapshotOffer) -> Result<Self, RecordError> {
        let vote = convert::vote_from(offer.vote.ok_or(RecordError::Field("vote"))?);
        let description = Description::from_proto(offer.snapshot.ok_or(RecordError::Field("snapshot"))?)?;
        let last = description.meta.last_log_id.ok_or(RecordError::Field("last_log"))?;
        if last.leader_id > vote.leader_id {
            return Err(RecordError::Field("last_log"));
        }
        Ok(Self { vote, description, source: offer.source.ok_or(RecordError::Field("source"))? })
    }
}

/// Works on the offer as long as the returned stream is kept, and reports on it.
pub(crate) fn accept(node: RaftNode, offer: Offer) -> impl Stream<Item = Result<pb::SnapshotProgress, Status>> + Send {
    let (reports, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let outcome = tokio::select! {
            outcome = take(&node, offer, &reports) => outcome,
            // The leader has gone, or wants the transfer to end. It will offer again.
            () = reports.closed() => return,
        };
        // Nobody may be left to hear it.
        let _ = reports.send(outcome.map(|vote| finished(&vote)).map_err(Status::from)).await;
    });
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|report| (report, receiver)) })
}

/// Why an offer was not taken to its end.
#[derive(Debug, thiserror::Error)]
enum ReceiveError {
    #[error("a newer offer came")]
    Superseded,
    #[error("the previous snapshot is still being installed")]
    Busy,
    #[error("the snapshot could not be fetched")]
    Pull(#[source] PullError),
    #[error("installing takes too long")]
    Slow,
    #[error("the node is stopping")]
    Stopped,
}

impl From<ReceiveError> for Status {
    fn from(error: ReceiveError) -> Self {
        let reason = crate::error::chain(&error);
        tracing::warn!(reason, "a snapshot was not received");
        match error {
            ReceiveError::Superseded => Self::aborted(reason),
            ReceiveError::Busy | ReceiveError::Slow => Self::deadline_exceeded(reason),
            ReceiveError::Pull(PullError::Gone) => Self::aborted(reason),
            ReceiveError::Pull(_) | ReceiveError::Stopped => Self::unavailable(reason),
        }
    }
}

async fn take(node: &RaftNode, offer: Offer, reports: &Reports) -> Result<Vote, ReceiveError> {
    if let Some(vote) = not_needed(node, &offer) {
        return Ok(vote);
    }
    let reception = node.reception();
    let mut number = 0;
    reception.newest.send_modify(|newest| {
        *newest += 1;
        number = *newest;
    });
    let limit = node.peers().timeouts.snapshot_install;
    let slot = time::timeout(limit, Arc::clone(&reception.slot).lock_owned()).await.map_err(|_| ReceiveError::Busy)?;
    if let Some(vote) = not_needed(node, &offer) {
        return Ok(vote);
    }
    let mut newest = reception.newest.subscribe();
    let received = tokio::select! {
        received = pull(node, &offer, reports) => received?,
        _ = newest.wait_for(|newest| *newest != number) => return Err(ReceiveError::Superseded),
    };
    install(node, offer, received, slot, reports).await
}

/// The answer to an offer that is refused by a higher vote, or covers only what was applied already.
fn not_needed(node: &RaftNode, offer: &Offer) -> Option<Vote> {
    let metrics = node.raft().metrics();
    let metrics = metrics.borrow_watched();
    let refused = metrics.vote > offer.vote;
    let applied = metrics.last_applied >= offer.description.meta.last_log_id;
    (refused || applied).then_some(metrics.vote)
}

async fn pull(node: &RaftNode, offer: &Offer, reports: &Reports) -> Result<ReceivedSnapshot, ReceiveError> {
    let (snapshots, description) = (Arc::clone(node.snapshots()), offer.description.clone());
    let total = description.total();
    let opened = task::spawn_blocking(move || snapshots.receive(description)).await.expect("file operations do not panic");
    let received = Arc::new(opened.map_err(|error| ReceiveError::Pull(error.into()))?);
    let present = watch::Sender::new(received.present());
    tracing::info!(reference = offer.description.reference, present = *present.borrow(), total, "pulling a snapshot");
    let limits = PullLimits { idle: node.peers().timeouts.snapshot_idle, fruitless: FRUITLESS };
    let puller = Puller { peers: node.peers(), source: &offer.source, limits, present: &present };
    tokio::select! {
        pulled = puller.pull(&received) => pulled.map_err(ReceiveError::Pull)?,
        () = report_progress(present.subscribe(), total, reports) => return Err(ReceiveError::Stopped),
    }
    Ok(Arc::into_inner(received).expect("the puller has ended"))
}

/// Reports how much is there whenever that changed, but not too often. Silence means that nothing arrives.
async fn report_progress(mut present: watch::Receiver<u64>, total: u64, reports: &Reports) {
    while present.changed().await.is_ok() {
        let present = *present.borrow_and_update();
        if report(reports, State::Pulling(pb::snapshot_progress::Pulling { present, total })).await.is_err() {
            return;
        }
        time::sleep(REPORT).await;
    }
}

/// Hands the snapshot to openraft, which installs it unless it has become useless, and keeps the slot until that is over.
async fn install(
    node: &RaftNode,
    offer: Offer,
    received: ReceivedSnapshot,
    slot: OwnedMutexGuard<()>,
    reports: &Reports,
) -> Result<Vote, ReceiveError> {
    let (raft, snapshots) = (node.raft().clone(), Arc::clone(node.snapshots()));
    let Offer { vote, description, .. } = offer;
    let mut installing = tokio::spawn(async move {
        let snapshot = Snapshot { meta: description.meta, snapshot: SnapshotData::Received(received) };
        let response = raft.install_full_snapshot(vote, snapshot).await;
        let discard = move || snapshots.discard(&description.reference);
        if let Ok(Err(error)) = task::spawn_blocking(discard).await {
            tracing::warn!(path = %error.path.display(), error = %error.source, "a received snapshot could not be removed");
        }
        drop(slot);
        response
    });
    let deadline = time::Instant::now() + node.peers().timeouts.snapshot_install;
    loop {
        match time::timeout(REPORT, &mut installing).await {
            Ok(Ok(Ok(response))) => return Ok(response.vote),
            Ok(_) => return Err(ReceiveError::Stopped),
            Err(_) if time::Instant::now() >= deadline => return Err(ReceiveError::Slow),
            Err(_) => report(reports, State::Installing(pb::snapshot_progress::Installing {})).await?,
        }
    }
}

async fn report(reports: &Reports, state: State) -> Result<(), ReceiveError> {
    reports.send(Ok(pb::SnapshotProgress { state: Some(state) })).await.map_err(|_| ReceiveError::Stopped)
}

fn finished(vote: &Vote) -> pb::SnapshotProgress {
    let finished = pb::snapshot_progress::Finished { vote: Some(convert::vote_to(vote)) };
    pb::SnapshotProgress { state: Some(State::Finished(finished)) }
}

/// Attempts in a row at the source that bring nothing, before the leader is told.
const FRUITLESS: u32 = 5;
const REPORT: Duration = Duration::from_millis(250);
