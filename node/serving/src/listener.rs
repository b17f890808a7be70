//! The listener: sockets, TLS, connections, and their limits. It knows nothing of what is served; that is the
//! [`Router`]'s.
//!
//! ```text
//!   bind ──► serve: accept loops (one socket each) ──► connections ──► router
//!              and one for HTTP/3, on UDP ─────────────────┘
//!                │ shutdown
//!                └► stop accepting ► requests under way finish ► the rest is cut off at the deadline
//! ```
//!
//! `SO_REUSEPORT` gives every loop a queue of its own. The protocol is picked by what the client said in the TLS
//! handshake, and is HTTP/1.1 without TLS: to find it out from the first bytes would be a wait without a deadline.

mod accept;
mod alarm;
mod alternative;
mod certificates;
mod connection;
mod fields;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzed;
mod guard;
mod http2;
#[cfg(feature = "http3")]
mod http3;
mod interim;
mod per_address;
mod plain;
mod proxy_protocol;
mod resets;
mod settings;
mod socket;
mod tickets;
mod tls;

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use self::{accept::AcceptLoop, connection::Connections};
use crate::router::Router;

pub use self::{
    certificates::{Certificate, CertificateError, CertificateFiles, CertificateSet, CertificateWatch, CertificatesError},
    proxy_protocol::{ProxyHeader, proxy_header},
    settings::{Endpoints, Http2Settings, Http3Settings, HttpsEndpoint, ListenerSettings, PortTaken},
    socket::BindError,
    tickets::TicketKeys,
    tls::{Resumption, TlsError, TlsIdentity},
};
pub(crate) use self::{http2::Upload, interim::Interim};

/// Sockets that are bound and listen. Connections wait in the kernel until [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    settings: ListenerSettings,
    http: SocketAddr,
    https: Option<SocketAddr>,
    sockets: Vec<(TcpListener, Option<Arc<TlsIdentity>>)>,
    #[cfg(feature = "http3")]
    http3: Option<http3::Bound>,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off at the deadline, with requests under way.
    pub cut_off: usize,
}

/// An accept loop ended by itself, which is a defect. The others were stopped as by a shutdown.
#[derive(Debug, thiserror::Error)]
#[error("an accept loop died")]
pub struct AcceptLoopDied(#[source] JoinError);

impl Listener {
    /// Binds `endpoints`. To be called in a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] for the first address that cannot be had.
    pub fn bind(endpoints: Endpoints, mut settings: ListenerSettings) -> Result<Self, BindError> {
        let (count, backlog) = (settings.accept_loops.get(), settings.backlog);
        let (http, listeners) = socket::bind(endpoints.http, count, backlog)?;
        let mut sockets: Vec<_> = listeners.into_iter().map(|socket| (socket, None)).collect();
        let mut https = None;
        #[cfg(feature = "http3")]
        let mut http3 = None;
        if let Some(HttpsEndpoint { addr, identity }) = endpoints.https {
            let bound = SecureSockets::bind(addr, &identity, &settings)?;
            https = Some(bound.addr);
            let secured = |socket| (socket, Some(Arc::clone(&identity)));
            sockets.extend(bound.tcp.into_iter().map(secured));
            #[cfg(feature = "http3")]
            {
                http3 = bound.udp;
            }
        }
        #[cfg(not(feature = "http3"))]
        let http3: Option<()> = None;
        // Nobody is told of what is not spoken.
        settings.http3 = settings.http3.filter(|_| http3.is_some());
        Ok(Self {
            settings,
            http,
            https,
            sockets,
            #[cfg(feature = "http3")]
            http3,
        })
    }

    /// The address without TLS, with the port that it came to.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// The address with TLS, if there is one.
    #[must_use]
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Serves until `shutdown`, and then until requests under way have ended or the drain deadline has passed.
    ///
    /// # Errors
    /// [`AcceptLoopDied`] if a loop panicked; serving then ends as if by `shutdown`.
    pub async fn serve(self, router: Arc<Router>, shutdown: CancellationToken) -> Result<Drained, AcceptLoopDied> {
        let permits = Arc::new(Semaphore::new(self.settings.connections_max));
        let alternative = alternative::advertised(&self.settings, self.https);
        let connections = Arc::new(Connections::new(self.settings, router, alternative));
        // A child, so that a loop that dies can stop the others without stopping the caller's other parts.
        let shutdown = shutdown.child_token();
        let mut loops = JoinSet::new();
        for (listener, identity) in self.sockets {
            let accept = AcceptLoop {
                listener,
                identity,
                connections: Arc::clone(&connections),
                permits: Arc::clone(&permits),
                shutdown: shutdown.clone(),
            };
            loops.spawn(accept.run());
        }
        #[cfg(feature = "http3")]
        if let Some(bound) = self.http3 {
            loops.spawn(bound.accept_all(connections, permits, shutdown.clone()));
        }
        let mut ended = Ok(Drained { cut_off: 0 });
        while let Some(result) = loops.join_next().await {
            match (result, &mut ended) {
                (Ok(cut_off), Ok(drained)) => drained.cut_off += cut_off,
                (Ok(_), Err(_)) => {}
                (Err(died), ended) => {
                    shutdown.cancel();
                    *ended = Err(AcceptLoopDied(died));
                }
            }
        }
        ended
    }
}

/// The sockets of one address with TLS.
struct SecureSockets {
    addr: SocketAddr,
    tcp: Vec<TcpListener>,
    #[cfg(feature = "http3")]
    udp: Option<http3::Bound>,
}

impl SecureSockets {
    #[cfg(not(feature = "http3"))]
    fn bind(addr: SocketAddr, _: &TlsIdentity, settings: &ListenerSettings) -> Result<Self, BindError> {
        let (addr, tcp) = socket::bind(addr, settings.accept_loops.get(), settings.backlog)?;
        Ok(Self { addr, tcp })
    }

    /// HTTP/3 has the port of the same number. A free one has to be free for both, which may take a few tries.
    #[cfg(feature = "http3")]
    fn bind(asked: SocketAddr, identity: &TlsIdentity, settings: &ListenerSettings) -> Result<Self, BindError> {
        let mut tries = if asked.port() == 0 { FREE_PORT_TRIES } else { 1 };
        loop {
            let (addr, tcp) = socket::bind(asked, settings.accept_loops.get(), settings.backlog)?;
            tries -= 1;
            match http3::Bound::bind(addr, identity, settings) {
                Ok(udp) => return Ok(Self { addr, tcp, udp }),
                Err(_) if tries > 0 => {}
                Err(error) if settings.http3.as_ref().is_some_and(|http3| http3.port_taken == PortTaken::GoWithout) => {
                    tracing::warn!(%addr, error = &error as &dyn std::error::Error, "HTTP/3 is not spoken: the UDP port cannot be had");
                    return Ok(Self { addr, tcp, udp: None });
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(feature = "http3")]
const FREE_PORT_TRIES: u32 = 8;
