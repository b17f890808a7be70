//! A thousand viewers ask at once for one large object that is not there: the origin is asked once, everybody gets all of it, and the node
//! takes little memory for it.
//!
//! The short form is a hundred viewers and 20 MB. The long form says as well how much later than the origin's first byte the viewers have theirs;
//! that is a measurement, in which load and node share a machine, and nothing is asserted of it.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use cluster_tests::adverse::{Adverse, Gate, Script, Source};
use cluster_tests::front::{Front, HOST};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, wait};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_viewers_are_one_request() -> Result<()> {
    property("thousand_viewers", Limit::minutes(4, 20), thousand_viewers).await
}

async fn thousand_viewers(run: Run) -> Result<()> {
    let (viewers, size) = run.scaled((100, 20_000_000), (1_000, 100_000_000));
    let (gates, began) = ([Gate::shut(), Gate::shut()], Arc::new(Mutex::new(None)));
    let origin = Adverse::start({
        let (gates, began) = (gates.clone(), Arc::clone(&began));
        move |asked| {
            let gate = &gates[usize::from(asked.target == "/paced")];
            // At its own pace, or as fast as it is read.
            let pause = if asked.target == "/paced" { Duration::from_millis(500) } else { Duration::ZERO };
            let source = Source::new({
                let began = Arc::clone(&began);
                move |at, length| {
                    if at == 0 {
                        *began.lock() = Some(Instant::now());
                    }
                    content(at, length)
                }
            });
            let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {size}\r\n\r\n");
            Script::new().hold(gate).send(head).stream(source, (0, size), BLOCK, pause)
        }
    })
    .await?;
    let builder = Cluster::builder().seed(run.seed()).setting("cache", "disk", "2GiB");
    let front = Front::start(builder, &origin.url()).await?;
    for path in run.scaled(&["/fast"][..], &["/paced", "/fast"][..]) {
        let idle = front.process()?;
        idle.forget_peak()?;
        *began.lock() = None;
        let (start, waiting) = (Arc::new(Barrier::new(viewers)), Instant::now());
        let reading = (0..viewers).map(|_| {
            let read = read(front.address(), path, size, Arc::clone(&start));
            async move { tokio::spawn(read).await? }
        });
        let release = async {
            wait::until(SETTLE, "all viewers to wait", || async {
                let asking = front.figures().await?.of("ncore_zone_waiting")?;
                ensure!(asking >= (viewers - 1) as f64, "{asking} of {viewers} wait");
                Ok(())
            })
            .await?;
            run.say(format_args!("{viewers} viewers wait for {path} after {:.1?}", waiting.elapsed()));
            gates[usize::from(*path == "/paced")].open();
            Ok(())
        };
        let (first_bytes, ()) = tokio::try_join!(try_join_all(reading), release)?;
        let began = began.lock().context("the origin has sent something")?;
        let now = front.process()?;
        let more = now.peak.saturating_sub(idle.resident);
        let mut late = Histogram::<u64>::new(3)?;
        for first in first_bytes {
            late.record(u64::try_from(first.duration_since(began).as_micros())?)?;
        }
        let ms = |quantile: f64| late.value_at_quantile(quantile) as f64 / 1000.0;
        let took = began.elapsed();
        run.say(format_args!(
            "{path}: {viewers} viewers of {size} bytes in {took:.1?} ({:.2} GB/s); first byte after the origin's: p50 {:.1} ms, p99 {:.1} ms, \
             most {:.1} ms; {:.1} MiB more than idle at most",
            viewers as f64 * size as f64 / took.as_secs_f64() / 1e9,
            ms(0.5),
            ms(0.99),
            ms(1.0),
            more as f64 / 1_048_576.0
        ));
        run.say(front.figures().await?.line("ncore_cache_lookups"));
        ensure!(origin.times(path) == 1, "the origin was asked {} times", origin.times(path));
        ensure!(more <= MORE_AT_MOST, "{} MiB more than idle", more >> 20);
    }
    front.cluster.shutdown().await
}

/// Asks when all do, and gives when the first byte of the content came. All of it has to be right.
async fn read(address: SocketAddr, path: &str, size: u64, start: Arc<Barrier>) -> Result<Instant> {
    let mut socket = TcpStream::connect(address).await?;
    start.wait().await;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?;
    let mut buffer = vec![0; BLOCK];
    let (mut head, mut at, mut first) = (Vec::new(), 0, None);
    while at < size {
        let length = tokio::time::timeout(STALL, socket.read(&mut buffer)).await.context("a viewer gets nothing more")??;
        ensure!(length > 0, "broken off after {at} of {size} bytes");
        let mut bytes = &buffer[..length];
        if first.is_none() {
            let before = head.len();
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4) else { continue };
            ensure!(head.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&head[..end]));
            bytes = &bytes[end - before..];
            if bytes.is_empty() {
                head.truncate(end);
                // What comes next is content.
                let length = socket.read(&mut buffer).await?;
                bytes = &buffer[..length];
            }
            first = Some(Instant::now());
        }
        while !bytes.is_empty() {
            let right = right(at, bytes);
            ensure!(right > 0, "wrong bytes from {at} on");
            at += right as u64;
            bytes = &bytes[right..];
        }
    }
    first.context("there is content")
}

/// Bytes of a content without an end, at most to the end of a block: no two blocks are alike.
fn content(at: u64, length: usize) -> Bytes {
    let (block, within) = (at / BLOCK as u64, usize::try_from(at % BLOCK as u64).unwrap_or_default());
    let mut bytes = PATTERN.clone();
    bytes[..8].copy_from_slice(&block.to_le_bytes());
    Bytes::from(bytes).slice(within..BLOCK.min(within + length))
}

/// How many of these bytes, at most to the end of a block, are those of the content at a place; 0 if they are not.
fn right(at: u64, bytes: &[u8]) -> usize {
    let (block, within) = (at / BLOCK as u64, usize::try_from(at % BLOCK as u64).unwrap_or_default());
    let bytes = &bytes[..bytes.len().min(BLOCK - within)];
    let number = &block.to_le_bytes()[within.min(8)..(within + bytes.len()).min(8)];
    let (of_number, of_pattern) = bytes.split_at(number.len());
    let pattern = within + number.len();
    if of_number == number && of_pattern == &PATTERN[pattern..pattern + of_pattern.len()] { bytes.len() } else { 0 }
}

static PATTERN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let mut bytes = vec![0; BLOCK];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
});

/// Bytes that are read and sent at once.
const BLOCK: usize = 256 << 10;
/// How long a healthy node may take.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a viewer may get nothing.
const STALL: Duration = Duration::from_secs(120);
/// Bytes that the node may have resident at once, above those when it was idle.
const MORE_AT_MOST: u64 = 512 << 20;
