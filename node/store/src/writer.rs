//! An upload, from the caller's side: gathers bytes into blocks and keeps one block in the works.
//!
//! Memory per upload is two blocks, one that fills and one that is hashed and written. Dropping the
//! writer at any time removes what it wrote.

use std::sync::Arc;

use bytes::Bytes;

use crate::core::Core;
use crate::error::StoreError;
use crate::ingest::Ingest;
use crate::offload::Offload;
use crate::staged::StagedBlob;

/// What is known of an upload before it comes.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// Its size in bytes, if announced. Free space is asked for it at once, and
    /// [`BlobWriter::finish`] fails if another number of bytes came.
    pub expected_size: Option<u64>,
    /// The most bytes that it may have.
    pub max_size: u64,
}

/// Takes the bytes of one blob.
pub struct BlobWriter {
    options: WriteOptions,
    received: u64,
    block: Vec<u8>,
    works: Offload<Works>,
    /// Set while a call is under way, and left set by one that failed or was dropped.
    is_broken: bool,
}

/// The side of a writer that lives on the blocking pool.
struct Works {
    core: Arc<Core>,
    /// Made with the first block.
    ingest: Option<Ingest>,
    /// The block that was written last, empty, for its allocation.
    spare: Vec<u8>,
}

impl BlobWriter {
    /// Checks the announced size against the limit and the free space.
    pub(crate) fn new(core: Arc<Core>, options: WriteOptions) -> Result<Self, StoreError> {
        core.durability.guard()?;
        let expected = options.expected_size.unwrap_or(0);
        if expected > options.max_size {
            return Err(StoreError::TooLarge { limit: options.max_size });
        }
        core.space.check(expected)?;
        let room = usize::try_from(expected).map_or(BLOCK_BYTES, |bytes| bytes.min(BLOCK_BYTES));
        Ok(Self {
            options,
            received: 0,
            block: Vec::with_capacity(room),
            works: Offload::new(Works { core, ingest: None, spare: Vec::new() }),
            is_broken: false,
        })
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes. Waits while the disk is behind by more than a block.
    ///
    /// Not cancel-safe: after a call that failed or was dropped the writer only answers
    /// [`StoreError::Interrupted`].
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] past `max_size` or the announced size, [`StoreError::Full`],
    /// [`StoreError::FsyncFailed`], [`StoreError::Io`]. An error may be about bytes taken earlier.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.begin()?;
        self.received = self.received.saturating_add(bytes.len() as u64);
        let limit = self.options.expected_size.unwrap_or(self.options.max_size);
        if self.received > limit {
            return Err(StoreError::TooLarge { limit });
        }
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            rest = later;
            if self.block.len() == BLOCK_BYTES {
                self.send_block().await?;
            }
        }
        self.is_broken = false;
        Ok(())
    }

    /// Ends the upload and makes its bytes durable, under a temporary name. It is not in the store
    /// until [`StagedBlob::commit`].
    ///
    /// # Errors
    /// [`StoreError::WrongSize`] if fewer bytes came than were announced; else as
    /// [`BlobWriter::write`].
    pub async fn finish(mut self) -> Result<StagedBlob, StoreError> {
        self.begin()?;
        if let Some(expected) = self.options.expected_size
            && expected != self.received
        {
            return Err(StoreError::WrongSize { expected, actual: self.received });
        }
        let mut works = self.works.into_inner().await?;
        let block = self.block;
        crate::offload::offload(move || {
            works.append(block)?;
            works.ingest()?.finish()
        })
        .await?
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if std::mem::replace(&mut self.is_broken, true) {
            return Err(StoreError::Interrupted);
        }
        Ok(())
    }

    async fn send_block(&mut self) -> Result<(), StoreError> {
        let spare = std::mem::take(&mut self.works.settle().await?.spare);
        let block = std::mem::replace(&mut self.block, spare);
        self.works.submit(move |works| works.append(block)).await
    }
}

impl Works {
    fn append(&mut self, mut block: Vec<u8>) -> Result<(), StoreError> {
        let ingest = match &mut self.ingest {
            Some(ingest) => ingest,
            none => none.insert(Ingest::start(Arc::clone(&self.core))?),
        };
        ingest.append(&block)?;
        #[cfg(test)]
        crate::crash::point("block-written");
        block.clear();
        self.spare = block;
        Ok(())
    }

    fn ingest(self) -> Result<Ingest, StoreError> {
        self.ingest.ok_or(StoreError::Interrupted)
    }
}

/// Bytes that travel to the blocking pool at once: much larger than the cost of the trip, a multiple
/// of the chunk group, and small enough for many uploads.
const BLOCK_BYTES: usize = 512 << 10;
