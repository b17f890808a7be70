//! The bytes of a response from the cache, from wherever they are: beside the head, in slices, or on their way from the origin.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use ncore_cache::partial::Grid;
use ncore_store::cached::EntryKey;

use super::{
    ask::{Others, is_failure},
    filling::{At, Filling, Reader},
    gap::{Got, Refill},
    shelf::{Sent, SharedShelf},
    variant::{Kept, Version},
};
use crate::{BoxError, body::ApiBody};

/// Length of a slice of what is kept, in bytes. The last one of an object is shorter.
pub(crate) const SLICE_BYTES: u64 = 1 << 20;

/// The most slices that are asked for in one request. Who wants one of them waits for those before it.
pub(crate) const SLICES_AT_ONCE: u64 = 16;

/// How content is cut.
pub(crate) const GRID: Grid = Grid::new(SLICE_BYTES, SLICES_AT_ONCE);

/// How often one slice is asked for again for one response.
const TRIES_MAX: usize = 2;

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
    /// The oldest fill that a slice may have.
    pub(crate) oldest: u64,
    pub(crate) sent: Sent,
    /// How slices are got that are not there, if they can be.
    pub(crate) refill: Option<Arc<Refill>>,
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
    /// A slice has been evicted meanwhile, or was damaged, and nothing says of which version it was.
    #[error("slice {0} of the content is no longer kept")]
    Slice(u64),
    /// The origin has another version by now.
    #[error("the origin has another version than the one that has been sent in part")]
    Changed,
}

impl Content {
    /// Its length, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Kept(kept) => Some(kept.length()),
            Self::Filling(filling) => filling.length,
        }
    }

    /// What it is a version of, if it is in slices, now or later. `headers` are those that it is kept with.
    pub(crate) fn version(&self, headers: &Arc<HeaderMap>) -> Option<Version> {
        match self {
            Self::Kept(Kept::Inline(_)) => None,
            Self::Kept(Kept::Slices { object, length, since, .. }) => {
                Some(Version { headers: Arc::clone(headers), object: *object, length: *length, since: *since })
            }
            Self::Filling(filling) => {
                let length = filling.length.filter(|_| filling.variant.status == StatusCode::OK)?;
                let since = match filling.variant.content {
                    Kept::Inline(_) => filling.fill,
                    Kept::Slices { since, .. } => since,
                };
                Some(Version { headers: Arc::clone(&filling.variant.headers), object: filling.object, length, since })
            }
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
            Self::Kept(Kept::Slices { object, length, .. }) => Source::Slices(Sliced { object, length, coming: Vec::new(), asked: (0, 0) }),
            Self::Filling(filling) => {
                let first = pieces.iter().find_map(|piece| match piece {
                    Piece::Range { first, .. } => Some(*first),
                    Piece::Text(_) => None,
                });
                let first = first.unwrap_or_default();
                match filling.length.filter(|_| place.refill.is_some()) {
                    Some(length) => {
                        let reader = filling.has(first).then(|| filling.reader(first));
                        Source::Slices(Sliced { object: filling.object, length, coming: vec![Coming { filling, reader }], asked: (0, 0) })
                    }
                    None => Source::Filling { reader: filling.reader(first), filling },
                }
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
    Slices(Sliced),
    /// On its way, and if the origin breaks off nothing more comes.
    Filling {
        filling: Arc<Filling>,
        reader: Reader,
    },
}

/// A content in slices, of which some may be missing or on their way.
struct Sliced {
    object: u128,
    /// In bytes.
    length: u64,
    /// Bytes on their way: those that were asked for last come first, and behind them only what is ahead of the reader.
    coming: Vec<Coming>,
    /// The slice that was asked for last, and how often.
    asked: (u64, usize),
}

/// Bytes on their way.
struct Coming {
    filling: Arc<Filling>,
    /// There once any of them was wanted. A reader that is elsewhere is not to be waited for.
    reader: Option<Reader>,
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
            let Some(mut bytes) = self.at(first, last).await? else {
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

    /// Bytes from a place on; `None` at the end. What is wanted goes up to `last`, or to the end.
    async fn at(&mut self, at: u64, last: Option<u64>) -> Result<Option<Bytes>, Lost> {
        match &mut self.source {
            Source::Inline(bytes) => {
                let skip = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Some(bytes.slice(skip..)).filter(|bytes| !bytes.is_empty()))
            }
            Source::Slices(sliced) => sliced.at(&self.place, at, last).await,
            Source::Filling { filling, reader } => match filling.at(at, reader).await {
                At::Bytes(bytes) => Ok(Some(bytes)),
                At::Before => match self.place.slice(filling.object, at).await {
                    Some(bytes) => Ok(Some(bytes)),
                    None => Err(self.place.lost(at / SLICE_BYTES).await),
                },
                At::End => Ok(None),
                At::Broken => Err(Lost::Origin),
            },
        }
    }
}

impl Sliced {
    async fn at(&mut self, place: &Place, at: u64, last: Option<u64>) -> Result<Option<Bytes>, Lost> {
        let last = last.unwrap_or(u64::MAX).min(self.length.saturating_sub(1));
        while at < self.length {
            if let Some(nearest) = self.coming.iter().position(|coming| coming.filling.has(at)) {
                match self.coming[nearest].at(at).await {
                    At::Bytes(bytes) => return Ok(Some(bytes)),
                    At::Before => {}
                    // What has come of it is in slices, and what is missing of these is asked for.
                    At::End | At::Broken => drop(self.coming.remove(nearest)),
                }
            }
            if let Some(bytes) = place.slice(self.object, at).await {
                return Ok(Some(bytes));
            }
            self.coming.retain(|coming| coming.is_ahead_of(at));
            let ahead = self.coming.iter().filter_map(Coming::start).filter(|start| *start > at).min();
            let last = ahead.map_or(last, |start| last.min(start - 1));
            if let Some(coming) = self.missing(place, GRID.number(at), GRID.number(last)).await? {
                self.coming.insert(0, coming);
            }
        }
        Ok(None)
    }

    /// Asks for slices that are not there. `None` if it is best to look again.
    async fn missing(&mut self, place: &Place, first: u64, last: u64) -> Result<Option<Coming>, Lost> {
        let Some(refill) = &place.refill else { return Err(place.lost(first).await) };
        let (asked, times) = self.asked;
        self.asked = if asked == first { (first, times + 1) } else { (first, 1) };
        if self.asked.1 > TRIES_MAX {
            return Err(Lost::Origin);
        }
        match refill.get(first, last, Others::Drop).await {
            Got::Filling(filling, _) if filling.object == self.object => Ok(Some(Coming { filling, reader: None })),
            Got::Filling(..) => Err(Lost::Changed),
            Got::Through(response) if is_failure(response.status()) => Err(Lost::Origin),
            Got::Through(_) => Err(Lost::Changed),
            Got::Failed(error) => {
                tracing::debug!(%error, "an origin was not reached for what is missing of a content");
                Err(Lost::Origin)
            }
            Got::Nothing => Ok(None),
        }
    }
}

impl Coming {
    /// Where it begins, if that is not the first byte.
    fn start(&self) -> Option<u64> {
        self.filling.part.as_ref().map(|part| part.start)
    }

    /// Whether anything behind a place comes.
    fn is_ahead_of(&self, at: u64) -> bool {
        self.filling.part.as_ref().is_none_or(|part| part.end > at)
    }

    /// What is at a place that is among those that come, as soon as it is known.
    async fn at(&mut self, at: u64) -> At {
        let reader = self.reader.get_or_insert_with(|| self.filling.reader(at));
        self.filling.at(at, reader).await
    }
}

impl Place {
    /// Bytes of a slice that is kept, from a place on.
    async fn slice(&self, object: u128, at: u64) -> Option<Bytes> {
        let skip = usize::try_from(at % SLICE_BYTES).unwrap_or(usize::MAX);
        let slice = self.shelf.slice(object, GRID.number(at), self.oldest, self.sent).await?;
        (skip < slice.len()).then(|| slice.slice(skip..))
    }

    /// A slice is not there, and is not to be had. Nobody else has to find out: what is left of the content is good for nothing.
    async fn lost(&self, number: u64) -> Lost {
        self.shelf.remove(&self.head).await;
        Lost::Slice(number)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use bytes::Bytes;
    use http_body_util::BodyExt;
    use ncore_store::cached::{Cached, CachedSettings, EntryKey};

    use super::{Content, Piece, Place};
    use crate::zones::{
        shelf::{Sent, Shelf},
        variant::{Came, Kept},
    };

    /// What is read of a slice with the fill 5, by a response that takes none older than `oldest`.
    async fn read(since: u64, newest_purge: u64) -> Option<Bytes> {
        let settings = CachedSettings { disk_bytes: 0, ..CachedSettings::default() };
        let shelf = Arc::new(Shelf::new(Cached::open(Path::new(""), settings).expect("in memory")));
        shelf.put_slice(7, 0, 5, Bytes::from_static(b"slice"));
        let kept = Kept::Slices { object: 7, length: 5, since, came: Came::Part };
        let place =
            Place { shelf, head: EntryKey::of(&[b"head"]), oldest: kept.oldest_slice(newest_purge), sent: Sent::Sealed, refill: None };
        let body = Content::Kept(kept).stream(place, [Piece::Range { first: 0, last: None }].into());
        body.collect().await.ok().map(http_body_util::Collected::to_bytes)
    }

    #[tokio::test]
    async fn a_slice_from_before_a_purge_is_not_used() {
        let slice = Some(Bytes::from_static(b"slice"));
        assert_eq!(read(5, 5).await, slice);
        assert_eq!(read(6, 5).await, slice, "from another node, which had less and did not miss a purge");
        assert_eq!(read(6, 6).await, None);
        assert_eq!(read(5, 6).await, slice, "the head was validated since, and its slices with it");
    }
}
