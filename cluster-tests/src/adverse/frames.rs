//! An origin that speaks HTTP/2 over TLS, frame by frame, and badly.
//!
//! Frames are made by hand, so that they can be wrong. What it is asked it only counts: to read that it would have to unpack fields, which needs
//! a library that would know better.

use super::Gate;
use super::port::{Count, Counted, Port};
use crate::front::{Kind, fields, frame};
use anyhow::Result;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

/// The authority of origins over TLS, which is their certificate as well.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// An origin on a free port of this machine. It is gone, with its connections, when this is dropped.
#[derive(Debug)]
pub struct AdverseFrames {
    port: Port,
    state: Arc<State>,
}

/// What the connections of an origin have in common.
struct State {
    acceptor: TlsAcceptor,
    answer: Box<dyn Fn(usize) -> Moves + Send + Sync>,
    asked: AtomicUsize,
    streams: Count,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("asked", &self.asked).field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// What an origin does for a request, step by step. If it does not end the connection, the next request comes over the same.
#[derive(Debug, Clone, Default)]
pub struct Moves(Vec<Move>);

#[derive(Debug, Clone)]
enum Move {
    /// A frame on the stream of the request.
    OnStream(Kind, u8, Vec<u8>),
    /// A frame on another stream; 0 is the connection.
    On(u32, Kind, u8, Vec<u8>),
    /// The end of the connection: what is under way is still answered, or not.
    GoAway {
        answers: bool,
        code: u32,
    },
    /// What comes from that move on, once more: [`TIMES`] times, unless the other side has enough of it before.
    Repeat {
        from: usize,
    },
    Hold(Gate),
    /// Nothing, until the other side ends the stream or the connection.
    Stall,
    Close,
}

/// How often a flood is repeated.
const TIMES: usize = 20_000;
/// The last frame of its stream.
pub const END_STREAM: u8 = 1;
/// The last frame with fields.
pub const END_HEADERS: u8 = 4;

impl Authority {
    /// An authority for origins at 127.0.0.1.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        Ok(Self { pem: made.cert.pem(), certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() })
    }

    /// It as a file.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl AdverseFrames {
    /// Listens, and does for each request what `answer` says for its number.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(authority: &Authority, answer: impl Fn(usize) -> Moves + Send + Sync + 'static) -> Result<Self> {
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(authority.key.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![authority.certificate.clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let state = Arc::new(State {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            answer: Box::new(answer),
            asked: AtomicUsize::new(0),
            streams: Count::default(),
        });
        let port = Port::open({
            let state = Arc::clone(&state);
            move |socket| {
                let state = Arc::clone(&state);
                async move {
                    // It ends as the other side, or what is to be done, ends it.
                    let _ = connection(socket, &state).await;
                }
            }
        });
        Ok(Self { port: port.await?, state })
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// How often it was asked for anything.
    #[must_use]
    pub fn times(&self) -> usize {
        self.state.asked.load(Ordering::Acquire)
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.port.connections()
    }

    /// Requests that neither side has ended.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.state.streams.now()
    }
}

impl Moves {
    /// Nothing at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A response as it should be.
    #[must_use]
    pub fn answer(body: &str) -> Self {
        let length = body.len().to_string();
        Self::new().head(&[("cache-control", "max-age=60"), ("content-length", &length)]).data(body).end()
    }

    /// The head of a response with the status 200.
    #[must_use]
    pub fn head(self, more: &[(&str, &str)]) -> Self {
        self.block(END_HEADERS, &[&[(":status", "200")], more].concat())
    }

    /// A frame with fields.
    #[must_use]
    pub fn block(self, flags: u8, more: &[(&str, &str)]) -> Self {
        self.frame(Kind::Headers, flags, &fields(more))
    }

    /// Some of a content.
    #[must_use]
    pub fn data(self, data: impl AsRef<[u8]>) -> Self {
        self.frame(Kind::Data, 0, data.as_ref())
    }

    /// The end of a content.
    #[must_use]
    pub fn end(self) -> Self {
        self.frame(Kind::Data, END_STREAM, &[])
    }

    /// A frame on the stream of the request.
    #[must_use]
    pub fn frame(self, kind: Kind, flags: u8, payload: &[u8]) -> Self {
        self.with(Move::OnStream(kind, flags, payload.to_vec()))
    }

    /// A frame on another stream, or on that of the connection: 0.
    #[must_use]
    pub fn on(self, stream: u32, kind: Kind, flags: u8, payload: &[u8]) -> Self {
        self.with(Move::On(stream, kind, flags, payload.to_vec()))
    }

    /// Ends the stream with a code.
    #[must_use]
    pub fn reset(self, code: u32) -> Self {
        self.frame(Kind::Reset, 0, &code.to_be_bytes())
    }

    /// Says that the connection ends, and whether the request is one of those that it answers.
    #[must_use]
    pub fn go_away(self, answers: bool, code: u32) -> Self {
        self.with(Move::GoAway { answers, code })
    }

    /// Does this again and again, until the other side has enough of it, or there is no end in sight.
    #[must_use]
    pub fn flood(mut self, again: Self) -> Self {
        let from = self.0.len();
        self.0.extend(again.0);
        self.with(Move::Repeat { from })
    }

    /// Waits for a gate.
    #[must_use]
    pub fn hold(self, gate: &Gate) -> Self {
        self.with(Move::Hold(gate.clone()))
    }

    /// Does nothing more, until the other side ends the stream or the connection.
    #[must_use]
    pub fn stall(self) -> Self {
        self.with(Move::Stall)
    }

    /// Ends the connection.
    #[must_use]
    pub fn close(self) -> Self {
        self.with(Move::Close)
    }

    /// Does this first.
    #[must_use]
    pub fn after(mut self, first: Self) -> Self {
        for one in &mut self.0 {
            if let Move::Repeat { from } = one {
                *from += first.0.len();
            }
        }
        self.0.splice(0..0, first.0);
        self
    }

    fn with(mut self, one: Move) -> Self {
        self.0.push(one);
        self
    }
}

/// What becomes of a connection after a move.
enum Then {
    Goes,
    Again { from: usize },
    Ends,
}

/// A connection, and the requests on it that neither side has ended.
struct Connection {
    stream: TlsStream<TcpStream>,
    under_way: HashMap<u32, Counted>,
}

async fn connection(socket: TcpStream, state: &State) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let stream = state.acceptor.accept(socket).await?;
    let mut connection = Connection { stream, under_way: HashMap::new() };
    connection.stream.read_exact(&mut [0; 24]).await?;
    connection.send(Kind::Settings, 0, 0, &[]).await?;
    loop {
        let (kind, flags, number) = connection.next().await?;
        if kind == Kind::Settings as u8 && flags & 1 == 0 {
            connection.send(Kind::Settings, 1, 0, &[]).await?;
        }
        if kind != Kind::Headers as u8 {
            continue;
        }
        connection.under_way.insert(number, state.streams.one_more());
        let moves = (state.answer)(state.asked.fetch_add(1, Ordering::AcqRel)).0;
        let (mut at, mut repeated) = (0, 0);
        while let Some(one) = moves.get(at) {
            match connection.perform(one, number).await? {
                Then::Goes => at += 1,
                Then::Again { from } if repeated < TIMES => (at, repeated) = (from, repeated + 1),
                Then::Again { .. } => at += 1,
                Then::Ends => return Ok(()),
            }
        }
    }
}

impl Connection {
    /// The next frame, of which nothing but its head matters.
    async fn next(&mut self) -> io::Result<(u8, u8, u32)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, number @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await?;
        let number = u32::from_be_bytes(number);
        if kind == Kind::Reset as u8 {
            self.under_way.remove(&number);
        }
        Ok((kind, flags, number))
    }

    async fn send(&mut self, kind: Kind, flags: u8, number: u32, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&frame(kind, flags, number, payload)).await?;
        self.stream.flush().await?;
        if kind == Kind::Reset || matches!(kind, Kind::Headers | Kind::Data) && flags & END_STREAM != 0 {
            self.under_way.remove(&number);
        }
        Ok(())
    }

    async fn perform(&mut self, one: &Move, number: u32) -> io::Result<Then> {
        match one {
            Move::OnStream(kind, flags, payload) => self.send(*kind, *flags, number, payload).await?,
            Move::On(other, kind, flags, payload) => self.send(*kind, *flags, *other, payload).await?,
            Move::GoAway { answers, code } => {
                let last = if *answers { number } else { 0 };
                self.send(Kind::GoAway, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await?;
            }
            Move::Repeat { from } => return Ok(Then::Again { from: *from }),
            Move::Hold(gate) => gate.pass().await,
            // Whatever comes meanwhile is not answered.
            Move::Stall => {
                while self.under_way.contains_key(&number) {
                    self.next().await?;
                }
            }
            Move::Close => {
                self.stream.shutdown().await?;
                return Ok(Then::Ends);
            }
        }
        Ok(Then::Goes)
    }
}
