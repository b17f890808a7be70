//! Taking content in: to a file, through both hashes, into the outboard, in one pass.
//!
//! This is the blocking side, shared by uploads and resumed transfers. It lives on the blocking
//! pool, one block at a time.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::core::Core;
use crate::error::StoreError;
use crate::outboard::OutboardSink;
use crate::staged::StagedBlob;
use crate::temp::TempFile;
use crate::tree::TreeHasher;

/// Content on its way in.
pub(crate) struct Ingest {
    core: Arc<Core>,
    data: TempFile,
    bytes: u64,
    tree: TreeHasher,
    sha256: Sha256,
    outboard: OutboardSink,
    early_sync: EarlySync,
}

impl Ingest {
    /// Begins with an empty temporary file. Blocks.
    pub(crate) fn start(core: Arc<Core>) -> Result<Self, StoreError> {
        core.durability.guard()?;
        let data = TempFile::create(core.layout.temporary())?;
        Ok(Self::into_file(core, data))
    }

    /// Begins with a given file, of which nothing counts until it was absorbed.
    pub(crate) fn into_file(core: Arc<Core>, data: TempFile) -> Self {
        Self {
            core,
            data,
            bytes: 0,
            tree: TreeHasher::new(),
            sha256: Sha256::new(),
            outboard: OutboardSink::default(),
            early_sync: EarlySync::default(),
        }
    }

    /// Bytes taken in.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn file(&self) -> &TempFile {
        &self.data
    }

    /// Writes and hashes the next block. On an error nothing of the block counts. Blocks.
    pub(crate) fn append(&mut self, block: &[u8]) -> Result<(), StoreError> {
        self.outboard.spill(&self.core)?;
        self.core.space.check(block.len() as u64)?;
        self.data.file().write_all_at(block, self.bytes).map_err(StoreError::io("write content"))?;
        self.early_sync.wrote(&self.core, &self.data, block.len());
        self.hash(block);
        Ok(())
    }

    /// Hashes the next block, which the file has already. Blocks.
    pub(crate) fn absorb(&mut self, block: &[u8]) -> Result<(), StoreError> {
        self.outboard.spill(&self.core)?;
        self.hash(block);
        Ok(())
    }

    fn hash(&mut self, block: &[u8]) {
        self.tree.update(block, &mut self.outboard.pairs);
        self.sha256.update(block);
        self.bytes += block.len() as u64;
    }

    /// Makes the content and its outboard durable, under temporary names. Blocks.
    pub(crate) fn finish(mut self) -> Result<StagedBlob, StoreError> {
        let blake3 = self.tree.finish(&mut self.outboard.pairs);
        let outboard = self.outboard.finish(&self.core)?;
        self.early_sync.finish(&self.core, &self.data)?;
        #[cfg(test)]
        crate::crash::point("staged");
        Ok(StagedBlob::new(self.core, blake3, self.sha256.finalize().into(), self.bytes, self.data, outboard))
    }
}

/// Starts to sync while content still comes, so that the last sync has little left to do.
#[derive(Debug, Default)]
struct EarlySync {
    unsynced_bytes: usize,
    running: Option<JoinHandle<()>>,
    /// Held during each sync: the kernel reports an error to one fsync of a file only, and the last
    /// one must not succeed while an earlier one is about to learn of it.
    turn: Arc<Mutex<()>>,
}

impl EarlySync {
    fn wrote(&mut self, core: &Arc<Core>, data: &TempFile, bytes: usize) {
        self.unsynced_bytes += bytes;
        let is_running = self.running.as_ref().is_some_and(|job| !job.is_finished());
        if self.unsynced_bytes < EARLY_SYNC_BYTES || is_running {
            return;
        }
        self.unsynced_bytes = 0;
        let (core, file, turn) = (Arc::clone(core), Arc::clone(data.file()), Arc::clone(&self.turn));
        self.running = Some(tokio::task::spawn_blocking(move || {
            let _turn = turn.lock();
            // A failure is remembered by the durability itself, and refuses the last sync.
            let _ = core.durability.sync_file(&file, "data");
        }));
    }

    fn finish(self, core: &Core, data: &TempFile) -> Result<(), StoreError> {
        let _turn = self.turn.lock();
        core.durability.sync_file(data.file(), "data")
    }
}

/// Bytes between two early syncs.
const EARLY_SYNC_BYTES: usize = 16 << 20;
