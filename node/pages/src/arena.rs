//! The memory that blocks are in: chunks, each as long as a large page of the system.
//!
//! Short blocks share chunks that are large pages. A long one has small pages of its own in a place of its own: of two in one chunk each would
//! keep the memory of both, and of its many bytes the pages are the smaller part of the work.

use std::{
    ffi::c_void,
    io,
    ops::Range,
    ptr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use rustix::{
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous},
    param::page_size,
};

/// Bytes of a chunk: those of a large page where a page has 4 KiB.
pub const CHUNK_BYTES: usize = 2 << 20;

/// Addresses that are set aside for chunks, in bytes. They are no memory.
pub const ADDRESSES: usize = 128 << 30;

/// Blocks begin at multiples of this, as lines of the processor's caches do.
const ALIGNMENT: usize = 64;

/// Blocks of more bytes than these share no chunk.
const LONG_BYTES: usize = CHUNK_BYTES / 4;

/// How many chunks may be shared. As many may be not.
const SHARED: usize = ADDRESSES / CHUNK_BYTES / 2;

/// Shared chunks take at most twice the bytes of what is in them, and these.
const SPARE_BYTES: usize = 8 << 20;

/// Of a chunk that is full, less than this part is in use: what is asked for again is better copied to another.
const SPARSE: usize = 4;

/// All chunks.
pub(crate) struct Arena {
    /// Where the addresses begin. They stay until the process ends.
    start: usize,
    state: Mutex<State>,
    /// Bytes of all blocks in shared chunks.
    in_use: AtomicUsize,
    /// Of each shared chunk, the bytes of its blocks, and [`SEALED`].
    tallies: Box<[AtomicU32]>,
}

/// Which chunks there are.
struct State {
    shared: Free,
    own: Free,
    /// How many shared ones are taken.
    taken: usize,
    /// The shared one where blocks are added.
    open: Option<Open>,
}

/// Chunks that are not taken, by number.
struct Free {
    /// Those that were given back. The last one comes first, since its tables of pages are there already.
    back: Vec<usize>,
    /// Those that were never taken.
    new: Range<usize>,
}

/// A chunk that has room.
struct Open {
    chunk: Arc<Chunk>,
    /// How much of it is not free any more.
    filled: usize,
}

/// A chunk, for as long as anybody has a block in it, or it is open.
struct Chunk {
    arena: &'static Arena,
    /// Its number: those from [`SHARED`] on are not shared.
    index: usize,
}

/// Bytes of a chunk that nobody else has or had, since it was taken.
pub(crate) struct Place {
    chunk: Arc<Chunk>,
    /// Its address.
    pub(crate) start: usize,
    /// Its length with what it is rounded up by.
    rounded: usize,
}

/// In a tally: nothing is added to this chunk any more.
const SEALED: u32 = 1 << 31;

/// The one of the process, so that an address says all; made when it is first wanted.
static ARENA: OnceLock<Option<Arena>> = OnceLock::new();

impl Arena {
    /// The one of the process, if there can be one.
    pub(crate) fn get() -> Option<&'static Self> {
        let arena = ARENA.get_or_init(|| {
            Self::new().inspect_err(|error| tracing::warn!(%error, "there is no memory that can be sent as it is: it will be copied")).ok()
        });
        arena.as_ref()
    }

    /// The one of the process, if anybody ever wanted it.
    pub(crate) fn made() -> Option<&'static Self> {
        ARENA.get()?.as_ref()
    }

    fn new() -> io::Result<Self> {
        let start = map()?;
        let tallies = (0..SHARED).map(|_| AtomicU32::new(0)).collect();
        let free = |new| Free { back: Vec::new(), new };
        let state = State { shared: free(0..SHARED), own: free(SHARED..2 * SHARED), taken: 0, open: None };
        Ok(Self { start, state: Mutex::new(state), in_use: AtomicUsize::new(0), tallies })
    }

    /// A place for so many bytes, if there is one.
    pub(crate) fn take(&'static self, length: usize) -> Option<Place> {
        let rounded = length.checked_next_multiple_of(ALIGNMENT).filter(|rounded| (1..=CHUNK_BYTES).contains(rounded))?;
        if rounded > LONG_BYTES { self.take_own(rounded) } else { self.take_shared(rounded) }
    }

    fn take_own(&'static self, rounded: usize) -> Option<Place> {
        let index = self.state.lock().own.take()?;
        Some(Place { chunk: Arc::new(Chunk { arena: self, index }), start: self.address(index), rounded })
    }

    fn take_shared(&'static self, rounded: usize) -> Option<Place> {
        let mut full = None;
        let mut state = self.state.lock();
        if state.open.as_ref().is_none_or(|open| open.filled + rounded > CHUNK_BYTES) {
            let chunk = self.next_shared(&mut state)?;
            full = state.open.replace(Open { chunk, filled: 0 });
        }
        let open = state.open.as_mut()?;
        let place = Place { chunk: Arc::clone(&open.chunk), start: self.address(open.chunk.index) + open.filled, rounded };
        open.filled += rounded;
        self.in_use.fetch_add(rounded, Ordering::Relaxed);
        self.tallies[place.chunk.index].fetch_add(tally(rounded), Ordering::Relaxed);
        drop(state);
        if let Some(Open { chunk, .. }) = full {
            self.tallies[chunk.index].fetch_or(SEALED, Ordering::Relaxed);
            // The chunk may go back now, for which the lock is taken.
            drop(chunk);
        }
        Some(place)
    }

    /// Whether these bytes are in a chunk.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        self.chunk_of(bytes).is_some()
    }

    /// Whether these bytes are in a shared chunk of which little is in use.
    pub(crate) fn is_sparse(&self, bytes: &[u8]) -> bool {
        let tally = self.chunk_of(bytes).and_then(|index| self.tallies.get(index)).map_or(0, |tally| tally.load(Ordering::Relaxed));
        tally & SEALED != 0 && ((tally & !SEALED) as usize) < CHUNK_BYTES / SPARSE
    }

    fn chunk_of(&self, bytes: &[u8]) -> Option<usize> {
        let index = bytes.as_ptr().addr().checked_sub(self.start)? / CHUNK_BYTES;
        (index < 2 * SHARED).then_some(index)
    }

    /// A chunk to be shared that is empty, unless there are too many already.
    fn next_shared(&'static self, state: &mut State) -> Option<Arc<Chunk>> {
        if (state.taken + 1) * CHUNK_BYTES > 2 * self.in_use.load(Ordering::Relaxed) + SPARE_BYTES {
            return None;
        }
        let index = state.shared.take()?;
        state.taken += 1;
        self.tallies[index].store(0, Ordering::Relaxed);
        Some(Arc::new(Chunk { arena: self, index }))
    }

    fn address(&self, index: usize) -> usize {
        self.start + index * CHUNK_BYTES
    }
}

impl Free {
    fn take(&mut self) -> Option<usize> {
        self.back.pop().or_else(|| self.new.next())
    }
}

impl Drop for Place {
    /// Nobody has the bytes any more. The chunk goes after, if they were its last ones.
    fn drop(&mut self) {
        let Chunk { arena, index } = *self.chunk;
        if index >= SHARED {
            return;
        }
        arena.in_use.fetch_sub(self.rounded, Ordering::Relaxed);
        arena.tallies[index].fetch_sub(tally(self.rounded), Ordering::Relaxed);
    }
}

impl Drop for Chunk {
    /// Lets go of the memory, so that others have new memory at these addresses.
    fn drop(&mut self) {
        let start = ptr::with_exposed_provenance_mut::<c_void>(self.arena.address(self.index));
        // SAFETY: the addresses are this chunk's, in which nobody has anything any more. The system may be sending from its memory, which stays as
        // it is as long as that goes on, for it is taken out of the mapping and not written to.
        let gone = unsafe { madvise(start, CHUNK_BYTES, Advice::LinuxDontNeed) };
        let mut state = self.arena.state.lock();
        match gone {
            Ok(()) if self.index < SHARED => {
                state.taken -= 1;
                state.shared.back.push(self.index);
            }
            Ok(()) => state.own.back.push(self.index),
            // Its memory may still be being sent: nobody gets it any more.
            Err(error) => tracing::warn!(%error, "memory could not be given back"),
        }
    }
}

/// Sets addresses aside, and says where the first chunk begins.
fn map() -> io::Result<usize> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
    // SAFETY: the address is left to the system, so that no other mapping is replaced.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), ADDRESSES + CHUNK_BYTES, protection, flags)? };
    let start = start.map_addr(|start| start.next_multiple_of(CHUNK_BYTES));
    if page_size() == SMALL_PAGE_BYTES {
        // SAFETY: the addresses are within the new mapping; the advice changes nothing of what is read there.
        let advised = unsafe { madvise(start, SHARED * CHUNK_BYTES, Advice::LinuxHugepage) };
        if let Err(error) = advised {
            tracing::debug!(%error, "there are no large pages: content is sent from small ones");
        }
    }
    Ok(start.expose_provenance())
}

/// The pages of a system on which [`CHUNK_BYTES`] is the length of a large one. Where they are longer, large ones are far too long.
const SMALL_PAGE_BYTES: usize = 4 << 10;

/// As it is in a tally.
fn tally(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::{Arena, CHUNK_BYTES};
    use crate::{copy, holds, is_sparse};

    #[test]
    fn of_a_full_chunk_with_little_in_use_it_is_said_so() {
        const LENGTH: usize = CHUNK_BYTES / 32;
        let blocks: Vec<_> = (0..4 * 32).map(|_| copy(&[1; LENGTH]).expect("a block")).collect();
        assert!(blocks.iter().all(|block| holds(block) && !is_sparse(block)));
        // In the chunks of the first half at most one of eight stays.
        let kept: Vec<_> = blocks[..64].iter().step_by(8).cloned().collect();
        drop(blocks);
        assert!(kept.iter().any(|block| is_sparse(block)));
    }

    #[test]
    fn what_is_hardly_used_does_not_take_ever_more_memory() {
        let mut kept = Vec::new();
        // Of each chunk a small part is kept, and the rest is let go.
        let refused = (0..10_000).any(|at| match copy(&vec![1; CHUNK_BYTES / 8]) {
            Some(block) => {
                if at % 8 == 0 {
                    kept.push(block);
                }
                false
            }
            None => true,
        });
        let state = Arena::made().expect("an arena").state.lock();
        assert!(refused, "{} chunks for {} blocks", state.taken, kept.len());
    }
}
