//! Requests that change the protocol, as those for WebSocket do: the viewer's connection and one to the origin are joined, and what passes
//! between them is nobody's business but theirs.
//!
//! ```text
//!   place? ──► the origin is asked ──► another answer: handed on
//!     │ none                     └──► 101: both ends are joined until one closes, nothing moves for too long, the zone is no more
//!     ▼                               or may serve no more, or the node stops
//!    503
//! ```
//! They are HTTP/1.1's alone (RFC 9110 §7.8). Changes to HTTP/2 in clear, and to TLS, are none that a cache hands on: such a request is
//! answered like any other.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderValue, Method, Version,
    header::{CONNECTION, UPGRADE},
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ncore_origin::Tunnel;
use ncore_telemetry::{Allowance, Meter};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{engine::unix_now_s, table::Zones, zone::Zone};
use crate::metrics::{ServingMetrics, add};

/// The most connections that are joined at once.
const TUNNELS_MAX: usize = 4_096;
/// How long nothing may move in either direction. Whoever wants to stay longer sends a sign of life.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// How often it is looked whether one may go on.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the viewer's end may take to be handed over once the answer is out.
const HAND_OVER: Duration = Duration::from_secs(30);

/// A request that wants to change the protocol.
pub(crate) struct Upgrading {
    protocol: HeaderValue,
    viewer: OnUpgrade,
}

/// The connections that are joined.
#[derive(Debug)]
pub(crate) struct Tunnels {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Whose connection it is, and whether it still may be.
pub(crate) struct Owner {
    pub(crate) zones: Zones,
    pub(crate) zone: Arc<Zone>,
    pub(crate) metrics: Arc<ServingMetrics>,
}

/// How a joined connection ended. The name is the same in figures and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// By one of the ends.
    Closed,
    /// Nothing moved for too long.
    Idle,
    /// The zone is no more, or its client may have no more served.
    Refused,
    /// The node stops.
    Stopped,
}

impl Upgrading {
    /// What a request wants, if that is to change the protocol. It is taken out of it.
    pub(crate) fn of(parts: &mut Parts) -> Option<Self> {
        let protocol = wanted(parts)?.clone();
        Some(Self { protocol, viewer: parts.extensions.remove()? })
    }

    /// What it wants to change to.
    pub(crate) fn protocol(&self) -> HeaderValue {
        self.protocol.clone()
    }
}

/// What a request wants to change to, if that is to be handed on.
pub(super) fn wanted(parts: &Parts) -> Option<&HeaderValue> {
    if parts.version != Version::HTTP_11 || parts.method != Method::GET {
        return None;
    }
    let options = parts.headers.get_all(CONNECTION).into_iter().filter_map(|line| line.to_str().ok());
    if !options.flat_map(|line| line.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    parts.headers.get(UPGRADE).filter(|protocol| protocol.to_str().is_ok_and(is_handed_on))
}

/// Whether none of these is about the connection between the viewer and this node.
fn is_handed_on(protocols: &str) -> bool {
    protocols.split(',').map(|protocol| protocol.split('/').next().unwrap_or_default().trim()).all(|name| {
        let own = ["h2c", "http", "tls"];
        !name.is_empty() && !own.iter().any(|own| name.eq_ignore_ascii_case(own))
    })
}

impl Tunnels {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(TUNNELS_MAX)), tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// A place for one more; `None` if there is none, or the node is about to stop.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        if self.tasks.is_closed() { None } else { Arc::clone(&self.places).try_acquire_owned().ok() }
    }

    /// Joins the viewer's connection, once the answer is out, with the origin's.
    pub(crate) fn join(&self, place: OwnedSemaphorePermit, upgrading: Upgrading, origin: Tunnel, owner: Owner) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _place = place;
            let Ok(Ok(viewer)) = timeout(HAND_OVER, upgrading.viewer).await else { return };
            let _open = Open::new(&owner.metrics);
            let ended = stop.run_until_cancelled(joined(TokioIo::new(viewer), origin, &owner)).await.unwrap_or(Ended::Stopped);
            tracing::debug!(zone = owner.zone.id, ?ended, "a changed connection ended");
        });
    }

    /// Takes no more, and ends those that are still there after `patience`.
    pub(crate) async fn end(&self, patience: Duration) {
        self.tasks.close();
        if timeout(patience, self.tasks.wait()).await.is_err() {
            self.stop.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Owner {
    /// Whether this zone is still served, and more may be served for its client.
    fn may_go_on(&self) -> bool {
        let zones = self.zones.load();
        let is_there = self.zone.hosts.iter().any(|host| zones.get(host).is_some_and(|zone| zone.id == self.zone.id));
        is_there && self.zone.meter.allowance() == Allowance::Left
    }
}

/// Copies both ways, until there is a reason to end.
async fn joined<V>(viewer: V, mut origin: Tunnel, owner: &Owner) -> Ended
where
    V: AsyncRead + AsyncWrite + Unpin,
{
    let moved = AtomicU64::new(0);
    let mut viewer = Counted { inner: viewer, moved: &moved, metrics: &owner.metrics, meter: &owner.zone.meter };
    let watch = async {
        let (mut seen, mut still) = (0, Duration::ZERO);
        loop {
            sleep(LOOK_EVERY).await;
            if !owner.may_go_on() {
                return Ended::Refused;
            }
            let now = moved.load(Ordering::Relaxed);
            still = if now == seen { still + LOOK_EVERY } else { Duration::ZERO };
            seen = now;
            if still >= IDLE_MAX {
                return Ended::Idle;
            }
        }
    };
    tokio::select! {
        _ = copy_bidirectional(&mut viewer, &mut origin) => Ended::Closed,
        ended = watch => ended,
    }
}

/// The viewer's end, with what passes through it counted.
struct Counted<'a, V> {
    inner: V,
    moved: &'a AtomicU64,
    metrics: &'a ServingMetrics,
    meter: &'a Arc<Meter>,
}

impl<V: AsyncRead + Unpin> AsyncRead for Counted<'_, V> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        self.moved.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl<V: AsyncWrite + Unpin> AsyncWrite for Counted<'_, V> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(sent)) = &polled {
            let sent = *sent as u64;
            self.moved.fetch_add(sent, Ordering::Relaxed);
            add(&self.metrics.bytes_out, sent);
            // In the hour in which they are sent: it may have begun hours ago.
            self.meter.tally(unix_now_s()).sent(sent);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Counts a joined connection for as long as there is one.
struct Open<'a>(&'a ServingMetrics);

impl<'a> Open<'a> {
    fn new(metrics: &'a ServingMetrics) -> Self {
        add(&metrics.tunnels, 1);
        add(&metrics.tunnels_active, 1);
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tunnels_active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::is_handed_on;

    #[test]
    fn which_protocols_are_handed_on() {
        for (protocols, expected) in
            [("websocket", true), ("foo/2, bar", true), ("h2c", false), ("HTTP/2.0, websocket", false), ("TLS/1.2", false), ("", false)]
        {
            assert_eq!(is_handed_on(protocols), expected, "{protocols}");
        }
    }
}
