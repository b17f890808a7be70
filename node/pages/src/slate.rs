//! Where what stands before a block is put, so that both go to the socket together: memory of one thread, of which each byte is written once and
//! then left alone until all of it is exchanged for new memory.

use std::{ffi::c_void, io::IoSlice, ptr, slice};

use rustix::{
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap},
    param::page_size,
};

/// Bytes of a slate. It is exchanged each time that so much was put on it, which has to be seldom, since all threads notice it.
const SLATE_BYTES: usize = 256 << 10;

/// Memory with a beginning that is written and sent, and an end that is free.
pub(crate) struct Slate {
    /// Its address.
    start: usize,
    used: usize,
}

impl Slate {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        // SAFETY: memory at addresses that the system chooses is nobody else's.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), SLATE_BYTES, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
        Ok(Self { start: start.expose_provenance(), used: 0 })
    }

    /// All of `pieces`, one behind the other within a page. `None` if no page has room for them, or there is no new memory.
    ///
    /// They are there until the slate is used again, and what the system was given of them by then stays as it is for the system.
    pub(crate) fn put(&mut self, pieces: &[IoSlice<'_>]) -> Option<&[u8]> {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if length > page_size() {
            return None;
        }
        if self.used % page_size() + length > page_size() {
            self.used = self.used.next_multiple_of(page_size());
        }
        if self.used + length > SLATE_BYTES {
            self.renew()?;
        }
        let begin = self.start + self.used;
        for piece in pieces {
            let free = ptr::with_exposed_provenance_mut(self.start + self.used);
            // SAFETY: these bytes are within the mapping, which is this slate's; nobody else has them, and none was written since their memory came.
            unsafe { ptr::copy_nonoverlapping(piece.as_ptr(), free, piece.len()) };
            self.used += piece.len();
        }
        // SAFETY: they were written just now, and are not written again while `self` is borrowed.
        Some(unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(begin), length) })
    }

    /// Exchanges the memory. What is still being sent of the old one is kept by the system alone.
    fn renew(&mut self) -> Option<()> {
        let start = ptr::with_exposed_provenance_mut::<c_void>(self.start);
        // SAFETY: the mapping is this slate's, and nobody has anything of it.
        unsafe { madvise(start, SLATE_BYTES, Advice::LinuxDontNeed) }.ok()?;
        self.used = 0;
        Some(())
    }
}

impl Drop for Slate {
    fn drop(&mut self) {
        // SAFETY: the mapping is this slate's, and nobody has anything of it.
        let _ = unsafe { munmap(ptr::with_exposed_provenance_mut(self.start), SLATE_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::{SLATE_BYTES, Slate};

    #[test]
    fn what_is_put_on_it_is_there_whole_within_a_page() {
        let mut slate = Slate::new().expect("memory");
        let lengths = [0, 1, 400, 4_000, 4_096];
        let (mut total, mut at) = (0, 0_usize);
        // Of several slates, so that it is exchanged.
        while total < 3 * SLATE_BYTES {
            let [first, second] = [at, at / 5].map(|at| vec![at.to_le_bytes()[0]; lengths[at % 5] / 2]);
            let put = slate.put(&[IoSlice::new(&first), IoSlice::new(&second)]).expect("room");
            assert_eq!(put, [first, second].concat());
            let begin = put.as_ptr().addr();
            assert!(put.is_empty() || begin / 4_096 == (begin + put.len() - 1) / 4_096);
            total += put.len();
            at += 1;
        }
    }

    #[test]
    fn what_no_page_has_room_for_is_not_put_on_it() {
        let mut slate = Slate::new().expect("memory");
        let long = vec![1; 2_049];
        assert_eq!(slate.put(&[IoSlice::new(&long), IoSlice::new(&long)]), None);
        assert_eq!(slate.put(&[IoSlice::new(&long)]), Some(&long[..]));
    }
}
