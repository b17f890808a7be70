//! Taking copies: streamed in, or pinned where there is one.

use ncore_proto::blobs::v1::{PinRequest, PushFinish, PushPart, PushStart, UnpinRequest, pin_reply, push_part::Part, push_reply::Outcome};
use ncore_store::{BlobStatus, BlobWriter, PinId, Pinning, StoreError, WriteOptions};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::{Shared, failed, malformed};
use crate::{
    metrics::add,
    wire::{hash_from, pin_from},
};

/// Takes a copy in. It is durable and pinned when this answers `Stored`; after any other end nothing is kept.
pub(super) async fn push(shared: &Shared, mut parts: Streaming<PushPart>) -> Result<Outcome, Status> {
    let _turn = shared.turn(&shared.pushes).await?;
    let Part::Start(start) = shared.next_part(&mut parts).await? else {
        return Err(malformed("a push begins with its start"));
    };
    let pin = pin_from(&start.pin_id).ok_or_else(|| malformed("a pin has 16 bytes"))?;
    let outcome = match shared.receive(&start, &mut parts).await? {
        Ok((writer, finish)) => shared.keep(writer, &finish, pin).await?,
        Err(outcome) => outcome,
    };
    match outcome {
        Outcome::Stored => add(&shared.metrics.pushes_stored, 1),
        Outcome::Mismatch => add(&shared.metrics.pushes_mismatched, 1),
        Outcome::Full => add(&shared.metrics.pushes_full, 1),
        Outcome::Unspecified | Outcome::TooLarge => {}
    }
    Ok(outcome)
}

/// Pins the copy that may be here.
pub(super) async fn pin(shared: &Shared, request: &PinRequest) -> Result<pin_reply::Outcome, Status> {
    let hash = hash_from(&request.hash).ok_or_else(|| malformed("a hash has 32 bytes"))?;
    let pin = pin_from(&request.pin_id).ok_or_else(|| malformed("a pin has 16 bytes"))?;
    let _turn = shared.turn(&shared.pushes).await?;
    match shared.store.pin(hash, pin).await.map_err(failed("pin a blob"))? {
        Pinning::Pinned { .. } => Ok(pin_reply::Outcome::Pinned),
        Pinning::Absent => Ok(pin_reply::Outcome::Absent),
        Pinning::Corrupt { .. } => {
            if let Ok(BlobStatus::Present { size, .. }) = shared.store.status(hash) {
                shared.repairs.report(hash, size);
            }
            Ok(pin_reply::Outcome::Corrupt)
        }
    }
}

/// Ends a pin, if it is there.
pub(super) async fn unpin(shared: &Shared, request: &UnpinRequest) -> Result<(), Status> {
    let hash = hash_from(&request.hash).ok_or_else(|| malformed("a hash has 32 bytes"))?;
    let pin = pin_from(&request.pin_id).ok_or_else(|| malformed("a pin has 16 bytes"))?;
    shared.store.unpin(hash, pin).await.map(drop).map_err(failed("unpin a blob"))
}

impl Shared {
    /// Writes what comes until the finish. The inner error is an outcome that the sender is told.
    async fn receive(
        &self,
        start: &PushStart,
        parts: &mut Streaming<PushPart>,
    ) -> Result<Result<(BlobWriter, PushFinish), Outcome>, Status> {
        let mut writer = match self.writer(start) {
            Ok(writer) => writer,
            Err(error) => return outcome_of(error).map(Err),
        };
        loop {
            match self.next_part(parts).await? {
                Part::Data(bytes) => {
                    add(&self.metrics.bytes_received, bytes.len() as u64);
                    if let Err(error) = writer.write(bytes).await {
                        return outcome_of(error).map(Err);
                    }
                }
                Part::Finish(finish) => return Ok(Ok((writer, finish))),
                Part::Start(_) => return Err(malformed("a push has one start")),
            }
        }
    }

    fn writer(&self, start: &PushStart) -> Result<BlobWriter, StoreError> {
        let max_size = self.settings.blob_bytes_max;
        if start.size_hint > 0 {
            // Asks for the room. The writer itself takes any size, because a hint is no promise.
            drop(self.store.writer(WriteOptions { expected_size: Some(start.size_hint), max_size })?);
        }
        self.store.writer(WriteOptions { expected_size: None, max_size })
    }

    /// Makes the copy durable, if it is what the sender says.
    async fn keep(&self, writer: BlobWriter, finish: &PushFinish, pin: PinId) -> Result<Outcome, Status> {
        let hash = hash_from(&finish.hash).ok_or_else(|| malformed("a hash has 32 bytes"))?;
        let staged = match writer.finish().await {
            Ok(staged) => staged,
            Err(error) => return outcome_of(error),
        };
        if staged.blake3() != hash || staged.size() != finish.size {
            tracing::warn!(announced = %hash, actual = %staged.blake3(), "a copy came in that is not what its sender says");
            return Ok(Outcome::Mismatch);
        }
        match staged.commit(pin).await {
            Ok(_) => Ok(Outcome::Stored),
            Err(error) => outcome_of(error),
        }
    }

    /// The next message, in time.
    async fn next_part(&self, parts: &mut Streaming<PushPart>) -> Result<Part, Status> {
        let message = timeout(self.settings.idle, parts.message()).await.map_err(|_| {
            add(&self.metrics.idle, 1);
            Status::deadline_exceeded("the push stood still")
        })?;
        let part = message?.ok_or_else(|| Status::aborted("the push ended before its finish"))?;
        part.part.ok_or_else(|| malformed("a part that is not known here"))
    }
}

/// What the sender is told of an error of the store.
fn outcome_of(error: StoreError) -> Result<Outcome, Status> {
    match error {
        StoreError::Full => Ok(Outcome::Full),
        StoreError::TooLarge { .. } => Ok(Outcome::TooLarge),
        error => Err(failed("take a copy")(error)),
    }
}
