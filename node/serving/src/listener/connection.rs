//! One connection: from the accepted socket to its end.
//!
//! ```text
//!   accepted ──► (PROXY header) ──► (TLS handshake, with a deadline) ──► HTTP/1.1 or HTTP/2, as ALPN says ──► closed
//!                                                       │ shutdown, or idle for too long
//!                                                       └──► no new requests; those under way finish
//! ```

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
};

use http::HeaderValue;
use hyper::{
    Request, Response, Version,
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    alternative,
    guard::{Guarded, StallBound},
    interim::{Announcing, Interim},
    per_address::{Counted, PerAddress},
    proxy_protocol,
    resets::Resets,
    settings::{Http2Settings, ListenerSettings},
    streams::Streams,
    tls::{ALPN_H2, TlsIdentity},
};
use crate::{
    body::ResponseBody,
    metrics::{ServingMetrics, add},
    request_body::RequestBody,
    router::{PeerInfo, Router},
};

/// What the connections of a listener have in common.
pub(super) struct Connections {
    settings: ListenerSettings,
    router: Arc<Router>,
    metrics: Arc<ServingMetrics>,
    http1: http1::Builder,
    per_address: Arc<PerAddress>,
    /// What is said of HTTP/3 on connections with TLS.
    alternative: Option<HeaderValue>,
}

impl Connections {
    pub(super) fn new(settings: ListenerSettings, router: Arc<Router>, alternative: Option<HeaderValue>) -> Self {
        let head_bytes_max = settings.head_bytes_max as usize;
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(settings.head_deadline)
            .max_header_size(head_bytes_max)
            .max_buf_size(settings.buffer_bytes.max(head_bytes_max).max(BUFFER_BYTES_MIN))
            .half_close(false);
        // To name the number costs every request the clearing of a table, also if it is the one that hyper has anyway.
        if settings.header_fields_max != HEADER_FIELDS_OF_HYPER {
            http1.max_headers(settings.header_fields_max);
        }
        let metrics = Arc::clone(router.metrics());
        let per_address = PerAddress::new(settings.connections_per_address);
        Self { settings, router, metrics, http1, per_address, alternative }
    }

    pub(super) fn settings(&self) -> &ListenerSettings {
        &self.settings
    }

    pub(super) fn metrics(&self) -> &Arc<ServingMetrics> {
        &self.metrics
    }

    #[cfg(feature = "http3")]
    pub(super) fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// Counts a connection from `remote`; `None`, and refused, if that has as many as it may.
    pub(super) fn admit(&self, remote: SocketAddr) -> Option<Counted> {
        let counted = self.per_address.admit(remote.ip());
        if counted.is_none() {
            tracing::debug!(%remote, "connection refused: its address has as many as it may");
            add(&self.metrics.connections_refused_address, 1);
        }
        counted
    }

    /// Serves `socket` until it closes, or until what is under way when `shutdown` comes has ended.
    pub(super) async fn serve(
        &self,
        mut socket: TcpStream,
        remote: SocketAddr,
        identity: Option<Arc<TlsIdentity>>,
        shutdown: CancellationToken,
    ) {
        let _active = Active::new(&self.metrics);
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%remote, %error, "the socket was gone at once");
            return;
        }
        let Some(remote) = self.whose(&mut socket, remote).await else { return };
        let Some(_counted) = self.admit(remote) else { return };
        let bound = StallBound { window: self.settings.stall_window, bytes_min: self.settings.stall_bytes_min };
        let socket = Guarded::new(socket, bound, Arc::clone(&self.metrics));
        let ended = match identity {
            None => {
                let peer = PeerInfo { remote, secure: false };
                self.serve_http1(socket, peer, shutdown).await
            }
            Some(identity) => {
                let peer = PeerInfo { remote, secure: true };
                self.serve_tls(socket, peer, &identity, shutdown).await
            }
        };
        // Whatever it was, the client has broken off, or has been cut off and counted for it.
        if let Err(error) = ended {
            tracing::debug!(%remote, error = &error as &dyn std::error::Error, "connection failed");
        }
    }

    /// Whose connection it is: of a balancer, whose it says. `None` if it does not.
    async fn whose(&self, socket: &mut TcpStream, remote: SocketAddr) -> Option<SocketAddr> {
        let ip = remote.ip().to_canonical();
        if !self.settings.proxies.iter().any(|network| network.contains(&ip)) {
            return Some(remote);
        }
        let failed = match timeout(self.settings.handshake_deadline, proxy_protocol::take_header(socket)).await {
            Ok(Ok(source)) => return Some(source.unwrap_or(remote)),
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        tracing::debug!(%remote, error = failed, "no header of the PROXY protocol");
        add(&self.metrics.proxy_headers_failed, 1);
        None
    }

    async fn serve_tls(
        &self,
        socket: Guarded<TcpStream>,
        peer: PeerInfo,
        identity: &TlsIdentity,
        shutdown: CancellationToken,
    ) -> Result<(), hyper::Error> {
        let handshake = TlsAcceptor::from(identity.tcp()).accept(socket);
        let failed = match timeout(self.settings.handshake_deadline, handshake).await {
            Ok(Ok(stream)) => {
                self.count_handshake(stream.get_ref().1.handshake_kind());
                return if stream.get_ref().1.alpn_protocol() == Some(ALPN_H2) {
                    self.serve_http2(stream, peer, shutdown).await
                } else {
                    self.serve_http1(stream, peer, shutdown).await
                };
            }
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        tracing::debug!(remote = %peer.remote, error = failed, "handshake failed");
        add(&self.metrics.handshakes_failed, 1);
        Ok(())
    }

    /// Counts a handshake that succeeded.
    pub(super) fn count_handshake(&self, kind: Option<HandshakeKind>) {
        match kind {
            Some(HandshakeKind::Resumed) => add(&self.metrics.handshakes_resumed, 1),
            _ => add(&self.metrics.handshakes_full, 1),
        }
    }

    async fn serve_http1<S>(&self, stream: S, peer: PeerInfo, shutdown: CancellationToken) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = Announcing::new(stream);
        let service = self.service(peer, Some(stream.interim()), None);
        let connection = self.http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
        // The deadline for the next head ends a connection that is idle.
        drive(connection, http1::UpgradeableConnection::graceful_shutdown, &shutdown, std::future::pending()).await
    }

    async fn serve_http2<S>(&self, stream: S, peer: PeerInfo, shutdown: CancellationToken) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = &self.settings.http2;
        let resets = Resets::new(limits.resets_max, Http2Settings::RESETS_WINDOW);
        let streams = Streams::new(self.settings.stall_window, Arc::clone(&self.metrics));
        let connection = http2::Builder::new(streams.clone())
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_max)
            .max_pending_accept_reset_streams(limits.pending_resets_max)
            .max_local_error_reset_streams(limits.error_resets_max)
            .max_header_list_size(self.settings.head_bytes_max)
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .max_send_buf_size(limits.send_buffer_bytes)
            .keep_alive_interval(limits.ping_interval)
            .keep_alive_timeout(limits.ping_deadline)
            .serve_connection(TokioIo::new(stream), self.service(peer, None, Some(Arc::clone(&resets))));
        tokio::select! {
            ended = drive(connection, http2::Connection::graceful_shutdown, &shutdown, streams.idle(limits.idle_max)) => ended,
            () = resets.exceeded() => {
                tracing::debug!(remote = %peer.remote, "connection closed: the client gives up one request after the other");
                add(&self.metrics.connections_resetting, 1);
                Ok(())
            }
        }
    }

    fn service(
        &self,
        peer: PeerInfo,
        interim: Option<Interim>,
        resets: Option<Arc<Resets>>,
    ) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible, Future: Send + 'static> + use<> {
        let router = Arc::clone(&self.router);
        let pause_max = self.settings.stall_window;
        let alternative = self.alternative.clone().filter(|_| peer.secure);
        service_fn(move |request: Request<Incoming>| {
            let router = Arc::clone(&router);
            // A client of HTTP/1.0 does not know them (RFC 9110 §15.2).
            let interim = interim.clone().filter(|_| request.version() == Version::HTTP_11);
            let request = request.map(|body| RequestBody::new(body, pause_max).announcing(interim));
            let alternative = alternative.clone();
            let answering = resets.as_ref().map(Resets::answering);
            async move {
                let mut response = router.route(request, peer).await;
                alternative::say(response.headers_mut(), alternative.as_ref());
                if let Some(answering) = answering {
                    answering.done();
                }
                Ok(response)
            }
        })
    }
}

/// Runs `connection` to its end. When `shutdown` or `idle` comes, it takes no new requests, by `leave`.
async fn drive<C>(
    connection: C,
    leave: impl FnOnce(Pin<&mut C>),
    shutdown: &CancellationToken,
    idle: impl Future<Output = ()>,
) -> Result<(), hyper::Error>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = shutdown.cancelled() => {}
        () = idle => {}
    }
    leave(connection.as_mut());
    connection.await
}

/// Counts a connection for as long as it is open.
pub(super) struct Active<'a>(&'a ServingMetrics);

impl<'a> Active<'a> {
    pub(super) fn new(metrics: &'a ServingMetrics) -> Self {
        add(&metrics.connections_accepted, 1);
        add(&metrics.connections_active, 1);
        Self(metrics)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        let active = &self.0.connections_active;
        active.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The least that hyper accepts for the buffers of a connection.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// Fields in a request that hyper accepts unless it is told.
const HEADER_FIELDS_OF_HYPER: usize = 100;
