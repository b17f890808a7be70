//! One slice for a viewer: from the nearest peer that gives it in time.

use bytes::Bytes;
use ncore_model::NodeId;
use tokio::time::{Instant, timeout_at};

use super::frames::Frames;
use crate::{
    error::{CallError, FetchError, Tally, TryError},
    metrics::add,
    transfer::Transfer,
};

pub(crate) async fn fetch_slice(transfer: &Transfer, hash: blake3::Hash, size: u64, slice: u64) -> Result<Bytes, FetchError> {
    let fetched = from_any(transfer, hash, size, slice).await;
    let metrics = &transfer.metrics;
    match &fetched {
        Ok(bytes) => {
            add(&metrics.slices_fetched, 1);
            add(&metrics.bytes_fetched, bytes.len() as u64);
        }
        Err(_) => add(&metrics.slices_failed, 1),
    }
    fetched
}

async fn from_any(transfer: &Transfer, hash: blake3::Hash, size: u64, slice: u64) -> Result<Bytes, FetchError> {
    let budget = Instant::now() + transfer.settings.slice_budget;
    let turn = timeout_at(budget, transfer.slice_turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(FetchError::Busy) };
    let nodes = transfer.sources(&hash);
    if nodes.is_empty() {
        return Err(FetchError::NoPeers);
    }
    let mut tally = Tally::default();
    for node in nodes {
        let now = Instant::now();
        if now >= budget {
            return Err(FetchError::Deadline(tally));
        }
        let deadline = budget.min(now + transfer.settings.slice_try);
        let tried = timeout_at(deadline, from_one(transfer, node, hash, size, slice)).await;
        match tried.unwrap_or(Err(TryError::Call(CallError::Deadline(deadline - now)))) {
            Ok(bytes) => return Ok(bytes),
            Err(error) => {
                transfer.note_failed_try(node, &hash, &error);
                tally.add(error.tally());
            }
        }
    }
    Err(FetchError::Exhausted(tally))
}

async fn from_one(transfer: &Transfer, node: NodeId, hash: blake3::Hash, size: u64, slice: u64) -> Result<Bytes, TryError> {
    let mut frames = Frames::open(&*transfer.peers, node, hash, size, slice..slice + 1).await?;
    frames.next().await?.map(|(_, bytes)| bytes).ok_or(TryError::Short)
}
