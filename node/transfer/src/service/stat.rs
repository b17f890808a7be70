//! What is here.

use std::collections::HashMap;

use ncore_proto::blobs::v1::{BlobStat, StatRequest, blob_stat::State};
use ncore_store::BlobStatus;
use tonic::Status;

use super::{Shared, failed, malformed};
use crate::wire::{STAT_HASHES_MAX, hash_from};

pub(super) async fn stat(shared: &Shared, request: &StatRequest) -> Result<Vec<BlobStat>, Status> {
    if request.hashes.len() > STAT_HASHES_MAX {
        return Err(malformed("too many hashes"));
    }
    let mut stats = Vec::with_capacity(request.hashes.len());
    let mut has_absent = false;
    for bytes in &request.hashes {
        let hash = hash_from(bytes).ok_or_else(|| malformed("a hash has 32 bytes"))?;
        let status = shared.store.status(hash).map_err(failed("look up a blob"))?;
        has_absent |= status == BlobStatus::Absent;
        let (state, bytes_held, verified_at_ms) = match status {
            BlobStatus::Absent => (State::Absent, 0, 0),
            BlobStatus::Present { size, verified_at_ms, .. } => (State::Present, size, verified_at_ms),
            BlobStatus::Quarantined { size, .. } => (State::Quarantined, size, 0),
        };
        stats.push(BlobStat { hash: bytes.clone(), state: state.into(), bytes: bytes_held, verified_at_ms });
    }
    if has_absent {
        shared.mark_partials(&mut stats).await?;
    }
    Ok(stats)
}

impl Shared {
    /// Of the blobs that are absent, marks those that are coming in.
    async fn mark_partials(&self, stats: &mut [BlobStat]) -> Result<(), Status> {
        let partials = self.store.partials().await.map_err(failed("list partial blobs"))?;
        let partials: HashMap<[u8; 32], u64> = partials.iter().map(|partial| (*partial.hash.as_bytes(), partial.bytes)).collect();
        for stat in stats.iter_mut().filter(|stat| stat.state() == State::Absent) {
            if let Some(bytes) = partials.get(stat.hash.as_ref()) {
                stat.set_state(State::Partial);
                stat.bytes = *bytes;
            }
        }
        Ok(())
    }
}
