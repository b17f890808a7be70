//! Where the data plane listens, and the bounds on what a client may take of it.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use ipnet::IpNet;

use super::tls::TlsIdentity;

/// The addresses to listen on. Port 0 takes a free one.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// HTTP/1.1 without TLS.
    pub http: SocketAddr,
    /// HTTP/1.1 and HTTP/2 over TLS, and HTTP/3 on the UDP port of the same number, if [`ListenerSettings::http3`] says so.
    pub https: Option<HttpsEndpoint>,
}

/// An address with TLS.
#[derive(Debug, Clone)]
pub struct HttpsEndpoint {
    /// Where to listen.
    pub addr: SocketAddr,
    /// The certificates to show.
    pub identity: Arc<TlsIdentity>,
}

/// Bounds on connections. [`Default`] is what a node on the internet should run with.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Accept loops for each address, each with a socket of its own. By default one for each core.
    pub accept_loops: NonZeroUsize,
    /// Connections that the kernel may hold for one socket until they are accepted.
    pub backlog: i32,
    /// Connections open at the same time, over all addresses.
    pub connections_max: usize,
    /// Connections of one address (of IPv6: one network of 64 bits) at the same time; 0 for no limit.
    pub connections_per_address: usize,
    /// Who passes connections on with a header of the PROXY protocol, and never without: the address in it counts everywhere.
    pub proxies: Vec<IpNet>,
    /// How long a connection beyond that waits for another to end before it is closed.
    pub admission_deadline: Duration,
    /// How long a TLS handshake may take, and a header of the PROXY protocol.
    pub handshake_deadline: Duration,
    /// How long the head of a request may take. On HTTP/1.1 it begins when the previous response has ended, so it is also
    /// how long a connection may be idle.
    pub head_deadline: Duration,
    /// Header fields in a request on HTTP/1.1.
    pub header_fields_max: usize,
    /// Length of the head of a request in bytes.
    pub head_bytes_max: u32,
    /// Length in bytes of the buffers of a connection on HTTP/1.1. Never less than a head needs, nor than 8 KiB.
    pub buffer_bytes: usize,
    /// How long a client may take next to nothing of a response, or send nothing of a request's body.
    pub stall_window: Duration,
    /// What a client has to take of a response in that time, in bytes, to be slow and not stalled.
    pub stall_bytes_min: usize,
    /// How long requests under way may take to finish when the node stops.
    pub drain_deadline: Duration,
    /// What concerns HTTP/2 only.
    pub http2: Http2Settings,
    /// What concerns HTTP/3 only; `None` to do without it. A build without the feature `http3` does in any case.
    pub http3: Option<Http3Settings>,
}

/// How HTTP/3 is offered, and bounds on its connections.
#[derive(Debug, Clone)]
pub struct Http3Settings {
    /// How long a client may remember that HTTP/3 is spoken here (`Alt-Svc`), to the second. Nothing, to not say it.
    pub advertised_for: Duration,
    /// The port that clients reach it on, if it is not the one that is bound.
    pub advertised_port: Option<u16>,
    /// Requests open at the same time on one connection.
    pub streams_max: u32,
    /// Requests that the client gave up before they were answered, as on HTTP/2.
    pub resets_max: usize,
    /// What a client may send of a request's body before it is read, in bytes.
    pub stream_window_bytes: u32,
    /// The same over all requests of the connection.
    pub connection_window_bytes: u32,
    /// What is sent and not yet acknowledged on one connection, in bytes.
    pub send_window_bytes: u32,
    /// How long a connection may have no request, or be silent.
    pub idle_max: Duration,
    /// Handshakes under way above which a client first has to prove its address (Retry).
    pub unproven_max: usize,
    /// Handshakes under way above which no further connection is begun.
    pub handshakes_max: usize,
    /// What is to become of the listener if the UDP port cannot be had.
    pub port_taken: PortTaken,
}

/// What becomes of a listener that cannot have the UDP port for HTTP/3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortTaken {
    /// It is not bound.
    Fail,
    /// It does without HTTP/3, says so in the log, and does not tell viewers of it.
    GoWithout,
}

impl Default for Http3Settings {
    fn default() -> Self {
        Self {
            advertised_for: Duration::from_secs(24 * 3_600),
            advertised_port: None,
            streams_max: 128,
            resets_max: 1_000,
            stream_window_bytes: 1 << 20,
            connection_window_bytes: 4 << 20,
            send_window_bytes: 4 << 20,
            idle_max: Duration::from_secs(120),
            unproven_max: 64,
            handshakes_max: 1_024,
            port_taken: PortTaken::Fail,
        }
    }
}

/// Bounds on an HTTP/2 connection.
#[derive(Debug, Clone)]
pub struct Http2Settings {
    /// Streams open at the same time.
    pub streams_max: u32,
    /// Streams that the client reset and hyper has not yet seen: the bound on rapid resets.
    pub pending_resets_max: usize,
    /// Requests that the client gave up before they were answered, within [`RESETS_WINDOW`](Self::RESETS_WINDOW). With one more the
    /// connection is closed.
    pub resets_max: usize,
    /// Streams that were reset because the client broke the protocol.
    pub error_resets_max: usize,
    /// What a client may send of a request's body before it is read, in bytes.
    pub stream_window_bytes: u32,
    /// The same over all streams of the connection.
    pub connection_window_bytes: u32,
    /// What one stream may hold to be sent, in bytes.
    pub send_buffer_bytes: usize,
    /// How often the client is asked for a sign of life.
    pub ping_interval: Duration,
    /// How long it may take to give one.
    pub ping_deadline: Duration,
    /// How long a connection may have no stream.
    pub idle_max: Duration,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            accept_loops: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            backlog: 1_024,
            connections_max: 8_192,
            connections_per_address: 1_024,
            proxies: Vec::new(),
            admission_deadline: Duration::from_secs(5),
            handshake_deadline: Duration::from_secs(10),
            head_deadline: Duration::from_secs(30),
            header_fields_max: 100,
            head_bytes_max: 32 << 10,
            buffer_bytes: 64 << 10,
            stall_window: Duration::from_secs(60),
            stall_bytes_min: 16 << 10,
            drain_deadline: Duration::from_secs(30),
            http2: Http2Settings::default(),
            http3: Some(Http3Settings::default()),
        }
    }
}

impl Http2Settings {
    /// What the bound on resets is about.
    pub const RESETS_WINDOW: Duration = Duration::from_secs(10);
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            streams_max: 128,
            pending_resets_max: 20,
            resets_max: 1_000,
            error_resets_max: 1_024,
            stream_window_bytes: 1 << 20,
            connection_window_bytes: 4 << 20,
            send_buffer_bytes: 256 << 10,
            ping_interval: Duration::from_secs(20),
            ping_deadline: Duration::from_secs(20),
            idle_max: Duration::from_secs(120),
        }
    }
}
