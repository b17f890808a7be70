//! A thousand viewers ask at once for one large object that is not there: the origin is asked once, everybody gets all of it, and the node
//! takes little memory for it.
//!
//! The short form is a hundred viewers and 20 MB. Both say how much later than the origin's first byte of content each viewer has its own, and
//! how much processor time the node has used for each by then. These are measurements, of which nothing is asserted: origin, viewers and node share
//! a machine, and the second is the one that says something while others use it too.
//!
//! The viewers are tasks of one thread, which has a read of [`FIRST_READ`] for the first byte of each. They read on, and check what they get, when all
//! have one: viewers are elsewhere, and what they do with their content takes no time of the node's processors. The origin begins when the requests
//! of all have been read. A time is taken after the read, so it is never earlier than the byte.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use cluster_tests::adverse::{Adverse, Gate, Script, Source};
use cluster_tests::front::{Front, HOST, Process};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, wait};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, mpsc};
use tokio::task::LocalSet;
use tokio::time::timeout;

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
        let crowd = Crowd { node: front.address(), path, size, viewers };
        let (waiting, mut seen) = (Instant::now(), crowd.gather(idle.clone())?);
        wait::until(SETTLE, "all viewers to wait", || async {
            let asking = front.figures().await?.of("ncore_zone_waiting")?;
            ensure!(asking >= (viewers - 1) as f64, "{asking} of {viewers} wait");
            Ok(())
        })
        .await?;
        run.say(format_args!("{viewers} viewers wait for {path} after {:.1?}", waiting.elapsed()));
        let before = front.process()?;
        gates[usize::from(*path == "/paced")].open();
        let first = seen.recv().await.context("the crowd is gone")??;
        let began = began.lock().context("the origin has sent something")?;
        run.say(format_args!("{path}: first byte after the origin's: {}", spread(&first.came, began)?));
        run.say(format_args!(
            "{path}: {:.1?} of processor time of the node for each until then",
            first.cpu.saturating_sub(before.cpu) / u32::try_from(viewers)?
        ));
        seen.recv().await.context("the crowd is gone")??;
        let took = began.elapsed();
        let more = front.process()?.peak.saturating_sub(idle.resident);
        run.say(format_args!(
            "{path}: {viewers} viewers of {size} bytes in {took:.1?} ({:.2} GB/s); {:.1} MiB more than idle at most",
            viewers as f64 * size as f64 / took.as_secs_f64() / 1e9,
            more as f64 / 1_048_576.0
        ));
        run.say(front.figures().await?.line("ncore_cache_lookups"));
        ensure!(origin.times(path) == 1, "the origin was asked {} times", origin.times(path));
        ensure!(more <= MORE_AT_MOST, "{} MiB more than idle", more >> 20);
    }
    front.cluster.shutdown().await
}

/// How much later than `began` these are.
fn spread(times: &[Instant], began: Instant) -> Result<String> {
    let mut late = Histogram::<u64>::new(3)?;
    for time in times {
        late.record(u64::try_from(time.duration_since(began).as_micros())?)?;
    }
    let ms = |quantile: f64| late.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(format!("p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", ms(0.5), ms(0.99), ms(1.0)))
}

/// Viewers who ask for the same at the same time.
#[derive(Clone, Copy)]
struct Crowd {
    node: SocketAddr,
    path: &'static str,
    size: u64,
    viewers: usize,
}

/// When each viewer had its first byte of the content, and what the node had used of the processors by then.
#[derive(Default)]
struct First {
    came: Vec<Instant>,
    cpu: Duration,
}

impl Crowd {
    /// Has all of them ask, in a thread of their own. The first that is received is told when all have a byte, and the second, which is empty,
    /// when all have everything.
    fn gather(self, node: Process) -> Result<mpsc::Receiver<Result<First>>> {
        let (tell, told) = mpsc::channel(2);
        let thread = std::thread::Builder::new().name("viewers".to_owned());
        thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime");
            let viewed = runtime.and_then(|runtime| LocalSet::new().block_on(&runtime, self.view(node, tell.clone())));
            // Who listened has gone if something else failed.
            let _ = tell.blocking_send(viewed.map(|()| First::default()));
        })?;
        Ok(told)
    }

    async fn view(self, node: Process, tell: mpsc::Sender<Result<First>>) -> Result<()> {
        let (start, served) = (Rc::new(Barrier::new(self.viewers)), Rc::new(Barrier::new(self.viewers + 1)));
        let came = Rc::new(RefCell::new(Vec::with_capacity(self.viewers)));
        let buffer = Rc::new(RefCell::new(vec![0; BLOCK]));
        let viewers = (0..self.viewers).map(|_| {
            let (start, served, came, buffer) = (Rc::clone(&start), Rc::clone(&served), Rc::clone(&came), Rc::clone(&buffer));
            let viewer = async move {
                let mut viewer = Viewer::connect(self.node).await?;
                start.wait().await;
                viewer.ask(self.path).await?;
                let first = viewer.first_byte().await?;
                came.borrow_mut().push(first);
                served.wait().await;
                viewer.read_on(self.size, &buffer).await
            };
            let viewer = tokio::task::spawn_local(viewer);
            async move { viewer.await? }
        });
        let all = try_join_all(viewers);
        let first = async {
            served.wait().await;
            let cpu = node.now()?.cpu;
            tell.send(Ok(First { came: came.take(), cpu })).await.context("nobody listens")
        };
        tokio::try_join!(all, first).map(drop)
    }
}

/// A viewer, who checks what it gets.
struct Viewer {
    socket: TcpStream,
    /// How much of the content it has.
    at: u64,
}

impl Viewer {
    async fn connect(node: SocketAddr) -> Result<Self> {
        Ok(Self { socket: TcpStream::connect(node).await?, at: 0 })
    }

    async fn ask(&mut self, path: &str) -> Result<()> {
        Ok(self.socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?)
    }

    /// When the first byte of the content came.
    async fn first_byte(&mut self) -> Result<Instant> {
        let (mut head, mut buffer) = (Vec::new(), [0; FIRST_READ]);
        loop {
            let length = timeout(STALL, self.socket.read(&mut buffer)).await.context("a viewer gets nothing")??;
            let now = Instant::now();
            ensure!(length > 0, "broken off within the head");
            head.extend_from_slice(&buffer[..length]);
            let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4) else { continue };
            ensure!(head.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&head[..end]));
            if end < head.len() {
                self.check(&head[end..])?;
                return Ok(now);
            }
        }
    }

    async fn read_on(&mut self, size: u64, buffer: &RefCell<Vec<u8>>) -> Result<()> {
        while self.at < size {
            timeout(STALL, self.socket.readable()).await.context("a viewer gets nothing more")??;
            let mut buffer = buffer.borrow_mut();
            match self.socket.try_read(&mut buffer) {
                Ok(0) => bail!("broken off after {} of {size} bytes", self.at),
                Ok(length) => self.check(&buffer[..length])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What comes next is right.
    fn check(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let right = right(self.at, bytes);
            ensure!(right > 0, "wrong bytes from {} on", self.at);
            self.at += right as u64;
            bytes = &bytes[right..];
        }
        Ok(())
    }
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
/// Bytes that a viewer reads at once until it has its first byte: a head and some content.
const FIRST_READ: usize = 4 << 10;
/// How long a healthy node may take.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a viewer may get nothing.
const STALL: Duration = Duration::from_secs(120);
/// Bytes that the node may have resident at once, above those when it was idle.
const MORE_AT_MOST: u64 = 512 << 20;
