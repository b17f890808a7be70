//! Readers that have the kernel throw away what comes, over plain HTTP/1.1: for contents so long that a generator which copies them would be what
//! is measured. Only the heads come up to this process; of the rest it learns how much there was (`MSG_TRUNC`, tcp(7)).

use std::{
    net::Ipv4Addr,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use rustix::net::{RecvFlags, recv};
use tokio::{io::AsyncWriteExt as _, io::Interest, net::TcpStream, runtime, time::timeout};

use super::{Load, PATIENCE, Report, Target};

/// Runs for as long as `load` says, on this thread's core.
pub(super) fn run(target: Target<'_>, load: Load<'_>) -> Result<Report> {
    ensure!(!target.tls, "what is encrypted cannot be thrown away unread");
    // The caller may be within a runtime, which must not be entered twice.
    let all = thread::scope(|scope| scope.spawn(|| readers(target, load)).join());
    let (took, elapsed) = all.map_err(|_| anyhow::anyhow!("the readers panicked"))??;
    let mut latency_us = Histogram::<u64>::new(3)?;
    let mut bytes = 0;
    for reader in took {
        latency_us.add(reader.latency_us)?;
        bytes += reader.bytes;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    let [requests, bytes, p50, p99] =
        [latency_us.len(), bytes, latency_us.value_at_quantile(0.5), latency_us.value_at_quantile(0.99)].map(|count| count as f64);
    Ok(Report { requests, requests_s: requests / elapsed.as_secs_f64(), bytes, p50_ms: p50 / 1e3, p99_ms: p99 / 1e3 })
}

/// What one reader got: how long each answer took from the request to its last byte, and how much there was of all with their heads.
struct Reader {
    latency_us: Histogram<u64>,
    bytes: u64,
}

fn readers(target: Target<'_>, load: Load<'_>) -> Result<(Vec<Reader>, Duration)> {
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", target.path, target.host.unwrap_or("127.0.0.1"));
    let request = Rc::<[u8]>::from(request.as_bytes());
    let one_thread = runtime::Builder::new_current_thread().enable_all().build()?;
    one_thread.block_on(async {
        let begin = Instant::now();
        let end = begin + load.duration;
        let all = try_join_all((0..load.connections).map(|_| reader(target.port, Rc::clone(&request), end)));
        let all = timeout(load.duration + PATIENCE, all).await.context("an answer did not end")??;
        Ok((all, begin.elapsed()))
    })
}

/// Asks again and again, until `end`.
async fn reader(port: u16, request: Rc<[u8]>, end: Instant) -> Result<Reader> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    // Nothing is ever written to most of it.
    let mut nowhere = vec![0; AT_ONCE];
    let mut reader = Reader { latency_us: Histogram::new(3)?, bytes: 0 };
    while Instant::now() < end {
        let sent = Instant::now();
        stream.write_all(&request).await?;
        let got = received(&stream, &mut nowhere[..HEAD_MAX], RecvFlags::empty()).await?;
        let mut left = body_after(&nowhere[..got])?;
        reader.bytes += (got + left) as u64;
        while left > 0 {
            let at_once = left.min(AT_ONCE);
            left -= received(&stream, &mut nowhere[..at_once], RecvFlags::TRUNC).await?;
        }
        reader.latency_us.record(u64::try_from(sent.elapsed().as_micros())?)?;
    }
    Ok(reader)
}

/// As many bytes as there are, at least one.
async fn received(stream: &TcpStream, buffer: &mut [u8], flags: RecvFlags) -> Result<usize> {
    let got = stream.async_io(Interest::READABLE, || Ok(recv(stream, &mut *buffer, flags)?.1)).await?;
    ensure!(got > 0, "the server has ended the connection");
    Ok(got)
}

/// How many bytes of a body are still to come after what came first: a head, and perhaps a beginning of the body.
fn body_after(first: &[u8]) -> Result<usize> {
    let end = first.windows(4).position(|window| window == b"\r\n\r\n").context("no whole head came at once")?;
    let head = std::str::from_utf8(first.get(..end).unwrap_or_default())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200 ") {
        bail!("an answer was {status}");
    }
    let length = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.context("an answer without a length")?.1.trim().parse()?;
    (end + 4 + length).checked_sub(first.len()).context("more came than was asked for")
}

/// The longest head, in bytes, with what is copied of the body behind it.
const HEAD_MAX: usize = 1 << 10;
/// How much is thrown away in one call, in bytes.
const AT_ONCE: usize = 1 << 20;
