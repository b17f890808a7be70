//! The listener: sockets, TLS, connections, and their limits. It knows nothing of what is served; that is the
//! [`Router`]'s.
//!
//! ```text
//!   bind ──► serve: accept loops (one socket each) ──► connections ──► router
//!                │ shutdown
//!                └► stop accepting ► requests under way finish ► the rest is cut off at the deadline
//! ```
//!
//! `SO_REUSEPORT` gives every loop a queue of its own. The protocol is picked by what the client said in the TLS
//! handshake, and is HTTP/1.1 without TLS: to find it out from the first bytes would be a wait without a deadline.

mod accept;
mod connection;
mod guard;
mod interim;
mod settings;
mod socket;
mod streams;
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

pub(crate) use self::{interim::Interim, streams::StreamProgress};
pub use self::{
    settings::{Endpoints, Http2Settings, HttpsEndpoint, ListenerSettings},
    socket::BindError,
    tls::{TlsError, TlsIdentity},
};

/// Sockets that are bound and listen. Connections wait in the kernel until [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    settings: ListenerSettings,
    http: SocketAddr,
    https: Option<SocketAddr>,
    sockets: Vec<(TcpListener, Option<Arc<TlsIdentity>>)>,
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
    pub fn bind(endpoints: Endpoints, settings: ListenerSettings) -> Result<Self, BindError> {
        let (count, backlog) = (settings.accept_loops.get(), settings.backlog);
        let (http, listeners) = socket::bind(endpoints.http, count, backlog)?;
        let mut sockets: Vec<_> = listeners.into_iter().map(|socket| (socket, None)).collect();
        let mut https = None;
        if let Some(HttpsEndpoint { addr, identity }) = endpoints.https {
            let (bound, listeners) = socket::bind(addr, count, backlog)?;
            https = Some(bound);
            let secured = |socket| (socket, Some(Arc::clone(&identity)));
            sockets.extend(listeners.into_iter().map(secured));
        }
        Ok(Self { settings, http, https, sockets })
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
        let connections = Arc::new(Connections::new(self.settings, router));
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
