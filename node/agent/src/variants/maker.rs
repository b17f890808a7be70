//! Makes variants, one after the other.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use ncore_serving::CODED_BYTES;
use ncore_store::{BlobStore, ReadError, SLICE_BYTES, StoreError, Variant, WriteOptions, slice_count};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    encode::{Encoded, encode},
    room::Room,
    shelf::{Making, Wish},
};
use crate::{
    error::AgentError,
    metrics::{AgentMetrics, add, set},
    settings::VariantSettings,
};

/// Takes what the shelf asks for.
pub(crate) struct VariantMaker {
    store: BlobStore,
    wishes: mpsc::Receiver<Wish>,
    room: Room,
    every: Duration,
    metrics: Arc<AgentMetrics>,
}

/// Why a variant was not made. It is asked for again by the next request.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("the content cannot be read")]
    Read(#[from] ReadError),
    #[error("the store does not take it")]
    Store(#[from] StoreError),
    #[error("it cannot be encoded")]
    Encoder,
}

/// What came of a wish.
enum Made {
    Stored {
        size: u64,
    },
    NotWorthIt,
    /// It was there already, or the content went meanwhile.
    Nothing,
}

impl VariantMaker {
    pub(super) fn new(store: BlobStore, wishes: mpsc::Receiver<Wish>, settings: &VariantSettings, metrics: Arc<AgentMetrics>) -> Self {
        let room = Room::new(store.clone(), settings.bytes_max);
        Self { store, wishes, room, every: settings.every, metrics }
    }

    /// Runs until `stop`. What is being encoded then is given up.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        let mut recounts = interval(self.every.max(Duration::from_millis(1)));
        recounts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            loop {
                tokio::select! {
                    _ = recounts.tick() => {
                        let outcome = self.room.recount().await;
                        self.count_room(outcome);
                    }
                    Some(wish) = self.wishes.recv() => self.take(wish).await,
                    // Nobody is left to ask. The task stays, because its end would count as a failure.
                    else => std::future::pending().await,
                }
            }
        };
        stop.run_until_cancelled(work).await;
        Ok(())
    }

    async fn take(&mut self, wish: Wish) {
        match wish {
            Wish::Make(making) => self.make(making).await,
            Wish::Used(key) => self.note(self.store.touch_variant(key).await),
        }
    }

    async fn make(&mut self, making: Making) {
        match self.try_to_make(&making).await {
            Ok(Made::Stored { size }) => {
                add(&self.metrics.variants_made, 1);
                let outcome = self.room.take(size).await;
                self.count_room(outcome);
            }
            Ok(Made::NotWorthIt) => add(&self.metrics.variants_not_worth_it, 1),
            Ok(Made::Nothing) => {}
            Err(error) => {
                add(&self.metrics.variants_failed, 1);
                let (source, coding) = (making.key.source, making.coding.as_str());
                tracing::warn!(%source, coding, error = &error as &dyn std::error::Error, "a variant could not be made");
            }
        }
    }

    async fn try_to_make(&self, making: &Making) -> Result<Made, MakeError> {
        // It may have been made for another entry of the same content.
        match self.store.variant(making.key)? {
            Some(Variant::Stored(stored)) => {
                making.made(&stored);
                return Ok(Made::Nothing);
            }
            Some(Variant::NotWorthIt) => return Ok(Made::Nothing),
            None => {}
        }
        let content = self.read(making.key.source, making.entry.size()).await?;
        let encoded = match encode(content, making.coding).await {
            Encoded::Smaller(encoded) => encoded,
            Encoded::NotWorthIt => {
                self.store.refuse_variant(making.key).await?;
                return Ok(Made::NotWorthIt);
            }
            Encoded::Failed => return Err(MakeError::Encoder),
        };
        let size = encoded.len() as u64;
        let mut writer = self.store.writer(WriteOptions { expected_size: Some(size), max_size: *CODED_BYTES.end() })?;
        writer.write(encoded).await?;
        writer.finish().await?.commit_variant(making.key).await?;
        match self.store.variant(making.key)? {
            Some(Variant::Stored(stored)) => {
                making.made(&stored);
                tracing::debug!(source = %making.key.source, coding = making.coding.as_str(), size, "made a variant");
                Ok(Made::Stored { size })
            }
            _ => Ok(Made::Nothing),
        }
    }

    /// The content, from the disk and verified. It does not push out what is in memory for readers.
    async fn read(&self, source: blake3::Hash, size: u64) -> Result<Bytes, ReadError> {
        let mut content = BytesMut::with_capacity(usize::try_from(size).unwrap_or(SLICE_BYTES));
        for slice in 0..slice_count(size) {
            content.extend_from_slice(&self.store.read_slice_from_disk(source, size, slice).await?);
        }
        Ok(content.freeze())
    }

    fn count_room(&self, outcome: Result<u64, StoreError>) {
        set(&self.metrics.variants_bytes, self.room.bytes());
        match outcome {
            Ok(forgotten) => add(&self.metrics.variants_evicted, forgotten),
            Err(error) => self.note(Err(error)),
        }
    }

    fn note(&self, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            tracing::warn!(error = &error as &dyn std::error::Error, "the records of variants cannot be kept");
        }
    }
}
