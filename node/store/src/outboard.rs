//! The outboard file: written as the content streams in, read by parts.
//!
//! It holds the pairs of the tree in post order and nothing else (see the crate's page). A blob of
//! one group has no outboard: its hash vouches for it directly.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::core::Core;
use crate::error::StoreError;
use crate::temp::TempFile;
use crate::tree::{Node, PAIR_BYTES, Tree};

/// Collects the pairs of a stream in a file that is made when there are any to write.
#[derive(Debug, Default)]
pub(crate) struct OutboardSink {
    /// Pairs that are not written yet. The tree hasher appends here.
    pub(crate) pairs: Vec<u8>,
    file: Option<TempFile>,
    written: u64,
}

impl OutboardSink {
    /// Writes the pairs out once enough have gathered. Blocks.
    pub(crate) fn spill(&mut self, core: &Core) -> Result<(), StoreError> {
        if self.pairs.len() < SPILL_BYTES {
            return Ok(());
        }
        self.flush(core)
    }

    /// Writes the rest and makes the file durable. `None` if there were no pairs at all. Blocks.
    pub(crate) fn finish(mut self, core: &Core) -> Result<Option<TempFile>, StoreError> {
        self.flush(core)?;
        if let Some(file) = &self.file {
            core.durability.sync_file(file.file(), "outboard")?;
        }
        Ok(self.file)
    }

    fn flush(&mut self, core: &Core) -> Result<(), StoreError> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(TempFile::create(core.layout.temporary())?),
        };
        file.file().write_all_at(&self.pairs, self.written).map_err(StoreError::io("write an outboard"))?;
        self.written += self.pairs.len() as u64;
        self.pairs.clear();
        Ok(())
    }
}

/// The pairs that a range of groups needs: those of its own node, and those above it.
#[derive(Debug)]
pub(crate) struct OutboardPart {
    /// Consecutive pairs, and the number of the first.
    run: Vec<u8>,
    run_first: u64,
    /// Pairs above the run, from the root down.
    above: Vec<(u64, [u8; PAIR_BYTES])>,
}

impl OutboardPart {
    /// Reads what the groups of one slice need: the whole file in one read if it is small, else one
    /// read for the slice's own pairs and one of 64 bytes for each level above it. Blocks.
    /// Pairs that the file is too short for are left out, and [`OutboardPart::pair`] has `None`.
    pub(crate) fn read(file: &File, tree: Tree, groups: &Range<u64>) -> io::Result<Self> {
        let mut node = tree.root();
        let mut above = Vec::new();
        if tree.outboard_bytes() > READ_WHOLE_BYTES {
            while !node.is_within(groups) {
                let number = node.own_pair();
                let pair = read_at(file, number * PAIR_BYTES as u64, PAIR_BYTES)?;
                if let Ok(pair) = pair.try_into() {
                    above.push((number, pair));
                }
                node = node.child_towards(groups);
            }
        }
        let pairs = node.pairs();
        let bytes = usize::try_from(pairs.end - pairs.start).map_or(0, |n| n * PAIR_BYTES);
        Ok(Self { run: read_at(file, pairs.start * PAIR_BYTES as u64, bytes)?, run_first: pairs.start, above })
    }

    /// The part of a blob of one group.
    pub(crate) const fn none() -> Self {
        Self { run: Vec::new(), run_first: 0, above: Vec::new() }
    }

    /// A pair by its number in post order.
    pub(crate) fn pair(&self, number: u64) -> Option<&[u8; PAIR_BYTES]> {
        let in_run = number
            .checked_sub(self.run_first)
            .and_then(|n| usize::try_from(n).ok()?.checked_mul(PAIR_BYTES))
            .and_then(|at| self.run.get(at..)?.first_chunk());
        in_run.or_else(|| {
            let above = self.above.iter().find(|(above, _)| *above == number);
            above.map(|(_, pair)| pair)
        })
    }
}

impl Node {
    /// The child that covers the groups. They are aligned, so that no node between the root and
    /// theirs splits them.
    fn child_towards(&self, groups: &Range<u64>) -> Self {
        let (left, right) = self.children();
        if right.is_outside(groups) { left } else { right }
    }
}

/// Reads `len` bytes at `offset`, fewer only if the file ends before. Blocks.
pub(crate) fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = offset.saturating_add(bytes.len() as u64);
        // Into the spare capacity, so that a slice is not zeroed first only to be overwritten.
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    // The allocator may have given more room than was asked for.
    bytes.truncate(len);
    Ok(bytes)
}

/// Outboards up to this are read whole: blobs up to 16 MiB.
const READ_WHOLE_BYTES: u64 = 64 << 10;

/// Pairs are written in pieces of this.
const SPILL_BYTES: usize = 64 << 10;
