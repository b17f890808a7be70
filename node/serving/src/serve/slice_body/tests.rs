//! The bytes of any sequence of pieces, how far ahead a body loads, and what it does when it cannot.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ncore_cache::range::ByteRange;
use proptest::prelude::{any, prop, proptest};
use tokio::sync::Notify;

use super::{Piece, SliceBody, first_slice};
use crate::{
    metrics::ServingMetrics,
    serve::{AssetEntry, AssetFacts, BlobHash, LoadedSlice, Readers, SLICE_BYTES, SliceError, SliceSource, Slices, slices::SliceReader},
};

const SIZE: u64 = 2 * SLICE_BYTES + 4_321;
const LAST_SLICE: u64 = 2;

/// Content that is not the same in any two slices.
fn content() -> Bytes {
    (0..SIZE).map(|at| at.wrapping_mul(0x9e37_79b9).to_le_bytes()[2]).collect()
}

/// An asset on disk: nothing is in memory, and what is loaded is written down.
#[derive(Default)]
struct Disk {
    content: Bytes,
    in_memory: AtomicBool,
    loaded: Mutex<Vec<u64>>,
    started: Notify,
    broken: Option<u64>,
    short: Option<u64>,
    active: Arc<AtomicU64>,
    hangs: bool,
}

impl Disk {
    fn slice(&self, slice: u64) -> Bytes {
        let start = usize::try_from(slice * SLICE_BYTES).expect("small");
        let end = self.content.len().min(start + (1 << 20));
        self.content.slice(start..end)
    }

    fn loaded(&self) -> Vec<u64> {
        self.loaded.lock().expect("no panic").clone()
    }
}

impl Slices for Disk {
    fn cached(&self, _: &AssetEntry, slice: u64) -> Option<Bytes> {
        let in_memory = self.in_memory.load(Ordering::Relaxed);
        in_memory.then(|| self.slice(slice))
    }

    fn load(&self, _: Arc<AssetEntry>, slice: u64) -> BoxFuture<'static, Result<LoadedSlice, SliceError>> {
        self.loaded.lock().expect("no panic").push(slice);
        self.started.notify_one();
        let mut bytes = self.slice(slice);
        if self.short == Some(slice) {
            bytes.truncate(bytes.len() - 1);
        }
        let result = if self.broken == Some(slice) {
            Err(SliceError::Unreachable("no peers".into()))
        } else {
            Ok(LoadedSlice { bytes, source: SliceSource::Disk })
        };
        let active = Counted::new(&self.active);
        let hangs = self.hangs;
        Box::pin(async move {
            let _active = active;
            if hangs {
                std::future::pending::<()>().await;
            }
            result
        })
    }
}

struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(active: &Arc<AtomicU64>) -> Self {
        active.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(active))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn disk() -> Disk {
    Disk { content: content(), ..Disk::default() }
}

fn range(first: u64, last: u64) -> Piece {
    Piece::Range(ByteRange::new(first, last).expect("in order"))
}

/// A body of `pieces`, whose first slice is at hand.
fn body(disk: &Arc<Disk>, pieces: Vec<Piece>) -> SliceBody {
    let facts = AssetFacts {
        id: "as_1".to_owned(),
        path: "a".to_owned(),
        client: "cl_1".to_owned(),
        readers: Readers::All,
        blob: BlobHash([0; 32]),
        size: SIZE,
        sha256: [0; 32],
        mime: "a/b".to_owned(),
        cache_ttl_s: 0,
        modified_at_s: 0,
        revision: (1, 1),
    };
    let metrics = Arc::<ServingMetrics>::default();
    let slices: Arc<dyn Slices> = Arc::clone(disk) as _;
    let reader = SliceReader::new(slices, Duration::from_secs(5), metrics);
    let pieces = pieces.into();
    let first = first_slice(&pieces).map_or_else(Bytes::new, |slice| disk.slice(slice));
    SliceBody::new(Arc::new(AssetEntry::new(facts)), Arc::new(reader), pieces, first)
}

async fn next(body: &mut SliceBody, bytes_max: usize) -> Option<Result<Bytes, SliceError>> {
    poll_fn(|cx| body.poll_bytes(cx, bytes_max)).await
}

/// Reads to the end, and holds the body to what it says of its length all the way.
async fn read(body: &mut SliceBody, bytes_max: usize) -> Result<Vec<u8>, (Vec<u8>, SliceError)> {
    let mut read = Vec::new();
    loop {
        let before = body.remaining();
        match next(body, bytes_max).await {
            None => {
                assert_eq!(before, 0);
                return Ok(read);
            }
            Some(Err(error)) => return Err((read, error)),
            Some(Ok(bytes)) => {
                assert!(!bytes.is_empty());
                assert_eq!(body.remaining(), before - bytes.len() as u64);
                read.extend_from_slice(&bytes);
            }
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(future)
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Whatever the pieces, and however they are asked for, the bytes are those of the content.
    #[test]
    fn bytes_are_those_of_the_content(
        cuts in prop::collection::vec((0..SIZE, 0..SIZE), 1..5),
        text in any::<bool>(),
        in_memory in any::<bool>(),
        small_frames in any::<bool>(),
    ) {
        let disk = disk();
        disk.in_memory.store(in_memory, Ordering::Relaxed);
        let disk = Arc::new(disk);
        let (mut pieces, mut expected) = (Vec::new(), Vec::new());
        for (a, b) in cuts {
            if text {
                pieces.push(Piece::Text(Bytes::from_static(b"--text--")));
                expected.extend_from_slice(b"--text--");
            }
            let (first, last) = (a.min(b), a.max(b));
            pieces.push(range(first, last));
            let bytes = usize::try_from(first).expect("small")..=usize::try_from(last).expect("small");
            expected.extend_from_slice(&disk.content[bytes]);
        }
        let bytes_max = if small_frames { 60_000 } else { usize::MAX };
        let found = block_on(async {
            let mut body = body(&disk, pieces);
            assert_eq!(body.remaining(), expected.len() as u64);
            read(&mut body, bytes_max).await.expect("all of it")
        });
        assert!(found == expected);
    }
}

/// While a slice is sent the next one loads, and none after it.
#[tokio::test]
async fn one_slice_ahead() {
    let disk = Arc::new(disk());
    let mut body = body(&disk, vec![range(0, SIZE - 1)]);
    assert_eq!(disk.loaded(), [] as [u64; 0]);
    for slice in 0..LAST_SLICE {
        next(&mut body, usize::MAX).await.expect("more").expect("bytes");
        disk.started.notified().await;
        tokio::task::yield_now().await;
        assert_eq!(disk.loaded(), (1..=slice + 1).collect::<Vec<_>>());
    }
    next(&mut body, usize::MAX).await.expect("more").expect("bytes");
    assert!(next(&mut body, usize::MAX).await.is_none());
}

/// Ranges in one slice need it once.
#[tokio::test]
async fn a_slice_is_loaded_once_for_ranges_within_it() {
    let disk = Arc::new(disk());
    let start = SLICE_BYTES;
    let pieces = vec![range(0, 9), range(start, start + 9), range(start + 500, start + 600)];
    read(&mut body(&disk, pieces), usize::MAX).await.expect("all");
    assert_eq!(disk.loaded(), [1]);
}

#[tokio::test]
async fn a_slice_that_cannot_be_had_ends_the_body() {
    let mut disk = disk();
    disk.broken = Some(1);
    let disk = Arc::new(disk);
    let mut body = body(&disk, vec![range(10, SIZE - 1)]);
    let (prefix, error) = read(&mut body, usize::MAX).await.expect_err("broken");
    assert!(matches!(error, SliceError::Unreachable(_)));
    assert!(prefix == disk.content[10..1 << 20]);
    assert!(next(&mut body, usize::MAX).await.is_none());
}

#[tokio::test]
async fn a_slice_of_the_wrong_length_is_corrupt() {
    let mut disk = disk();
    disk.short = Some(1);
    let disk = Arc::new(disk);
    let mut body = body(&disk, vec![range(0, SIZE - 1)]);
    let (prefix, error) = read(&mut body, usize::MAX).await.expect_err("broken");
    assert!(matches!(error, SliceError::Corrupt(_)));
    assert_eq!(prefix.len(), 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_load_has_a_deadline_and_ends_with_the_body() {
    let mut disk = disk();
    disk.hangs = true;
    let disk = Arc::new(disk);
    let mut late = body(&disk, vec![range(0, SIZE - 1)]);
    let (_, error) = read(&mut late, usize::MAX).await.expect_err("late");
    assert!(matches!(error, SliceError::Deadline));

    let mut dropped = body(&disk, vec![range(0, SIZE - 1)]);
    next(&mut dropped, usize::MAX).await.expect("more").expect("bytes");
    disk.started.notified().await;
    drop(dropped);
    // The task is aborted, and runs once more to be dropped.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(disk.active.load(Ordering::Relaxed), 0);
}
