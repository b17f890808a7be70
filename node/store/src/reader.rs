//! Reading one slice, verified.
//!
//! The slice and the pairs that it needs are read first and then walked from the root down: each
//! pair against the value above it, each group against its pair. Nothing leaves this module that the
//! walk did not reach from the hash. The same walk writes the frame that carries a slice to another
//! machine.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use blake3::hazmat::ChainingValue;
use bytes::Bytes;

use crate::core::Core;
use crate::error::{Corruption, ReadError};
use crate::frame::{SliceFrame, frame_bytes};
use crate::outboard::{OutboardPart, read_at};
use crate::tree::{Node, SLICE_BYTES, Tree, group_value, pair_value, slice_range};

/// Reads and verifies a slice. Blocks.
pub(crate) fn read_slice(core: &Core, hash: &blake3::Hash, size: u64, slice: u64) -> Result<Bytes, ReadError> {
    let loaded = Loaded::from_disk(core, hash, size, slice)?;
    loaded.walk(hash, None).map_err(|what| blame(core, hash, size, what))?;
    Ok(Bytes::from(loaded.data))
}

/// Reads and verifies a slice, and frames it for another machine. Blocks.
pub(crate) fn encode_slice(core: &Core, hash: &blake3::Hash, size: u64, slice: u64) -> Result<SliceFrame, ReadError> {
    let loaded = Loaded::from_disk(core, hash, size, slice)?;
    let mut frame = Vec::with_capacity(frame_bytes(size, slice).unwrap_or(0));
    loaded.walk(hash, Some(&mut frame)).map_err(|what| blame(core, hash, size, what))?;
    Ok(SliceFrame { slice, bytes: Bytes::from(frame) })
}

/// A slice as it was on the disk, not verified yet.
struct Loaded {
    tree: Tree,
    groups: Range<u64>,
    pairs: OutboardPart,
    data: Vec<u8>,
}

impl Loaded {
    fn from_disk(core: &Core, hash: &blake3::Hash, size: u64, slice: u64) -> Result<Self, ReadError> {
        let range = slice_range(size, slice).ok_or(ReadError::NoSuchSlice { size, slice })?;
        let len = usize::try_from(range.end - range.start).unwrap_or(SLICE_BYTES);
        let (current, aside) = (core.layout.blob(hash), core.layout.quarantined(hash));
        let data = open_either(&current.data, &aside.data).map_err(ReadError::from_io)?.ok_or(ReadError::Missing)?;
        let data = read_at(&data, range.start, len).map_err(ReadError::from_io)?;
        if data.len() < len {
            return Err(blame(core, hash, size, Corruption::Length));
        }
        let tree = Tree::new(size);
        let groups = tree.slice_groups(slice);
        let pairs = if tree.root().is_group() {
            OutboardPart::none()
        } else {
            match open_either(&current.outboard, &aside.outboard).map_err(ReadError::from_io)? {
                Some(file) => OutboardPart::read(&file, tree, &groups).map_err(ReadError::from_io)?,
                // Collected between the two opens.
                None if !current.data.exists() && !aside.data.exists() => {
                    return Err(ReadError::Missing);
                }
                None => return Err(blame(core, hash, size, Corruption::Outboard)),
            }
        };
        Ok(Self { tree, groups, pairs, data })
    }

    /// Verifies the slice from the root down, and appends what it passes to the frame.
    fn walk(&self, root: &blake3::Hash, frame: Option<&mut Vec<u8>>) -> Result<(), Corruption> {
        let mut walk = Walk { loaded: self, rest: &self.data, frame };
        walk.visit(&self.tree.root(), root.as_bytes(), true)
    }
}

struct Walk<'a> {
    loaded: &'a Loaded,
    /// Groups that were not visited yet.
    rest: &'a [u8],
    frame: Option<&'a mut Vec<u8>>,
}

impl Walk<'_> {
    fn visit(&mut self, node: &Node, expected: &ChainingValue, is_root: bool) -> Result<(), Corruption> {
        if node.is_outside(&self.loaded.groups) {
            return Ok(());
        }
        if node.is_group() {
            return self.visit_group(node.groups.start, expected, is_root);
        }
        let pair = self.loaded.pairs.pair(node.own_pair());
        let pair = pair.ok_or(Corruption::Outboard)?;
        if pair_value(pair, is_root) != *expected {
            return Err(Corruption::Outboard);
        }
        self.pass(pair);
        let (left, right) = node.children();
        let (left_value, right_value) = halves(pair);
        self.visit(&left, &left_value, false)?;
        self.visit(&right, &right_value, false)
    }

    fn visit_group(&mut self, group: u64, expected: &ChainingValue, is_root: bool) -> Result<(), Corruption> {
        let len = self.loaded.tree.group_bytes(group);
        let (data, rest) = self.rest.split_at_checked(len).ok_or(Corruption::Length)?;
        if group_value(group, data, is_root) != *expected {
            return Err(Corruption::Data);
        }
        self.rest = rest;
        self.pass(data);
        Ok(())
    }

    fn pass(&mut self, bytes: &[u8]) {
        if let Some(frame) = &mut self.frame {
            frame.extend_from_slice(bytes);
        }
    }
}

/// The values of a node's children.
pub(crate) fn halves(pair: &[u8; 64]) -> (ChainingValue, ChainingValue) {
    let (mut left, mut right) = ([0; 32], [0; 32]);
    left.copy_from_slice(&pair[..32]);
    right.copy_from_slice(&pair[32..]);
    (left, right)
}

/// Tells a damaged blob from a caller who has its size wrong, which looks the same to the walk.
fn blame(core: &Core, hash: &blake3::Hash, size: u64, what: Corruption) -> ReadError {
    match core.index.blob(hash) {
        Ok(Some(record)) if record.size != size => ReadError::WrongSize { asked: size, recorded: record.size },
        _ => ReadError::Corrupt { what },
    }
}

/// The copy that counts, or else the one that was set aside.
fn open_either(current: &Path, aside: &Path) -> io::Result<Option<File>> {
    for path in [current, aside] {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            answer => return answer.map(Some),
        }
    }
    Ok(None)
}
