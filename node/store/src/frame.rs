//! One slice on its way to another machine, with all that is needed to verify it against the hash.
//!
//! A frame is the bao-tree response for the slice's range with 16 KiB groups: the walk from the root
//! in pre order, each pair before what lies below it, leaving out what has nothing in common with
//! the slice. It has no header; who receives it knows hash, size and slice, and from these the length
//! of the frame to the byte.

use blake3::hazmat::ChainingValue;
use bytes::Bytes;

use crate::reader::halves;
use crate::tree::{Node, PAIR_BYTES, SLICE_BYTES, Tree, group_value, pair_value, slice_range};

/// A slice that verifies itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceFrame {
    /// Number of the slice.
    pub slice: u64,
    /// What [`decode_slice`] takes.
    pub bytes: Bytes,
}

/// Why a frame is not the slice that it was to be. Always the fault of its sender: ask another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A blob of this size has no such slice. The caller's fault.
    #[error("a blob of {size} bytes has no slice {slice}")]
    NoSuchSlice {
        /// The size that the caller gave.
        size: u64,
        /// The slice asked for.
        slice: u64,
    },
    /// The frame has a length that it cannot have.
    #[error("a frame of {actual} bytes where {expected} are due")]
    Length {
        /// Bytes that are due.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// A hash pair is not what the value above it says.
    #[error("a hash pair above group {group} does not match")]
    Pair {
        /// The first group below the pair.
        group: u64,
    },
    /// A group is not what its hash says.
    #[error("group {group} does not match its hash")]
    Group {
        /// The group.
        group: u64,
    },
}

/// The length in bytes of the frame of a slice, or `None` if there is no such slice. At most
/// 1 MiB and 8 KiB, so that a receiver can refuse more before it reads it.
#[must_use]
pub fn frame_bytes(size: u64, slice: u64) -> Option<usize> {
    let range = slice_range(size, slice)?;
    let tree = Tree::new(size);
    let groups = tree.slice_groups(slice);
    let mut node = tree.root();
    let mut pairs = 0;
    while !node.is_within(&groups) {
        pairs += 1;
        let (left, right) = node.children();
        node = if right.is_outside(&groups) { left } else { right };
    }
    let own = usize::try_from(node.len() - 1).ok()?;
    let data = usize::try_from(range.end - range.start).ok()?;
    Some((pairs + own) * PAIR_BYTES + data)
}

/// Verifies the frame of a slice and gives the slice's bytes. Hashes the slice: about a third of a
/// millisecond, for the caller to spend on a thread of its choice.
///
/// The bytes are right whatever `size` was claimed. Only the last slice proves the size itself: the
/// others would be the same in a blob that is longer by less than a group.
///
/// # Errors
/// [`VerifyError`], and then nothing of the frame may be used.
pub fn decode_slice(root: blake3::Hash, size: u64, slice: u64, frame: &[u8]) -> Result<Bytes, VerifyError> {
    let missing = VerifyError::NoSuchSlice { size, slice };
    let range = slice_range(size, slice).ok_or(missing)?;
    let expected = frame_bytes(size, slice).ok_or(missing)?;
    let length = VerifyError::Length { expected, actual: frame.len() };
    if frame.len() != expected {
        return Err(length);
    }
    let len = usize::try_from(range.end - range.start).unwrap_or(SLICE_BYTES);
    let tree = Tree::new(size);
    let mut decoder = Decoder { tree, groups: tree.slice_groups(slice), rest: frame, data: Vec::with_capacity(len), length };
    decoder.visit(&tree.root(), root.as_bytes(), true)?;
    Ok(Bytes::from(decoder.data))
}

struct Decoder<'a> {
    tree: Tree,
    groups: std::ops::Range<u64>,
    rest: &'a [u8],
    data: Vec<u8>,
    /// The error for a frame that ends early. The length was checked, so this is never seen.
    length: VerifyError,
}

impl Decoder<'_> {
    fn visit(&mut self, node: &Node, expected: &ChainingValue, is_root: bool) -> Result<(), VerifyError> {
        if node.is_outside(&self.groups) {
            return Ok(());
        }
        let group = node.groups.start;
        if node.is_group() {
            let data = self.take(self.tree.group_bytes(group))?;
            if group_value(group, data, is_root) != *expected {
                return Err(VerifyError::Group { group });
            }
            self.data.extend_from_slice(data);
            return Ok(());
        }
        let pair = self.take(PAIR_BYTES)?;
        let pair = pair.try_into().map_err(|_| self.length)?;
        if pair_value(pair, is_root) != *expected {
            return Err(VerifyError::Pair { group });
        }
        let (left, right) = node.children();
        let (left_value, right_value) = halves(pair);
        self.visit(&left, &left_value, false)?;
        self.visit(&right, &right_value, false)
    }
}

impl<'a> Decoder<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], VerifyError> {
        let (now, later) = self.rest.split_at_checked(len).ok_or(self.length)?;
        self.rest = later;
        Ok(now)
    }
}
