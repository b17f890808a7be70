//! Giving slices.

use std::{pin::pin, sync::Arc};

use futures_util::StreamExt;
use ncore_proto::blobs::v1::{FetchRequest, Frame};
use ncore_store::{BlobStatus, ReadError, slice_count};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Shared, failed, malformed};
use crate::{metrics::add, wire::hash_from};

/// Frames that wait for the transport. The store reads one more ahead.
const QUEUE_FRAMES: usize = 1;

/// Checks the request, takes a turn, and streams from a task of its own, which ends with the last frame, the first error, or when
/// the caller goes away or stands still.
pub(super) async fn fetch(shared: &Arc<Shared>, request: &FetchRequest) -> Result<ReceiverStream<Result<Frame, Status>>, Status> {
    let hash = hash_from(&request.hash).ok_or_else(|| malformed("a hash has 32 bytes"))?;
    let (size, slices) = (request.size, request.first_slice..request.end_slice);
    if slices.is_empty() || slices.end > slice_count(size) {
        return Err(malformed("a blob of this size has no such slices"));
    }
    if shared.store.status(hash).map_err(failed("look up a blob"))? == BlobStatus::Absent {
        return Err(Status::not_found("this node does not have the blob"));
    }
    let turn = shared.turn(&shared.fetches).await?;
    let (queue, stream) = mpsc::channel(QUEUE_FRAMES);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let mut frames = pin!(shared.store.encode_slices(hash, size, slices));
        while let Some(read) = frames.next().await {
            let frame =
                read.map(|frame| Frame { slice: frame.slice, data: frame.bytes }).map_err(|error| shared.refusal(hash, size, &error));
            let (is_last, bytes) = frame.as_ref().map_or((true, 0), |frame| (false, frame.data.len()));
            match timeout(shared.settings.idle, queue.send(frame)).await {
                Ok(Ok(())) if !is_last => {
                    add(&shared.metrics.frames_sent, 1);
                    add(&shared.metrics.bytes_sent, bytes as u64);
                }
                Ok(_) => break,
                Err(_) => {
                    add(&shared.metrics.idle, 1);
                    break;
                }
            }
        }
        drop(turn);
    });
    Ok(ReceiverStream::new(stream))
}

impl Shared {
    /// What the caller is told of a slice that could not be read; damage is told to the repairs as well.
    fn refusal(&self, hash: blake3::Hash, size: u64, error: &ReadError) -> Status {
        match error {
            ReadError::Missing => Status::not_found("this node does not have the blob"),
            ReadError::Corrupt { .. } => {
                add(&self.metrics.fetches_corrupt, 1);
                self.repairs.report(hash, size);
                Status::data_loss("the copy of this node is damaged")
            }
            ReadError::WrongSize { .. } | ReadError::NoSuchSlice { .. } => malformed("the blob has another size"),
            _ => Status::unavailable("this node cannot read the blob now"),
        }
    }
}
