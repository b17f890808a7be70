//! Promise P1: the content on enough nodes, durable and pinned, before the cluster is asked for anything.

use futures_util::future::join;
use ncore_model::{NodeId, Query};
use ncore_store::{PinId, StagedBlob};
use tokio::sync::OwnedSemaphorePermit;

use super::{Parts, pins::Pins, schedule::Schedule};
use crate::{
    copies::{BlobAt, Fan},
    error::UploadError,
};

/// How long after they are taken the pins of an upload are good for at least, in milliseconds of log time. Whoever collects
/// pins must leave younger ones alone; a change that reaches the log later is rejected.
pub const PINS_HOLD_MS: u64 = 10 * 60 * 1_000;

/// Content that is on enough nodes.
pub(super) struct Placed {
    pub(super) blob: BlobAt,
    /// The nodes that have it: this one first.
    pub(super) holders: Vec<NodeId>,
    pub(super) pins: Pins,
    /// The log time after which the pins may be gone.
    pub(super) pinned_until_ms: u64,
}

/// Puts the staged content into this node's store, ends the copies that went along, and makes more of them if one was lost.
pub(super) async fn place(
    parts: &Parts,
    turn: OwnedSemaphorePermit,
    pin: PinId,
    needed: usize,
    staged: StagedBlob,
    fan: Box<dyn Fan>,
    schedule: Schedule,
) -> Result<Placed, UploadError> {
    let blob = BlobAt { hash: staged.blake3(), size: staged.size() };
    // Read before the pins are taken, so that they are not younger than what follows from it.
    let pinned_until_ms = log_time(parts).await?.saturating_add(PINS_HOLD_MS);
    let (here, mut peers) = join(staged.commit(pin), fan.finish(blob, schedule.fan)).await;
    let mut pins = Pins::new(parts.store.clone(), parts.copies.clone(), turn, blob.hash, pin);
    pins.add_peers(&peers);
    if let Err(error) = here {
        pins.release();
        return Err(error.into());
    }
    pins.add_here();
    let missing = needed.saturating_sub(1 + peers.len());
    if missing > 0 {
        tracing::debug!(hash = %blob.hash, missing, "copies were lost on the way; pushing the finished content to other nodes");
        let more = parts.copies.copy_existing(blob, pin, &peers, missing, schedule.copies).await;
        pins.add_peers(&more);
        peers.extend(more);
    }
    let have = 1 + peers.len();
    if have < needed && !parts.allow_single_copy {
        pins.release();
        return Err(UploadError::TooFewCopies { have, need: needed });
    }
    let holders = [parts.cluster.node_id()].into_iter().chain(peers).collect();
    Ok(Placed { blob, holders, pins, pinned_until_ms })
}

/// Now, as the log sees it: its last time stamp, or this node's clock where that is ahead.
async fn log_time(parts: &Parts) -> Result<u64, UploadError> {
    let cluster = parts.cluster.read(|view| view.cluster()).await.map_err(UploadError::State)?.value;
    Ok(cluster.map_or(0, |cluster| cluster.log_time_ms).max(parts.clock.now_ms()))
}
