//! The file in memory, its mapping, and the blocks that they are divided into.

use std::{
    ffi::c_void,
    io,
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    ptr,
    sync::OnceLock,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::{
    fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap},
    param::page_size,
};

/// The most bytes that a block has room for: as many as a page of the system has at most, where pages are of 4 KiB otherwise.
pub const BLOCK_BYTES: usize = 2 << 20;

/// Addresses that are set aside for blocks, in bytes. They are no memory.
pub const MAPPED_BYTES: usize = 256 << 30;

/// The pages of a system on which [`BLOCK_BYTES`] is the length of a large one.
const PAGE_BYTES: usize = 4 << 10;

/// The file in memory, all of which is mapped.
struct Arena {
    file: std::fs::File,
    /// Where the mapping begins. It stays until the process ends.
    start: usize,
    free: Mutex<Free>,
}

/// Places that are not taken.
#[derive(Default)]
struct Free {
    /// Those that were given back. The last one comes first, since its tables of pages are there already.
    back: Vec<usize>,
    /// The first one that was never taken.
    next: usize,
}

/// A place in the arena and what is in it, for as long as anybody has it.
struct Block {
    arena: &'static Arena,
    place: usize,
    length: usize,
}

/// A part of the file.
pub(crate) struct Part {
    pub(crate) file: BorrowedFd<'static>,
    /// Where it begins, in bytes.
    pub(crate) offset: u64,
}

/// The same bytes in a block of their own. `None` if they are too many for one, or none can be had.
#[must_use]
pub fn copy(bytes: &[u8]) -> Option<Bytes> {
    let arena = arena()?;
    let place = arena.take(bytes.len())?;
    let block = Block { arena, place, length: bytes.len() };
    arena.file.write_all_at(bytes, offset(place)).ok()?;
    Some(Bytes::from_owner(block))
}

/// Whether these bytes are in a block.
#[must_use]
pub fn holds(bytes: &[u8]) -> bool {
    part(bytes).is_some()
}

/// Where these bytes are in the file, if they are in a block.
pub(crate) fn part(bytes: &[u8]) -> Option<Part> {
    // Who asks for where bytes are makes no arena for it.
    let arena = ARENA.get()?.as_ref()?;
    let within = bytes.as_ptr().addr().checked_sub(arena.start).filter(|within| *within < MAPPED_BYTES)?;
    Some(Part { file: arena.file.as_fd(), offset: within as u64 })
}

/// There is one in a process, so that an address says all.
static ARENA: OnceLock<Option<Arena>> = OnceLock::new();

fn arena() -> Option<&'static Arena> {
    let arena = ARENA.get_or_init(|| {
        Arena::new().inspect_err(|error| tracing::warn!(%error, "there is no memory that can be sent as it is: it will be copied")).ok()
    });
    arena.as_ref()
}

impl Arena {
    fn new() -> io::Result<Self> {
        if page_size() != PAGE_BYTES {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "pages are not of 4 KiB"));
        }
        let file = memfd_create("ncore-pages", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, MAPPED_BYTES as u64)?;
        Ok(Self { start: map(&file)?, file: file.into(), free: Mutex::default() })
    }

    fn take(&self, length: usize) -> Option<usize> {
        if length == 0 || length > BLOCK_BYTES {
            return None;
        }
        let mut free = self.free.lock();
        if let Some(place) = free.back.pop() {
            return Some(place);
        }
        let place = free.next;
        (place < MAPPED_BYTES / BLOCK_BYTES).then(|| {
            free.next += 1;
            place
        })
    }

    /// Takes out the pages of a place, and lets others have it.
    fn give_back(&self, place: usize) {
        let taken_out = fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset(place), BLOCK_BYTES as u64);
        match taken_out {
            Ok(()) => self.free.lock().back.push(place),
            // Its pages may still be being sent: nobody gets it any more.
            Err(error) => tracing::warn!(%error, "memory could not be given back"),
        }
    }

    /// The addresses of a place.
    fn addresses(&self, place: usize) -> Range<usize> {
        let start = self.start + place * BLOCK_BYTES;
        start..start + BLOCK_BYTES
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        let start = ptr::with_exposed_provenance(self.arena.addresses(self.place).start);
        // SAFETY: the place is within the mapping, which stays until the process ends, and is this block's alone until it is dropped. Its
        // first `length` bytes were written before anybody had the block, and nothing writes them after: there is no other way to the
        // file than this module.
        unsafe { std::slice::from_raw_parts(start, self.length) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.give_back(self.place);
    }
}

/// Maps all of the file to be read, and says where.
fn map(file: &OwnedFd) -> io::Result<usize> {
    // SAFETY: the address is left to the system, so that no other mapping is replaced.
    let start = unsafe { mmap(ptr::null_mut::<c_void>(), MAPPED_BYTES, ProtFlags::READ, MapFlags::SHARED | MapFlags::NORESERVE, file, 0)? };
    Ok(start.expose_provenance())
}

/// Where a place begins in the file.
fn offset(place: usize) -> u64 {
    (place * BLOCK_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{BLOCK_BYTES, copy, holds, part};

    #[test]
    fn what_is_copied_is_the_same_and_is_known_by_its_address() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| at.to_le_bytes()[0]).collect();
        let copied = copy(&bytes).expect("a block");
        assert_eq!(copied, bytes);
        assert!(holds(&copied) && !holds(&bytes));
        let begins = part(&copied).expect("a part").offset;
        assert_eq!(part(&copied.slice(4_097..)).expect("a part").offset, begins + 4_097);
    }

    #[test]
    fn what_is_too_long_for_a_block_or_is_nothing_is_not_copied() {
        assert!(copy(&vec![1; BLOCK_BYTES]).is_some());
        assert!(copy(&vec![1; BLOCK_BYTES + 1]).is_none());
        assert!(copy(&[]).is_none());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Copy(u8, usize),
        /// Lets go of one, but not of a part of it.
        Keep(usize),
        Drop(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop::strategy::Union::new_weighted(vec![
            (3, (any::<u8>(), 1..60_000usize).prop_map(|(byte, length)| Step::Copy(byte, length)).boxed()),
            (1, any::<usize>().prop_map(Step::Keep).boxed()),
            (2, any::<usize>().prop_map(Step::Drop).boxed()),
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever others do, all who have bytes have theirs.
        #[test]
        fn nobody_sees_the_bytes_of_another(steps in prop::collection::vec(step(), 1..60)) {
            let mut held = Vec::new();
            for step in steps {
                match step {
                    Step::Copy(byte, length) => {
                        let copied = copy(&vec![byte; length]).expect("a block");
                        prop_assert_eq!(copied.len(), length);
                        held.push((byte, copied));
                    }
                    Step::Keep(at) if !held.is_empty() => {
                        let at = at % held.len();
                        let (byte, bytes) = held.swap_remove(at);
                        held.push((byte, bytes.slice(bytes.len() / 2..)));
                    }
                    Step::Drop(at) if !held.is_empty() => drop(held.swap_remove(at % held.len())),
                    Step::Keep(_) | Step::Drop(_) => {}
                }
                for (byte, bytes) in &held {
                    prop_assert!(bytes.iter().all(|other| other == byte));
                }
            }
        }
    }
}
