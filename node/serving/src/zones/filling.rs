//! A response that is being kept: its content comes from the origin, goes into slices, and is streamed to whoever wants it meanwhile.
//!
//! What came last is at hand, up to [`WINDOW_BYTES`]; what came before that is read from the slices that were kept. A single reader is
//! waited for, so that the origin is read no faster than the viewer reads and nothing has to come back from the disk. Several readers are
//! not: the slowest of them would be the pace of all. Nobody has to read at all: what was begun is kept also when its viewer has gone.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{
    opening::{FIRST_BYTES, Opening, Unserved},
    tiers::Source,
    variant::Variant,
};

/// How much of what came last is kept at hand, in bytes.
pub(crate) const WINDOW_BYTES: u64 = 8 << 20;

/// How long a single reader is waited for before the origin is read on without it. One that reads nothing for that long is about to be cut
/// off.
const READER_PATIENCE: Duration = Duration::from_secs(60);

/// How long what nobody reads is waited for.
const FORSAKEN_FOR: Duration = Duration::from_secs(600);

/// How much is taken of what nobody reads and nobody knows the length of, in bytes.
const FORSAKEN_BYTES: u64 = 256 << 20;

/// A response that is being kept.
#[derive(Debug)]
pub(crate) struct Filling {
    /// Its head, as it will be kept. Its content is not known yet.
    pub(crate) variant: Variant,
    /// Its fields as they came, for the viewer for whom it was asked.
    pub(crate) sent: HeaderMap,
    /// Where it comes from.
    pub(crate) source: Source,
    /// Names its slices.
    pub(crate) object: u128,
    /// Its length, if the origin has said it.
    pub(crate) length: Option<u64>,
    /// Which bytes of it come, if not all.
    pub(crate) part: Option<Range<u64>>,
    /// The revision under which they were asked for.
    pub(crate) fill: u64,
    progress: Mutex<Progress>,
    opening: Arc<Opening>,
    grown: watch::Sender<()>,
    read: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Progress {
    /// What came last: where each piece begins, and its bytes.
    recent: VecDeque<(u64, Bytes)>,
    received: u64,
    end: Option<End>,
    readers: Vec<Weak<AtomicU64>>,
    /// Since when nobody reads, and how much had come then.
    forsaken: Option<(Instant, u64)>,
}

/// How a content ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is all there.
    Whole,
    /// The origin broke off.
    Broken,
}

/// What is at some place of a content that is being filled.
#[derive(Debug)]
pub(crate) enum At {
    /// These bytes.
    Bytes(Bytes),
    /// Bytes that are no longer at hand, and in a slice.
    Before,
    /// The end.
    End,
    /// Nothing any more: the origin broke off.
    Broken,
}

/// A reader, as the one who fills sees it.
#[derive(Debug)]
pub(crate) struct Reader {
    at: Arc<AtomicU64>,
    read: Arc<Notify>,
    /// There until it has its first bytes, if it wants those with which the content begins.
    unserved: Option<Unserved>,
}

impl Filling {
    pub(crate) fn new(variant: Variant, sent: HeaderMap, source: Source, object: u128, length: Option<u64>) -> Self {
        let grown = watch::Sender::new(());
        let fill = variant.fill;
        let (progress, opening, read) = (Mutex::default(), Arc::default(), Arc::default());
        Self { variant, sent, source, object, length, part: None, fill, progress, opening, grown, read }
    }

    /// A response with some bytes of `object`, asked for under the revision `fill`. What is before them counts as received.
    pub(crate) fn of_part(variant: Variant, sent: HeaderMap, source: Source, object: u128, part: Range<u64>, fill: u64) -> Self {
        let length = variant.content.length();
        let filling = Self::new(variant, sent, source, object, Some(length));
        filling.progress().received = part.start;
        Self { part: Some(part), fill, ..filling }
    }

    /// Whether the byte at a place is among those that come.
    pub(crate) fn has(&self, at: u64) -> bool {
        self.part.as_ref().is_none_or(|part| part.contains(&at))
    }

    /// Whether what is at a place is no further than is waited for.
    pub(crate) fn is_near(&self, at: u64) -> bool {
        at <= self.received().saturating_add(WINDOW_BYTES)
    }

    /// A reader that begins at a place.
    pub(crate) fn reader(&self, at: u64) -> Reader {
        let begins = at == self.part.as_ref().map_or(0, |part| part.start);
        let unserved = (begins && !self.opening.is_over()).then(|| self.opening.admit());
        let at = Arc::new(AtomicU64::new(at));
        self.progress().readers.push(Arc::downgrade(&at));
        Reader { at, read: Arc::clone(&self.read), unserved }
    }

    /// What is at a place, as soon as it is known and the reader may have it.
    pub(crate) async fn at(&self, at: u64, reader: &mut Reader) -> At {
        reader.at.store(at, Ordering::Relaxed);
        self.read.notify_one();
        let mut grown = self.grown.subscribe();
        loop {
            if let Some(found) = self.now_at(at, reader) {
                return found;
            }
            if grown.changed().await.is_err() {
                return At::Broken;
            }
        }
    }

    /// Adds what has come, once there is room for it. After the first bytes it is waited until all who wait for them have some, `followers` of
    /// whom have not begun to read.
    pub(crate) async fn push(&self, bytes: Bytes, followers: impl Fn() -> usize) {
        if bytes.is_empty() {
            return;
        }
        if !self.opening.is_over() && (self.is_short() || followers() + self.opening.unserved() <= 1) {
            self.opening.end();
        }
        self.wait_for_reader(bytes.len() as u64).await;
        self.progress().add(bytes);
        self.grown.send_replace(());
        if !self.opening.is_over() {
            self.opening.all_served(followers).await;
            self.opening.end();
            self.grown.send_replace(());
        }
    }

    /// There is no more.
    pub(crate) fn finish(&self, end: End) {
        self.progress().end = Some(end);
        self.opening.end();
        self.grown.send_replace(());
    }

    /// Up to which byte it has come.
    pub(crate) fn received(&self) -> u64 {
        self.progress().received
    }

    /// All of it, if it has come in one piece and is not a part.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        let progress = self.progress();
        let is_whole = self.part.is_none() && progress.end == Some(End::Whole);
        match progress.recent.as_slices() {
            ([], []) if is_whole && progress.received == 0 => Some(Bytes::new()),
            ([(0, bytes)], []) if is_whole => Some(bytes.clone()),
            _ => None,
        }
    }

    /// Whether nobody has read for so long, or so much, that the rest is not waited for. What has a length is read on for longer: it ends.
    pub(crate) fn is_forsaken(&self) -> bool {
        let mut progress = self.progress();
        progress.readers.retain(|reader| reader.strong_count() > 0);
        if !progress.readers.is_empty() {
            progress.forsaken = None;
            return false;
        }
        let received = progress.received;
        let (since, from) = *progress.forsaken.get_or_insert_with(|| (Instant::now(), received));
        since.elapsed() > FORSAKEN_FOR || (self.length.is_none() && received - from > FORSAKEN_BYTES)
    }

    async fn wait_for_reader(&self, more: u64) {
        let patience = async {
            while self.progress().only_reader_would_miss(more) {
                self.read.notified().await;
            }
        };
        let _ = timeout(READER_PATIENCE, patience).await;
    }

    /// Whether it is no longer than what everybody gets first.
    fn is_short(&self) -> bool {
        self.length.is_some_and(|length| length <= FIRST_BYTES as u64)
    }

    fn now_at(&self, at: u64, reader: &mut Reader) -> Option<At> {
        let is_over = self.opening.is_over();
        if !is_over && reader.unserved.is_none() {
            return None;
        }
        let progress = self.progress();
        if at < progress.received {
            let found = progress.bytes_at(at);
            drop(progress);
            let is_first = reader.unserved.take().is_some();
            return Some(found.map_or(At::Before, |mut bytes| {
                if is_first && !is_over {
                    bytes.truncate(FIRST_BYTES);
                }
                At::Bytes(bytes)
            }));
        }
        progress.end.map(|end| match end {
            End::Whole => At::End,
            End::Broken => At::Broken,
        })
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        // Every change under the lock is a few assignments.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Where what is at hand begins.
    fn first(&self) -> u64 {
        self.recent.front().map_or(self.received, |(at, _)| *at)
    }

    fn add(&mut self, bytes: Bytes) {
        let at = self.received;
        self.received += bytes.len() as u64;
        self.recent.push_back((at, bytes));
        while self.recent.len() > 1 && self.received - self.first() > WINDOW_BYTES {
            self.recent.pop_front();
        }
    }

    fn bytes_at(&self, at: u64) -> Option<Bytes> {
        if at < self.first() {
            return None;
        }
        let piece = self.recent.partition_point(|(begin, _)| *begin <= at).checked_sub(1)?;
        let (begin, bytes) = self.recent.get(piece)?;
        let skip = usize::try_from(at - begin).ok()?;
        (skip < bytes.len()).then(|| bytes.slice(skip..))
    }

    /// Whether `more` bytes would push out what the only reader has not read.
    fn only_reader_would_miss(&mut self, more: u64) -> bool {
        self.readers.retain(|reader| reader.strong_count() > 0);
        let [only] = self.readers.as_slice() else { return false };
        let Some(at) = only.upgrade().map(|at| at.load(Ordering::Relaxed)) else { return false };
        // A reader of a later range has not begun.
        at < self.received && self.received + more - at > WINDOW_BYTES
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.at.store(u64::MAX, Ordering::Relaxed);
        self.read.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::{Arc, Mutex},
    };

    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use ncore_cache::{freshness::Times, reuse::Mark, vary::VariantKey};

    use super::{At, End, FIRST_BYTES, FORSAKEN_BYTES, FORSAKEN_FOR, Filling, WINDOW_BYTES};
    use crate::zones::{
        tiers::Source,
        variant::{Kept, Variant},
    };

    fn filling() -> Arc<Filling> {
        let variant = Variant {
            vary: VariantKey::default(),
            status: StatusCode::OK,
            headers: Arc::default(),
            times: Times { requested_s: 0, received_s: 0 },
            fill: 0,
            mark: Mark::None,
            content: Kept::Inline(Bytes::new()),
        };
        Arc::new(Filling::new(variant, HeaderMap::new(), Source::origin(None), 1, None))
    }

    #[tokio::test]
    async fn a_reader_gets_what_comes_in_order() {
        let filling = filling();
        let reading = tokio::spawn({
            let filling = Arc::clone(&filling);
            async move {
                let (mut reader, mut read) = (filling.reader(0), Vec::new());
                while let At::Bytes(bytes) = filling.at(read.len() as u64, &mut reader).await {
                    read.extend_from_slice(&bytes);
                }
                read
            }
        });
        for piece in ["ab", "", "c", "def"] {
            filling.push(Bytes::from_static(piece.as_bytes()), || 0).await;
            tokio::task::yield_now().await;
        }
        filling.finish(End::Whole);
        assert_eq!(reading.await.expect("no panic"), b"abcdef");
        assert_eq!(filling.received(), 6);
    }

    /// Reads to the end, and notes at each piece who had it and how long it was.
    async fn note(filling: Arc<Filling>, who: usize, pieces: Arc<Mutex<Vec<(usize, usize)>>>) {
        let (mut reader, mut at) = (filling.reader(0), 0);
        while let At::Bytes(bytes) = filling.at(at, &mut reader).await {
            at += bytes.len() as u64;
            pieces.lock().expect("no panic").push((who, bytes.len()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_have_first_bytes_before_anybody_has_more() {
        const READERS: usize = 50;
        let (filling, pieces) = (filling(), Arc::default());
        let note = |who| note(Arc::clone(&filling), who, Arc::clone(&pieces));
        let mut reading: Vec<_> = (0..READERS).map(|who| tokio::spawn(note(who))).collect();
        tokio::task::yield_now().await;
        // One is on its way, and reads when all others have their first bytes.
        let on_its_way = Arc::new(());
        reading.push(tokio::spawn({
            let (note, on_its_way) = (note(READERS), Arc::clone(&on_its_way));
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                tokio::join!(note, async { drop(on_its_way) });
            }
        }));
        let followers = || Arc::strong_count(&on_its_way) - 1;
        for _ in 0..3 {
            filling.push(Bytes::from(vec![7; 100_000]), followers).await;
        }
        filling.finish(End::Whole);
        for one in reading {
            one.await.expect("no panic");
        }
        let pieces = std::mem::take(&mut *pieces.lock().expect("no panic"));
        let (first, more) = pieces.split_at(READERS + 1);
        assert_eq!(first.iter().map(|(who, _)| who).collect::<HashSet<_>>().len(), READERS + 1, "{first:?}");
        assert!(first.iter().all(|(_, length)| *length == FIRST_BYTES), "{first:?}");
        assert_eq!(more.iter().map(|(_, length)| length).sum::<usize>(), (READERS + 1) * (300_000 - FIRST_BYTES));
    }

    #[tokio::test(start_paused = true)]
    async fn one_reader_is_not_served_in_pieces() {
        let filling = filling();
        let mut reader = filling.reader(0);
        filling.push(Bytes::from(vec![7; 100_000]), || 0).await;
        assert!(matches!(filling.at(0, &mut reader).await, At::Bytes(bytes) if bytes.len() == 100_000));
    }

    #[tokio::test]
    async fn what_is_far_back_is_in_slices() {
        let filling = filling();
        let piece = Bytes::from(vec![7; usize::try_from(WINDOW_BYTES / 4).expect("small")]);
        for _ in 0..6 {
            filling.push(piece.clone(), || 0).await;
        }
        let mut reader = filling.reader(0);
        assert!(matches!(filling.at(0, &mut reader).await, At::Before));
        assert!(matches!(filling.at(WINDOW_BYTES, &mut reader).await, At::Bytes(_)));
        filling.finish(End::Broken);
        assert!(matches!(filling.at(filling.received(), &mut reader).await, At::Broken));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_not_waited_for_for_ever() {
        let (endless, piece) = (filling(), Bytes::from(vec![7; 1 << 20]));
        let mut reader = endless.reader(0);
        for _ in 0..=FORSAKEN_BYTES >> 20 {
            assert!(!endless.is_forsaken(), "it is read");
            endless.push(piece.clone(), || 0).await;
            let _ = endless.at(endless.received() - 1, &mut reader).await;
        }
        drop(reader);
        for _ in 0..=FORSAKEN_BYTES >> 20 {
            assert!(!endless.is_forsaken(), "it may end soon");
            endless.push(piece.clone(), || 0).await;
        }
        assert!(endless.is_forsaken());
        let late = endless.reader(endless.received());
        assert!(!endless.is_forsaken(), "somebody came");
        drop(late);
        assert!(!endless.is_forsaken());
        tokio::time::advance(FORSAKEN_FOR + std::time::Duration::from_secs(1)).await;
        assert!(endless.is_forsaken());
    }

    #[tokio::test]
    async fn a_part_begins_where_it_begins() {
        let whole = Arc::into_inner(filling()).expect("nobody else has it");
        let part = Filling::of_part(whole.variant, HeaderMap::new(), Source::origin(None), 1, 10..13, 0);
        assert_eq!([9, 10, 12, 13].map(|at| part.has(at)), [false, true, true, false]);
        let mut reader = part.reader(11);
        part.push(Bytes::from_static(b"abc"), || 0).await;
        part.finish(End::Whole);
        assert!(matches!(part.at(11, &mut reader).await, At::Bytes(bytes) if bytes == "bc"));
        assert!(matches!(part.at(9, &mut reader).await, At::Before));
        assert!(matches!(part.at(13, &mut reader).await, At::End));
    }

    #[tokio::test]
    async fn a_single_reader_is_waited_for() {
        let filling = filling();
        let mut reader = filling.reader(0);
        let piece = Bytes::from(vec![7; usize::try_from(WINDOW_BYTES).expect("small")]);
        filling.push(piece.clone(), || 0).await;
        let more = tokio::spawn({
            let filling = Arc::clone(&filling);
            async move { filling.push(piece, || 0).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(filling.received(), WINDOW_BYTES, "nothing is pushed out that is not read");
        assert!(matches!(filling.at(WINDOW_BYTES - 1, &mut reader).await, At::Bytes(_)));
        // One byte is left to read, which is less than there is room for when it is read.
        let _ = filling.at(WINDOW_BYTES, &mut reader).await;
        more.await.expect("no panic");
        assert_eq!(filling.received(), 2 * WINDOW_BYTES);
    }
}
