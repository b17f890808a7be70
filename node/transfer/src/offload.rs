//! Hashing off the async threads.

use bytes::Bytes;
use ncore_store::{VerifyError, decode_slice};

/// Frames up to this many bytes are verified in place: the trip to another thread would cost more.
const INLINE_BYTES: usize = 64 << 10;

/// Verifies the frame of a slice and gives the slice's bytes.
pub(crate) async fn decode(root: blake3::Hash, size: u64, slice: u64, frame: Bytes) -> Result<Bytes, VerifyError> {
    if frame.len() <= INLINE_BYTES {
        return decode_slice(root, size, slice, &frame);
    }
    match tokio::task::spawn_blocking(move || decode_slice(root, size, slice, &frame)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
