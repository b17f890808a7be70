//! HTTP/2 frame by frame, as no library of clients would send it: which requests are refused, and clients that do not go on.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{
    client::tls,
    node::{Node, PATIENCE, eventually},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection on which frames are written and read.
struct Frames(TlsStream<TcpStream>);

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    /// A connection whose client has sent its settings.
    async fn open(node: &Node) -> Self {
        let mut frames = Self(tls(node.https, &node.certificate, b"h2").await);
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");
        frames.write(SETTINGS, 0, 0, b"").await;
        frames
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.0.write_all(&frame).await.expect("written");
        self.0.flush().await.expect("written");
    }

    /// The next frame; `None` if the connection has ended.
    async fn read(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("short")];
            self.0.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], flags: head[4], stream, payload })
        };
        timeout(PATIENCE, read).await.expect("in time")
    }

    /// The next frame of one of these kinds.
    async fn read_one_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}

/// Fields as they stand in a head, without compression (RFC 7541 §6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("below 127")], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Becomes {
    /// The status, as it stands in the table that all know (RFC 7541 appendix A).
    Answered(u8),
    Reset(u32),
}

const OK: Becomes = Becomes::Answered(0x88);
const BAD_REQUEST: Becomes = Becomes::Answered(0x8c);
const MALFORMED: Becomes = Becomes::Reset(PROTOCOL_ERROR);

async fn becomes(frames: &mut Frames, stream: u32, fields: &[(&str, &str)]) -> Becomes {
    frames.write(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields)).await;
    let frame = frames.read_one_of(&[HEADERS, RST_STREAM, GOAWAY]).await.expect("an answer");
    assert_eq!(frame.stream, stream, "{fields:?}: {frame:?}");
    match frame.kind {
        // The encoder may begin with a change of the size of its table.
        HEADERS => Becomes::Answered(*frame.payload.iter().find(|byte| **byte & 0x80 != 0).expect("a status")),
        _ => Becomes::Reset(u32::from_be_bytes(frame.payload.try_into().expect("a reason"))),
    }
}

/// RFC 9113 §8.2 and §8.3. Each over the same connection: what is refused takes nothing with it.
#[tokio::test]
async fn which_heads_are_requests() {
    const METHOD: (&str, &str) = (":method", "GET");
    const SCHEME: (&str, &str) = (":scheme", "https");
    const PATH: (&str, &str) = (":path", "/stream");
    const HOST: (&str, &str) = (":authority", "localhost");
    let head = |fields: &[(&'static str, &'static str)]| [&[METHOD, SCHEME, PATH, HOST], fields].concat();
    let table = [
        ("nothing more", head(&[]), OK),
        ("trailers are taken", head(&[("te", "trailers")]), OK),
        ("the host twice, the same", head(&[("host", "localhost")]), OK),
        ("a host and no authority", vec![METHOD, SCHEME, PATH, ("host", "localhost")], OK),
        ("another host", head(&[("host", "other.test")]), BAD_REQUEST),
        ("two hosts", head(&[("host", "localhost"), ("host", "localhost")]), BAD_REQUEST),
        ("a user", vec![METHOD, SCHEME, PATH, (":authority", "me@localhost")], BAD_REQUEST),
        ("connection", head(&[("connection", "close")]), MALFORMED),
        ("transfer-encoding", head(&[("transfer-encoding", "chunked")]), MALFORMED),
        ("upgrade", head(&[("upgrade", "websocket")]), MALFORMED),
        ("keep-alive", head(&[("keep-alive", "timeout=5")]), MALFORMED),
        ("proxy-connection", head(&[("proxy-connection", "close")]), MALFORMED),
        ("te of something else", head(&[("te", "gzip")]), MALFORMED),
        ("no method", vec![SCHEME, PATH, HOST], MALFORMED),
        ("no path", vec![METHOD, SCHEME, HOST], MALFORMED),
        ("an empty path", vec![METHOD, SCHEME, (":path", ""), HOST], MALFORMED),
        ("no scheme", vec![METHOD, PATH, HOST], MALFORMED),
        ("two methods", head(&[METHOD]), MALFORMED),
        ("two paths", head(&[PATH]), MALFORMED),
        ("a pseudo-header behind fields", vec![METHOD, SCHEME, HOST, ("x", "y"), PATH], MALFORMED),
        ("a status", head(&[(":status", "200")]), MALFORMED),
        ("a length that is not kept to", head(&[("content-length", "5")]), MALFORMED),
        ("a length of nothing", head(&[("content-length", "0")]), OK),
        ("two lengths", head(&[("content-length", "0"), ("content-length", "0")]), MALFORMED),
        ("a length with a sign", head(&[("content-length", "+0")]), MALFORMED),
        ("a list of lengths", head(&[("content-length", "0, 0")]), MALFORMED),
        ("still there", head(&[]), OK),
    ];
    let node = Node::start();
    let mut frames = Frames::open(&node).await;
    for (at, (name, fields, expected)) in (0..).zip(table) {
        assert_eq!(becomes(&mut frames, 1 + 2 * at, &fields).await, expected, "{name}");
    }
}

/// There is no way through to elsewhere.
#[tokio::test]
async fn nobody_is_connected() {
    let node = Node::start();
    let mut frames = Frames::open(&node).await;
    let connect = [(":method", "CONNECT"), (":authority", "localhost:443")];
    assert_ne!(becomes(&mut frames, 1, &connect).await, OK);
    let plain = [(":method", "GET"), (":scheme", "https"), (":path", "/stream"), (":authority", "localhost")];
    assert_eq!(becomes(&mut frames, 3, &plain).await, OK);
}

/// CVE-2023-44487 again: taken back with the same write, so that the node sees both at once.
#[tokio::test]
async fn what_is_taken_back_at_once_is_bounded() {
    let node = Node::start_with(|settings| settings.http2.pending_resets_max = 10);
    let mut frames = Frames::open(&node).await;
    let block = block(&[(":method", "GET"), (":scheme", "https"), (":path", "/stream"), (":authority", "localhost")]);
    let mut all = Vec::new();
    for at in 0..200_u32 {
        let id = (1 + 2 * at).to_be_bytes();
        let length = u32::try_from(block.len()).expect("short").to_be_bytes();
        all.extend([&length[1..], &[HEADERS, END_STREAM | END_HEADERS], &id, &block].concat());
        all.extend([&[0, 0, 4, RST_STREAM, 0][..], &id, &[0, 0, 0, 8]].concat());
    }
    // It may be cut off in the middle of it.
    let _ = frames.0.write_all(&all).await;
    let _ = frames.0.flush().await;
    let goaway = frames.read_one_of(&[GOAWAY]).await.expect("said why");
    assert_eq!(u32::from_be_bytes(goaway.payload[4..8].try_into().expect("a reason")), ENHANCE_YOUR_CALM);
    assert_eq!(frames.read_one_of(&[]).await, None);
}

#[tokio::test]
async fn who_gives_no_sign_of_life_is_cut_off_and_who_does_is_not() {
    let node = Node::start_with(|settings| {
        settings.http2.ping_interval = Duration::from_millis(100);
        settings.http2.ping_deadline = Duration::from_millis(500);
    });
    let mut alive = Frames::open(&node).await;
    let mut silent = Frames::open(&node).await;
    let answering = async {
        for _ in 0..10 {
            let ping = alive.read_one_of(&[PING]).await.expect("asked");
            alive.write(PING, ACK, 0, &ping.payload).await;
        }
    };
    let waiting = async {
        silent.read_one_of(&[PING]).await.expect("asked");
        assert_eq!(silent.read_one_of(&[DATA]).await, None);
    };
    tokio::join!(answering, waiting);
}

/// A client that speaks TLS, and then nothing.
#[tokio::test]
async fn a_beginning_that_does_not_come_is_not_waited_for() {
    let node = Node::start_with(|settings| settings.handshake_deadline = Duration::from_secs(1));
    let mut frames = Frames(tls(node.https, &node.certificate, b"h2").await);
    // The node says its settings, whatever the client does.
    assert_eq!(frames.read().await.expect("settings").kind, SETTINGS);
    assert_eq!(frames.read_one_of(&[DATA]).await, None);
}

#[tokio::test]
async fn a_beginning_that_does_not_come_holds_up_no_shutdown() {
    let mut node = Node::start();
    let mut frames = Frames(tls(node.https, &node.certificate, b"h2").await);
    assert_eq!(frames.read().await.expect("settings").kind, SETTINGS);
    node.shutdown.cancel();
    assert_eq!(node.ended().await.cut_off, 0);
    assert_eq!(frames.read_one_of(&[DATA]).await, None);
}

/// A client may close the window of a stream before it asks: of the smallest of answers nothing is kept for it for ever.
#[tokio::test]
async fn a_small_answer_for_which_there_is_no_room_is_not_kept() {
    let node = Node::start_with(|settings| settings.stall_window = Duration::from_millis(500));
    let mut frames = Frames::open(&node).await;
    frames.write(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 2]).await;
    let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/assets/a"), (":authority", "localhost")];
    node.world.put("a", &crate::node::bytes(1_000), crate::node::Kept::Memory);
    assert_eq!(becomes(&mut frames, 1, &fields).await, OK);
    let data = frames.read_one_of(&[DATA]).await.expect("what there is room for");
    assert_eq!(data.payload.len(), 2);
    assert_eq!(frames.read_one_of(&[RST_STREAM, DATA]).await.expect("given up").kind, RST_STREAM);
    let stalled = &node.metrics.connections_stalled;
    eventually("counted", || stalled.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
}
