//! The bytes of a response from the cache, from wherever they are: beside the head, in slices, or on their way from the origin.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::stream::try_unfold;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use ncore_store::cached::EntryKey;

use super::{
    filling::{At, Filling, Reader},
    shelf::SharedShelf,
    variant::Kept,
};
use crate::{BoxError, body::ApiBody};

/// Length of a slice of what is kept, in bytes. The last one of an object is shorter.
pub(crate) const SLICE_BYTES: u64 = 1 << 20;

/// Where the content of a response is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// It is kept.
    Kept(Kept),
    /// It is on its way.
    Filling(Arc<Filling>),
}

/// Where what is kept is looked for.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) shelf: SharedShelf,
    /// The key under which its head is.
    pub(crate) head: EntryKey,
}

/// A piece of a body.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// Text between parts.
    Text(Bytes),
    /// Bytes of the content: from the first one on, to the last one or to the end.
    Range { first: u64, last: Option<u64> },
}

/// The content can no longer be had. The response is broken off, so that the viewer knows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// The origin broke off.
    #[error("the origin broke off its response")]
    Origin,
    /// A slice has been evicted meanwhile, or was damaged.
    #[error("slice {0} of the content is no longer kept")]
    Slice(u64),
}

impl Content {
    /// Its length, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Kept(kept) => Some(kept.length()),
            Self::Filling(filling) => filling.length,
        }
    }

    /// All of it if it is here as it is.
    pub(crate) fn inline(&self) -> Option<&Bytes> {
        match self {
            Self::Kept(Kept::Inline(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// `pieces` of it as a body.
    pub(crate) fn stream(self, place: Place, pieces: VecDeque<Piece>) -> ApiBody {
        let source = match self {
            Self::Kept(Kept::Inline(bytes)) => Source::Inline(bytes),
            Self::Kept(Kept::Slices { object, length }) => Source::Slices { object, length },
            Self::Filling(filling) => {
                let first = pieces.iter().find_map(|piece| match piece {
                    Piece::Range { first, .. } => Some(*first),
                    Piece::Text(_) => None,
                });
                let reader = filling.reader(first.unwrap_or_default());
                Source::Filling { filling, reader }
            }
        };
        let reading = Reading { source, place, pieces };
        StreamBody::new(try_unfold(reading, |mut reading| async move {
            let bytes = reading.next().await.map_err(BoxError::from)?;
            Ok(bytes.map(|bytes| (Frame::data(bytes), reading)))
        }))
        .boxed_unsync()
    }
}

struct Reading {
    source: Source,
    place: Place,
    pieces: VecDeque<Piece>,
}

enum Source {
    Inline(Bytes),
    Slices { object: u128, length: u64 },
    Filling { filling: Arc<Filling>, reader: Reader },
}

impl Reading {
    /// The next bytes of the first piece that has any left.
    async fn next(&mut self) -> Result<Option<Bytes>, Lost> {
        loop {
            let (first, last) = match self.pieces.front() {
                None => return Ok(None),
                Some(Piece::Text(_)) => {
                    let Some(Piece::Text(text)) = self.pieces.pop_front() else { continue };
                    return Ok(Some(text));
                }
                Some(Piece::Range { first, last }) => (*first, *last),
            };
            if last.is_some_and(|last| first > last) {
                self.pieces.pop_front();
                continue;
            }
            let Some(mut bytes) = self.at(first).await? else {
                self.pieces.pop_front();
                // A content that is shorter than what was promised of it is broken off.
                if last.is_some() {
                    return Err(Lost::Origin);
                }
                continue;
            };
            if let Some(left) = last.map(|last| last - first + 1).and_then(|left| usize::try_from(left).ok()) {
                bytes.truncate(left);
            }
            if let Some(Piece::Range { first, .. }) = self.pieces.front_mut() {
                *first += bytes.len() as u64;
            }
            return Ok(Some(bytes));
        }
    }

    /// Bytes from a place on; `None` at the end.
    async fn at(&self, at: u64) -> Result<Option<Bytes>, Lost> {
        match &self.source {
            Source::Inline(bytes) => {
                let skip = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Some(bytes.slice(skip..)).filter(|bytes| !bytes.is_empty()))
            }
            Source::Slices { length, .. } if at >= *length => Ok(None),
            Source::Slices { object, .. } => self.slice(*object, at).await.map(Some),
            Source::Filling { filling, reader } => match filling.at(at, reader).await {
                At::Bytes(bytes) => Ok(Some(bytes)),
                At::Before => self.slice(filling.object, at).await.map(Some),
                At::End => Ok(None),
                At::Broken => Err(Lost::Origin),
            },
        }
    }

    async fn slice(&self, object: u128, at: u64) -> Result<Bytes, Lost> {
        let number = at / SLICE_BYTES;
        let skip = usize::try_from(at % SLICE_BYTES).unwrap_or(usize::MAX);
        match self.place.shelf.slice(object, number).await {
            Some(slice) if skip < slice.len() => Ok(slice.slice(skip..)),
            _ => {
                // Nobody else has to find out: what is left of it is good for nothing.
                self.place.shelf.remove(&self.place.head).await;
                Err(Lost::Slice(number))
            }
        }
    }
}
