//! One connection: from the accepted socket to its end.
//!
//! ```text
//!   accepted ──► (PROXY header) ──► (TLS handshake, with a deadline) ──► HTTP/1.1 or HTTP/2, as ALPN says ──► closed
//!                                                       │ shutdown, or idle for too long
//!                                                       └──► no new requests; those under way finish
//! ```

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc};

use http::HeaderValue;
use hyper::{
    Request, Response, Version,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::TokioIo;
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    alarm::Alarm,
    alternative,
    guard::{Guarded, StallBound},
    http2::{self, Http2Error},
    interim::{Announcing, Interim},
    per_address::{Counted, PerAddress},
    plain::PlainSocket,
    proxy_protocol,
    settings::ListenerSettings,
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

/// Why a connection ended otherwise than by being closed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("HTTP/1.1 failed")]
    Http1(#[from] hyper::Error),
    #[error("HTTP/2 failed")]
    Http2(#[from] Http2Error),
}

impl Connections {
    pub(super) fn new(settings: ListenerSettings, router: Arc<Router>, alternative: Option<HeaderValue>) -> Self {
        let head_bytes_max = settings.head_bytes_max as usize;
        let mut http1 = http1::Builder::new();
        http1
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

    pub(super) fn alternative(&self) -> Option<&HeaderValue> {
        self.alternative.as_ref()
    }

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
        let metrics = Arc::clone(&self.metrics);
        let ended = match identity {
            None => {
                let socket = Guarded::new(PlainSocket::new(socket), bound, metrics);
                let peer = PeerInfo { remote, secure: false };
                self.serve_http1(socket, peer, shutdown).await
            }
            Some(identity) => {
                let socket = Guarded::new(socket, bound, metrics);
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
    ) -> Result<(), Failed> {
        let handshake = TlsAcceptor::from(identity.tcp()).accept(socket);
        let failed = match timeout(self.settings.handshake_deadline, handshake).await {
            Ok(Ok(stream)) => {
                self.count_handshake(stream.get_ref().1.handshake_kind());
                return if stream.get_ref().1.alpn_protocol() == Some(ALPN_H2) {
                    Ok(http2::serve(self, stream, peer, shutdown).await?)
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

    async fn serve_http1<S>(&self, stream: S, peer: PeerInfo, shutdown: CancellationToken) -> Result<(), Failed>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = Announcing::new(stream);
        let service = self.service(peer, stream.interim());
        // The deadline for the next head ends a connection that is idle.
        let mut http1 = self.http1.clone();
        http1.timer(Alarm::default());
        let mut connection = pin!(http1.serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            biased;
            ended = connection.as_mut() => return Ok(ended?),
            () = shutdown.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
    }

    fn service(
        &self,
        peer: PeerInfo,
        interim: Interim,
    ) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible, Future: Send + 'static> + use<> {
        let router = Arc::clone(&self.router);
        let pause_max = self.settings.stall_window;
        let alternative = self.alternative.clone().filter(|_| peer.secure);
        service_fn(move |request: Request<Incoming>| {
            let router = Arc::clone(&router);
            // A client of HTTP/1.0 does not know them (RFC 9110 §15.2).
            let interim = (request.version() == Version::HTTP_11).then(|| interim.clone());
            let request = request.map(|body| RequestBody::new(body, pause_max).announcing(interim));
            let alternative = alternative.clone();
            async move {
                let mut response = router.route(request, peer).await;
                alternative::say(response.headers_mut(), alternative.as_ref());
                Ok(response)
            }
        })
    }
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
