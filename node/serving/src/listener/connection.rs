//! One connection: from the accepted socket to its end.
//!
//! ```text
//!   accepted ──► (TLS handshake, with a deadline) ──► HTTP/1.1 or HTTP/2, as ALPN says ──► closed
//!                                                       │ shutdown, or idle for too long
//!                                                       └──► no new requests; those under way finish
//! ```

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
};

use hyper::{
    Request, Response, Version,
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    guard::{Guarded, StallBound},
    interim::{Announcing, Interim},
    settings::ListenerSettings,
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
}

impl Connections {
    pub(super) fn new(settings: ListenerSettings, router: Arc<Router>) -> Self {
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
        Self { settings, router, metrics, http1 }
    }

    pub(super) fn settings(&self) -> &ListenerSettings {
        &self.settings
    }

    pub(super) fn metrics(&self) -> &ServingMetrics {
        &self.metrics
    }

    /// Serves `socket` until it closes, or until what is under way when `shutdown` comes has ended.
    pub(super) async fn serve(
        &self,
        socket: TcpStream,
        remote: SocketAddr,
        identity: Option<Arc<TlsIdentity>>,
        shutdown: CancellationToken,
    ) {
        let _active = Active::new(&self.metrics);
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%remote, %error, "the socket was gone at once");
            return;
        }
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

    async fn serve_tls(
        &self,
        socket: Guarded<TcpStream>,
        peer: PeerInfo,
        identity: &TlsIdentity,
        shutdown: CancellationToken,
    ) -> Result<(), hyper::Error> {
        let handshake = TlsAcceptor::from(identity.current()).accept(socket);
        let failed = match timeout(self.settings.handshake_deadline, handshake).await {
            Ok(Ok(stream)) => {
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

    async fn serve_http1<S>(&self, stream: S, peer: PeerInfo, shutdown: CancellationToken) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = Announcing::new(stream);
        let service = self.service(peer, Some(stream.interim()));
        let connection = self.http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
        // The deadline for the next head ends a connection that is idle.
        drive(connection, http1::UpgradeableConnection::graceful_shutdown, &shutdown, std::future::pending()).await
    }

    async fn serve_http2<S>(&self, stream: S, peer: PeerInfo, shutdown: CancellationToken) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = &self.settings.http2;
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
            .serve_connection(TokioIo::new(stream), self.service(peer, None));
        drive(connection, http2::Connection::graceful_shutdown, &shutdown, streams.idle(limits.idle_max)).await
    }

    fn service(
        &self,
        peer: PeerInfo,
        interim: Option<Interim>,
    ) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible, Future: Send + 'static> + use<> {
        let router = Arc::clone(&self.router);
        let pause_max = self.settings.stall_window;
        service_fn(move |request: Request<Incoming>| {
            let router = Arc::clone(&router);
            // A client of HTTP/1.0 does not know them (RFC 9110 §15.2).
            let interim = interim.clone().filter(|_| request.version() == Version::HTTP_11);
            let request = request.map(|body| RequestBody::new(body, pause_max).announcing(interim));
            async move { Ok(router.route(request, peer).await) }
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
struct Active<'a>(&'a ServingMetrics);

impl<'a> Active<'a> {
    fn new(metrics: &'a ServingMetrics) -> Self {
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
