//! HTTP/3: one UDP socket for all connections over QUIC, beside the sockets of TCP and under the same limits.
//!
//! ```text
//!   datagram ──► (too many beginning? Retry, or refused) ──► handshake, with a deadline ──► requests, each a task ──► closed
//!                                                                                            │ shutdown, or idle for too long
//!                                                                                            └──► GOAWAY; those under way finish
//! ```
//!
//! One socket, not several as for TCP: a client that changes its address would come out at another one, which knows nothing of it.
//! There is no 0-RTT.

mod body;
mod connection;
mod quic;
mod request;

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt, crypto::rustls::QuicServerConfig,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    accept,
    connection::{Active, Connections},
    settings::{Http3Settings, ListenerSettings},
    socket::BindError,
    tls::TlsIdentity,
};
use crate::metrics::add;

/// A socket for HTTP/3 that is bound.
#[derive(Debug)]
pub(super) struct Bound {
    socket: UdpSocket,
    config: ServerConfig,
    handshakes: Handshakes,
}

/// How many handshakes may be under way.
#[derive(Debug, Clone, Copy)]
struct Handshakes {
    unproven_max: usize,
    max: usize,
}

/// What becomes of who knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Begin,
    /// The client has to come again with what is sent to its address: it proves that the address is its own.
    Prove,
    Refuse,
}

impl Bound {
    /// Binds the UDP port of `addr`.
    ///
    /// # Errors
    /// [`BindError`] if it cannot be had.
    pub(super) fn bind(addr: SocketAddr, identity: &TlsIdentity, settings: &ListenerSettings) -> Result<Option<Self>, BindError> {
        let Some(http3) = &settings.http3 else { return Ok(None) };
        let fail = |source| BindError { addr, source };
        let socket = open(addr).map_err(fail)?;
        let crypto = QuicServerConfig::try_from(identity.quic()).map_err(|error| fail(io::Error::other(error)))?;
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(Arc::new(transport(http3, settings)))
            .max_incoming(http3.handshakes_max)
            .incoming_buffer_size(INCOMING_BYTES)
            .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
        let handshakes = Handshakes { unproven_max: http3.unproven_max, max: http3.handshakes_max };
        Ok(Some(Self { socket, config, handshakes }))
    }

    /// Begins connections until `shutdown`, and waits for those that are open. How many were cut off at the deadline.
    pub(super) async fn accept_all(self, connections: Arc<Connections>, permits: Arc<Semaphore>, shutdown: CancellationToken) -> usize {
        // Here and not where it is bound: its task is of the runtime that serves.
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(self.config), self.socket, Arc::new(TokioRuntime));
        let endpoint = match endpoint {
            Ok(endpoint) => endpoint,
            Err(error) => {
                tracing::error!(%error, "HTTP/3 is not spoken: the socket cannot be used");
                return 0;
            }
        };
        let mut tasks = JoinSet::new();
        let under_way = Arc::new(Semaphore::new(self.handshakes.max));
        loop {
            let incoming = tokio::select! {
                incoming = endpoint.accept() => incoming,
                Some(ended) = tasks.join_next() => {
                    accept::report(ended);
                    continue;
                }
                () = shutdown.cancelled() => break,
            };
            let Some(incoming) = incoming else { break };
            let beginning = self.handshakes.max - under_way.available_permits();
            let proven = incoming.remote_address_validated() || !incoming.may_retry();
            match self.handshakes.admission(beginning, proven) {
                Admission::Begin => {}
                Admission::Prove => {
                    add(&connections.metrics().http3_retries, 1);
                    // Fails only if it was retried before, which was looked at.
                    let _ = incoming.retry();
                    continue;
                }
                Admission::Refuse => {
                    refuse(incoming, &connections);
                    continue;
                }
            }
            let permits = (Arc::clone(&permits).try_acquire_owned(), Arc::clone(&under_way).try_acquire_owned());
            let (Ok(permit), Ok(handshake)) = permits else {
                refuse(incoming, &connections);
                continue;
            };
            tasks.spawn(begin(Arc::clone(&connections), incoming, handshake, permit, shutdown.child_token()));
        }
        // Who knocks from now on is refused.
        endpoint.set_server_config(None);
        let cut_off = accept::drain(tasks, connections.settings().drain_deadline).await;
        endpoint.close(VarInt::from_u32(NO_ERROR), b"");
        // What says so is to leave before the socket is closed.
        let _ = timeout(LAST_WORDS, endpoint.wait_idle()).await;
        cut_off
    }
}

impl Handshakes {
    fn admission(self, under_way: usize, proven: bool) -> Admission {
        if under_way >= self.max {
            Admission::Refuse
        } else if under_way >= self.unproven_max && !proven {
            Admission::Prove
        } else {
            Admission::Begin
        }
    }
}

fn refuse(incoming: Incoming, connections: &Connections) {
    tracing::debug!(remote = %incoming.remote_address(), "connection over QUIC refused: there are too many");
    add(&connections.metrics().http3_refused, 1);
    incoming.refuse();
}

/// One connection, from the first datagram to its end.
async fn begin(
    connections: Arc<Connections>,
    incoming: Incoming,
    handshake: OwnedSemaphorePermit,
    _permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) {
    let _active = Active::new(connections.metrics());
    let remote = incoming.remote_address();
    let failed = match incoming.accept() {
        Ok(connecting) => match timeout(connections.settings().handshake_deadline, connecting).await {
            Ok(Ok(connection)) => {
                drop(handshake);
                // Not before: until then the address could be anybody's.
                match connections.admit(remote) {
                    Some(_counted) => connection::serve(&connections, connection, shutdown).await,
                    None => connection.close(VarInt::from_u32(EXCESSIVE_LOAD), b"too many connections of this address"),
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        },
        Err(error) => error.to_string(),
    };
    tracing::debug!(%remote, error = failed, "handshake failed");
    add(&connections.metrics().handshakes_failed, 1);
}

fn transport(http3: &Http3Settings, settings: &ListenerSettings) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(http3.streams_max.into())
        .max_concurrent_uni_streams(UNI_STREAMS.into())
        .stream_receive_window(http3.stream_window_bytes.into())
        .receive_window(http3.connection_window_bytes.into())
        .send_window(http3.send_window_bytes.into())
        // Nobody sends any here.
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(settings.http2.ping_interval))
        .max_idle_timeout(IdleTimeout::try_from(http3.idle_max).ok());
    transport
}

fn open(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // All connections share it. The system gives as much of it as it allows.
    for set in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
        if let Err(error) = set(&socket, SOCKET_BYTES) {
            tracing::debug!(%error, "the buffers of the UDP socket stay as they are");
        }
    }
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// The control stream and two of QPACK, and some of kinds that nobody knows, which clients open so that nobody relies on there being none.
const UNI_STREAMS: u32 = 16;
/// Of a connection that is beginning: a few datagrams.
const INCOMING_BYTES: u64 = 64 << 10;
const INCOMING_BYTES_TOTAL: u64 = 16 << 20;
const SOCKET_BYTES: usize = 2 << 20;
const LAST_WORDS: Duration = Duration::from_millis(500);
/// `H3_NO_ERROR`.
const NO_ERROR: u32 = 0x100;
/// `H3_EXCESSIVE_LOAD`.
const EXCESSIVE_LOAD: u32 = 0x107;

#[cfg(test)]
mod tests {
    use super::{Admission, Handshakes};

    #[test]
    fn addresses_are_proven_when_many_begin() {
        let handshakes = Handshakes { unproven_max: 2, max: 4 };
        let table = [
            (0, false, Admission::Begin),
            (1, false, Admission::Begin),
            (2, false, Admission::Prove),
            (3, false, Admission::Prove),
            (3, true, Admission::Begin),
            (4, false, Admission::Refuse),
            (4, true, Admission::Refuse),
        ];
        for (under_way, proven, expected) in table {
            assert_eq!(handshakes.admission(under_way, proven), expected, "{under_way} under way, proven: {proven}");
        }
    }
}
