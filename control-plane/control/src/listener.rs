//! The cluster port: mutual TLS, then gRPC.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ncore_identity::{IdentityHandle, server_config};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tower::{Layer, ServiceBuilder};

use crate::{
    peers::Windows,
    service::{Guard, PeerCertificates},
};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The most connections at once.
const MAX_CONNECTIONS: usize = 4_096;
/// Streams that one node may have open on one connection.
const MAX_STREAMS: u32 = 1_024;
/// How long accepting rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections have to end by themselves when the node stops, before they are cut.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A bound cluster port.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr, identity: &IdentityHandle) -> io::Result<Self> {
        Ok(Self { tcp: TcpListener::bind(address).await?, tls: TlsAcceptor::from(server_config(identity)) })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `routes` behind `guard` until `stop`.
    pub(crate) async fn serve(self, routes: Routes, guard: Guard, stop: CancellationToken) {
        let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        while let Some(accepted) = stop.run_until_cancelled(self.tcp.accept()).await {
            let (tcp, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the cluster port");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(%from, "too many connections on the cluster port");
                continue;
            };
            let (tls, routes, guard, stop, cut) = (self.tls.clone(), routes.clone(), guard.clone(), stop.clone(), cut.clone());
            connections.spawn(async move {
                if let Some(Err(error)) = cut.run_until_cancelled(connection(tcp, tls, routes, guard, stop)).await {
                    tracing::debug!(%from, %error, "a connection on the cluster port ended");
                }
                drop(place);
            });
        }
        connections.close();
        if timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
            cut.cancel();
            connections.wait().await;
        }
    }
}

async fn connection(
    tcp: TcpStream,
    tls: TlsAcceptor,
    routes: Routes,
    guard: Guard,
    stop: CancellationToken,
) -> Result<(), ConnectionError> {
    tcp.set_nodelay(true).map_err(ConnectionError::Io)?;
    let begun = Instant::now();
    let handshake = timeout(HANDSHAKE_TIMEOUT, tls.accept(tcp)).await.map_err(|_| ConnectionError::HandshakeTimeout)?;
    let stream = handshake.map_err(ConnectionError::Handshake)?;
    // It took a round trip, and what both sides had to reckon.
    let windows = Windows::over(begun.elapsed());
    let certificates = certificates_of(&stream);
    let service = ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(certificates.clone());
            request
        })
        .service(guard.layer(routes));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
        .keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(10));
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(ConnectionError::Http),
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(ConnectionError::Http)
}

fn certificates_of(stream: &TlsStream<TcpStream>) -> PeerCertificates {
    let (_, session) = stream.get_ref();
    PeerCertificates(Arc::new(session.peer_certificates().map(<[_]>::to_vec).unwrap_or_default()))
}

/// Why a connection ended. All of it is between this connection and its peer; the port goes on.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error("the socket failed")]
    Io(#[source] io::Error),
    #[error("the TLS handshake took too long")]
    HandshakeTimeout,
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    #[error("HTTP/2 failed: {0}")]
    Http(#[source] hyper::Error),
}
