//! A response body that is read slice by slice while it is sent.
//!
//! ```text
//!            poll_frame                       the connection asks again
//!   next ──────────────────► sent, and the one after it begins to load ──► next
//!     │ not there yet: Pending
//!     └ cannot be had: error ──► the connection breaks; nothing wrong was sent
//! ```
//!
//! # Memory
//! Two slices a response: one in the hands of the connection, and the next, loading or loaded. hyper asks for more only
//! when nearly all of what it has is written, so a slow client holds no more than that.
//!
//! # Why the next slice has a task of its own
//! While a connection writes, it does not poll the body. A load that only ran inside of `poll_frame` would start where
//! the client has already drained what came before, and every slice boundary would be a pause.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use ncore_cache::range::ByteRange;
use tokio_util::task::AbortOnDropHandle;

use super::{
    catalog::AssetEntry,
    slices::{LoadedSlice, SLICE_BYTES, SliceError, SliceReader},
};

/// A part of a body.
#[derive(Debug)]
pub(super) enum Piece {
    /// Text that stands between ranges.
    Text(Bytes),
    /// Bytes of the asset.
    Range(ByteRange),
}

/// The rest of a body: pieces, and the slice in which the first range among them begins.
pub(crate) struct SliceBody {
    entry: Arc<AssetEntry>,
    reader: Arc<SliceReader>,
    pieces: VecDeque<Piece>,
    next: Next,
    remaining: u64,
}

/// The slice that the first range begins in.
enum Next {
    /// There are no ranges left.
    None,
    Ready {
        slice: u64,
        bytes: Bytes,
    },
    Loading {
        slice: u64,
        task: AbortOnDropHandle<Result<LoadedSlice, SliceError>>,
    },
}

impl SliceBody {
    /// A body of `pieces`, in that order. `first` is the slice in which the first range among them begins.
    pub(super) fn new(entry: Arc<AssetEntry>, reader: Arc<SliceReader>, pieces: VecDeque<Piece>, first: Bytes) -> Self {
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Range(range) => range.len(),
        };
        let remaining = pieces.iter().map(length).sum();
        let next = match first_slice(&pieces) {
            Some(slice) => Next::Ready { slice, bytes: first },
            None => Next::None,
        };
        Self { entry, reader, pieces, next, remaining }
    }

    /// Bytes still to come.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next bytes, at most `bytes_max` of them; `None` at the end. Nothing follows an error.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<Option<Result<Bytes, SliceError>>> {
        let bytes = match self.pieces.front() {
            None => return Poll::Ready(None),
            Some(Piece::Text(text)) => {
                let text = text.clone();
                self.pieces.pop_front();
                text
            }
            Some(&Piece::Range(range)) => match ready!(self.poll_next(cx)) {
                Ok((slice, bytes)) => self.cut(range, slice, &bytes, bytes_max),
                Err(error) => {
                    self.pieces.clear();
                    self.remaining = 0;
                    return Poll::Ready(Some(Err(error)));
                }
            },
        };
        self.remaining -= bytes.len() as u64;
        Poll::Ready(Some(Ok(bytes)))
    }

    /// The slice that the first range begins in.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u64, Bytes), SliceError>> {
        if let Next::Loading { slice, task } = &mut self.next {
            let slice = *slice;
            let loaded = match ready!(Pin::new(task).poll(cx)) {
                Ok(loaded) => loaded,
                Err(died) => Err(SliceError::Unreachable(Box::new(died))),
            };
            self.next = match loaded {
                Ok(LoadedSlice { bytes, .. }) => Next::Ready { slice, bytes },
                Err(error) => {
                    self.next = Next::None;
                    return Poll::Ready(Err(error));
                }
            };
        }
        match std::mem::replace(&mut self.next, Next::None) {
            Next::Ready { slice, bytes } => Poll::Ready(Ok((slice, bytes))),
            Next::None | Next::Loading { .. } => {
                unreachable!("a range that is left has its slice named in `next`")
            }
        }
    }

    /// Takes from the first range what `bytes`, the slice that it begins in, has of it, and sees to what comes after.
    fn cut(&mut self, range: ByteRange, slice: u64, bytes: &Bytes, bytes_max: usize) -> Bytes {
        let start = within_slice(range.first() - slice * SLICE_BYTES);
        let left_in_slice = bytes.len() - start;
        let left_in_range = usize::try_from(range.len()).unwrap_or(usize::MAX);
        let length = left_in_slice.min(left_in_range).min(bytes_max);
        let cut = bytes.slice(start..start + length);

        self.pieces.pop_front();
        if let Some(rest) = ByteRange::new(range.first() + length as u64, range.last()) {
            self.pieces.push_front(Piece::Range(rest));
        }
        self.next = match first_slice(&self.pieces) {
            None => Next::None,
            Some(same) if same == slice => Next::Ready { slice, bytes: bytes.clone() },
            Some(other) => self.begin(other),
        };
        cut
    }

    /// Takes a slice from memory, or starts to load it.
    fn begin(&self, slice: u64) -> Next {
        if let Some(LoadedSlice { bytes, .. }) = self.reader.cached(&self.entry, slice) {
            return Next::Ready { slice, bytes };
        }
        let reader = Arc::clone(&self.reader);
        let entry = Arc::clone(&self.entry);
        let task = tokio::spawn(async move { reader.load(entry, slice).await });
        Next::Loading { slice, task: AbortOnDropHandle::new(task) }
    }
}

/// Number of the slice in which the first range of `pieces` begins.
pub(super) fn first_slice(pieces: &VecDeque<Piece>) -> Option<u64> {
    pieces.iter().find_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Range(range) => Some(range.first() / SLICE_BYTES),
    })
}

/// A position relative to the start of its slice, as an index.
pub(super) fn within_slice(position: u64) -> usize {
    usize::try_from(position).expect("a slice has 1 MiB")
}

#[cfg(test)]
mod tests;
