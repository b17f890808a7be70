//! The BLAKE3 tree over groups of 16 KiB: its shape, and a hasher that produces it as a stream.
//!
//! The shape depends on the size alone. A node over `n` groups has the largest power of two below
//! `n` on its left. In post order, the pairs of a node's left subtree come first, then those of the
//! right one, then its own; so a node that covers `n` groups owns `n - 1` consecutive pairs and its
//! own pair is the last of them. Slices of 1 MiB are 64 groups, aligned, so each slice is one node.

use std::ops::Range;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes of a slice: the unit of reading, of memory, and of transfer.
pub const SLICE_BYTES: usize = 1 << 20;

/// Bytes of a chunk group: the unit that the outboard can vouch for.
pub const GROUP_BYTES: usize = 16 << 10;

/// Bytes of a hash pair.
pub(crate) const PAIR_BYTES: usize = 64;

const SLICE: u64 = SLICE_BYTES as u64;
const GROUP: u64 = GROUP_BYTES as u64;
const GROUPS_PER_SLICE: u64 = SLICE / GROUP;

/// Number of slices of a blob. An empty blob has one, which is empty.
#[must_use]
pub const fn slice_count(size: u64) -> u64 {
    match size.div_ceil(SLICE) {
        0 => 1,
        slices => slices,
    }
}

/// The bytes that a slice covers, or `None` if a blob of this size has no such slice.
#[must_use]
pub fn slice_range(size: u64, slice: u64) -> Option<Range<u64>> {
    (slice < slice_count(size)).then(|| {
        let start = slice * SLICE;
        start..start.saturating_add(SLICE).min(size)
    })
}

/// The tree of a blob of a given size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    size: u64,
}

/// A node: the groups that it covers, and the first of the pairs below it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) groups: Range<u64>,
    pub(crate) first_pair: u64,
}

impl Tree {
    pub(crate) const fn new(size: u64) -> Self {
        Self { size }
    }

    pub(crate) fn root(self) -> Node {
        Node { groups: 0..self.groups(), first_pair: 0 }
    }

    /// Number of groups. An empty blob has one, which is empty.
    fn groups(self) -> u64 {
        self.size.div_ceil(GROUP).max(1)
    }

    /// Bytes of the outboard.
    pub(crate) fn outboard_bytes(self) -> u64 {
        (self.groups() - 1) * PAIR_BYTES as u64
    }

    /// The groups of a slice that exists.
    pub(crate) fn slice_groups(self, slice: u64) -> Range<u64> {
        let start = slice * GROUPS_PER_SLICE;
        start..start.saturating_add(GROUPS_PER_SLICE).min(self.groups())
    }

    /// Bytes of one group: 16 KiB for all but the last.
    pub(crate) fn group_bytes(self, group: u64) -> usize {
        let rest = (self.size - group * GROUP).min(GROUP);
        usize::try_from(rest).unwrap_or(GROUP_BYTES)
    }
}

impl Node {
    pub(crate) fn len(&self) -> u64 {
        self.groups.end - self.groups.start
    }

    pub(crate) fn is_group(&self) -> bool {
        self.len() == 1
    }

    /// Whether the node lies in these groups entirely.
    pub(crate) fn is_within(&self, groups: &Range<u64>) -> bool {
        groups.start <= self.groups.start && self.groups.end <= groups.end
    }

    /// Whether the node has nothing in common with these groups.
    pub(crate) fn is_outside(&self, groups: &Range<u64>) -> bool {
        self.groups.end <= groups.start || groups.end <= self.groups.start
    }

    /// The pairs of the node and of everything below it.
    pub(crate) fn pairs(&self) -> Range<u64> {
        self.first_pair..self.first_pair + self.len() - 1
    }

    /// The pair of the node itself. Not for a group, which has none.
    pub(crate) fn own_pair(&self) -> u64 {
        self.pairs().end - 1
    }

    /// Both children. Not for a group.
    pub(crate) fn children(&self) -> (Self, Self) {
        // The largest power of two that is smaller than the length.
        let left = 1 << (self.len() - 1).ilog2();
        let middle = self.groups.start + left;
        (
            Self { groups: self.groups.start..middle, first_pair: self.first_pair },
            Self { groups: middle..self.groups.end, first_pair: self.first_pair + left - 1 },
        )
    }
}

/// The value of a group.
pub(crate) fn group_value(group: u64, data: &[u8], is_root: bool) -> ChainingValue {
    if is_root {
        return blake3::hash(data).into();
    }
    let mut hasher = Hasher::new();
    hasher.set_input_offset(group * GROUP).update(data);
    hasher.finalize_non_root()
}

/// The value of a node, from the pair of its children's.
pub(crate) fn pair_value(pair: &[u8; PAIR_BYTES], is_root: bool) -> ChainingValue {
    let mut children = [[0; 32]; 2];
    let (left, right) = pair.split_at(32);
    children[0].copy_from_slice(left);
    children[1].copy_from_slice(right);
    if is_root {
        merge_subtrees_root(&children[0], &children[1], Mode::Hash).into()
    } else {
        merge_subtrees_non_root(&children[0], &children[1], Mode::Hash)
    }
}

/// Computes the hash of a stream and emits the pairs of its outboard in post order.
///
/// It holds one value per level, so its memory does not grow with the stream. Whole groups in one
/// call are hashed at full width; odd pieces cost more.
#[derive(Debug)]
pub(crate) struct TreeHasher {
    group: Hasher,
    /// Bytes in the open group. Whether a group is the whole blob is known when it is followed by
    /// more, so a full group stays open until then.
    group_bytes: usize,
    closed_groups: u64,
    /// Values of complete subtrees, each larger than the next.
    subtrees: Vec<ChainingValue>,
}

impl TreeHasher {
    pub(crate) fn new() -> Self {
        Self { group: Hasher::new(), group_bytes: 0, closed_groups: 0, subtrees: Vec::new() }
    }

    /// Takes more of the stream in, and appends the pairs that became certain.
    pub(crate) fn update(&mut self, mut data: &[u8], pairs: &mut Vec<u8>) {
        while !data.is_empty() {
            if self.group_bytes == GROUP_BYTES {
                self.close_group(pairs);
            }
            let (now, later) = data.split_at(data.len().min(GROUP_BYTES - self.group_bytes));
            self.group.update(now);
            self.group_bytes += now.len();
            data = later;
        }
    }

    /// Ends the stream: appends the pairs that are left, and gives the hash.
    pub(crate) fn finish(mut self, pairs: &mut Vec<u8>) -> blake3::Hash {
        if self.closed_groups == 0 {
            return self.group.finalize();
        }
        let mut right = self.group.finalize_non_root();
        while let Some(left) = self.subtrees.pop() {
            emit(&left, &right, pairs);
            if self.subtrees.is_empty() {
                return merge_subtrees_root(&left, &right, Mode::Hash);
            }
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
        right.into()
    }

    fn close_group(&mut self, pairs: &mut Vec<u8>) {
        let mut value = self.group.finalize_non_root();
        self.closed_groups += 1;
        // As many subtrees are complete now as the count of groups has trailing zeros. None of them
        // is the root, because this is called when more data follows.
        for _ in 0..self.closed_groups.trailing_zeros() {
            if let Some(left) = self.subtrees.pop() {
                emit(&left, &value, pairs);
                value = merge_subtrees_non_root(&left, &value, Mode::Hash);
            }
        }
        self.subtrees.push(value);
        self.group = Hasher::new();
        self.group.set_input_offset(self.closed_groups * GROUP);
        self.group_bytes = 0;
    }
}

fn emit(left: &ChainingValue, right: &ChainingValue, pairs: &mut Vec<u8>) {
    pairs.extend_from_slice(left);
    pairs.extend_from_slice(right);
}
