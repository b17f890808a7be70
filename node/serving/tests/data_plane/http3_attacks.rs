//! Clients over QUIC who mean harm: what they may take of a node, and that others are served meanwhile. Streams and datagrams are made by hand.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode};
use ncore_serving::{BindError, Endpoints, Http3Settings, HttpsEndpoint, Listener, ListenerSettings, PortTaken, TlsIdentity};
use quinn::{ConnectionError, VarInt};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::timeout;

use crate::{
    client::{Http1, Http3, quic, quic_config},
    node::{Kept, Node, PATIENCE, bytes, certify, eventually},
};

const SOON: Duration = Duration::from_secs(1);
const HEADERS: u8 = 0x01;
const CONTROL: u8 = 0x00;
const ENCODER: u8 = 0x02;

fn http3(settings: &mut ListenerSettings) -> &mut Http3Settings {
    settings.http3.as_mut().expect("on")
}

/// A frame as bytes, with a length of four bytes.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = (0x8000_0000 | u32::try_from(payload.len()).expect("short")).to_be_bytes();
    [&[kind][..], &length, payload].concat()
}

/// A section of fields as QPACK has them, each in full (RFC 9204 §4.5.6), so that nothing of it is remembered.
fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    for (name, value) in fields {
        number(&mut bytes, 0x20, 3, name.len());
        bytes.extend(name.bytes());
        number(&mut bytes, 0, 7, value.len());
        bytes.extend(value.bytes());
    }
    bytes
}

/// A number behind a few bits of something else (RFC 7541 §5.1).
fn number(bytes: &mut Vec<u8>, before: u8, bits: u32, number: usize) {
    let most = (1_usize << bits) - 1;
    let Some(mut left) = number.checked_sub(most) else { return bytes.push(before | u8::try_from(number).expect("it fits")) };
    bytes.push(before | u8::try_from(most).expect("it fits"));
    while left >= 0x80 {
        bytes.push(u8::try_from(left % 0x80).expect("it fits") | 0x80);
        left /= 0x80;
    }
    bytes.push(u8::try_from(left).expect("it fits"));
}

fn get(path: &str) -> Vec<u8> {
    section(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)])
}

/// Sends one stream as it is. What comes back until it ends, or the code with which it is reset.
async fn exchange(connection: &quinn::Connection, sent: &[u8]) -> Result<Vec<u8>, Option<VarInt>> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(|_| None)?;
    // Either may fail when the node has had enough of it.
    let _ = send.write_all(sent).await;
    let _ = send.finish();
    match timeout(PATIENCE, receive.read_to_end(1 << 20)).await.expect("in time") {
        Ok(read) => Ok(read),
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => Err(Some(code)),
        Err(_) => Err(None),
    }
}

async fn others_are_served(node: &Node) {
    let mut other = Http3::connect(node.https, &node.certificate).await;
    assert!(other.ask(Method::GET, "/stream", &[]).await.whole);
}

#[tokio::test]
async fn another_certificate_is_shown_at_once() {
    let node = Node::start();
    let mut before = Http3::connect(node.https, &node.certificate).await;
    let (certificate, key) = certify();
    node.identity.replace(vec![certificate.clone()], key).expect("usable");
    let mut after = Http3::connect(node.https, &certificate).await;
    assert!(after.ask(Method::GET, "/stream", &[]).await.whole);
    assert!(before.ask(Method::GET, "/stream", &[]).await.whole, "a connection that is open goes on");
}

/// What a request before the end of the handshake carries could be sent again by whoever has seen it.
#[tokio::test]
async fn nothing_is_taken_before_the_handshake_has_ended() {
    let node = Node::start();
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
    endpoint.set_default_client_config(quic_config(&node.certificate));
    let first = endpoint.connect(node.https, "localhost").expect("begun").await.expect("a handshake");
    // The ticket comes after the handshake, with the first that is answered.
    exchange(&first, &frame(HEADERS, &get("/stream"))).await.expect("answered");
    let second = endpoint.connect(node.https, "localhost").expect("begun");
    let Err(connecting) = second.into_0rtt() else { panic!("early data is taken") };
    connecting.await.expect("a handshake");
}

/// An address whose UDP port is taken and whose TCP port is free.
fn taken() -> (UdpSocket, SocketAddr) {
    loop {
        let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let addr = taken.local_addr().expect("bound");
        if std::net::TcpListener::bind(addr).is_ok() {
            return (taken, addr);
        }
    }
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let (_taken, addr) = taken();
    let bind = |port_taken| {
        let mut settings = ListenerSettings::default();
        http3(&mut settings).port_taken = port_taken;
        let (certificate, key) = certify();
        let identity = Arc::new(TlsIdentity::new(vec![certificate], key).expect("usable"));
        let endpoints = Endpoints { http: (Ipv4Addr::LOCALHOST, 0).into(), https: Some(HttpsEndpoint { addr, identity }) };
        Listener::bind(endpoints, settings)
    };
    let failed: BindError = bind(PortTaken::Fail).expect_err("the port is taken");
    assert_eq!(failed.addr, addr);
    assert_eq!(bind(PortTaken::GoWithout).expect("bound").https_addr(), Some(addr));
}

/// Who does without does not say that HTTP/3 is spoken.
#[tokio::test]
async fn what_is_not_spoken_is_not_advertised() {
    let (_taken, addr) = taken();
    let node = Node::start_at(addr, |settings| http3(settings).port_taken = PortTaken::GoWithout);
    let mut over_tls = Http1::connect_tls(node.https, &node.certificate).await;
    let answer = over_tls.get("/stream", &[]).await;
    assert_eq!((answer.status, answer.header("alt-svc")), (StatusCode::OK, ""));
}

/// QPACK: fields that are large, and those that a byte each makes large.
#[tokio::test]
async fn fields_have_a_bound_once_they_are_decoded() {
    let node = Node::start();
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    let large = "x".repeat(20 << 10);
    // Of the static table, place 29: `accept: */*`, in a byte.
    let tiny = [get("/stream"), vec![0xc0 | 29; 16 << 10]].concat();
    let with = |fields: &[(&str, &str)]| [get("/stream"), section(fields).split_off(2)].concat();
    for (name, section) in [("large", with(&[("x-a", &large), ("x-b", &large)])), ("tiny", tiny)] {
        let answer = exchange(&connection, &frame(HEADERS, &section)).await;
        // With 431, or reset.
        let is_refused = answer.as_ref().map_or(true, |answer| !answer.windows(4).any(|bytes| bytes == b"one "));
        assert!(is_refused, "{name}: {answer:?}");
    }
    exchange(&connection, &frame(HEADERS, &get("/stream"))).await.expect("the connection goes on");
}

/// There is no table that a client could fill: what refers to one is an error, and what fills it is not read for ever.
#[tokio::test]
async fn there_is_no_dynamic_table() {
    let node = Node::start();
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    let refers = [&[2, 0][..], &[0x80], &get("/stream")[2..]].concat();
    exchange(&connection, &frame(HEADERS, &refers)).await.expect_err("refused");
    timeout(PATIENCE, connection.closed()).await.expect("closed: QPACK cannot go on");
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    let mut encoder = connection.open_uni().await.expect("opened");
    encoder.write_all(&[ENCODER]).await.expect("written");
    let filling = async {
        let mut sent = 0_u64;
        while encoder.write_all(&[0x41; 10_000]).await.is_ok() {
            sent += 10_000;
        }
        sent
    };
    // It is neither read nor waited for.
    assert!(timeout(SOON, filling).await.unwrap_or(0) < 4 << 20);
    others_are_served(&node).await;
}

#[tokio::test]
async fn a_control_stream_without_end_is_cut_off() {
    let node = Node::start();
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    let mut control = connection.open_uni().await.expect("opened");
    control.write_all(&[CONTROL, 0x04, 0]).await.expect("written");
    // Frames of a kind that nobody knows, each of them whole.
    let unknown: Vec<u8> = [0x21, 0x02, 0, 0].repeat(2_500);
    let flood = async { while control.write_all(&unknown).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("cut off");
    timeout(PATIENCE, connection.closed()).await.expect("closed");
    others_are_served(&node).await;
}

/// Streams of kinds that nobody knows, and such as never say theirs.
#[tokio::test]
async fn streams_of_unknown_kinds() {
    let node = Node::start();
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut silent = connection.open_uni().await.expect("opened");
        silent.write_all(&[0x40]).await.expect("half of a kind");
        held.push(silent);
    }
    for number in 0..2_000_u32 {
        let opened = timeout(PATIENCE, connection.open_uni()).await.expect("those before it are forgotten");
        let mut unknown = opened.expect("opened");
        // The node may have said that it does not want it.
        let _ = unknown.write_all(&[0x40 | u8::try_from(number % 32).expect("small"), 0x21, 1, 2, 3]).await;
        let _ = unknown.finish();
    }
    exchange(&connection, &frame(HEADERS, &get("/stream"))).await.expect("answered");
    let most = async {
        let mut opened = Vec::new();
        loop {
            opened.push(connection.open_uni().await.expect("opened"));
            assert!(opened.len() <= 16);
        }
    };
    assert!(timeout(SOON, most).await.is_err(), "there is a most of them");
}

#[tokio::test]
async fn requests_at_once_are_bounded_and_heads_that_do_not_come_are_not_waited_for() {
    let node = Node::start_with(|settings| {
        settings.head_deadline = SOON;
        http3(settings).streams_max = 10;
    });
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let (mut send, receive) = connection.open_bi().await.expect("opened");
        send.write_all(&[HEADERS]).await.expect("written");
        held.push((send, receive));
    }
    assert!(timeout(SOON / 4, connection.open_bi()).await.is_err(), "one more than there may be");
    others_are_served(&node).await;
    // The ten are cut off one after the other, and there is room again.
    for (_, mut receive) in held {
        timeout(PATIENCE, receive.read_to_end(10)).await.expect("in time").expect_err("reset");
    }
    exchange(&connection, &frame(HEADERS, &get("/stream"))).await.expect("answered");
}

/// Of streams that end before their heads are read something is remembered for as long as the connection lasts, which is therefore not for ever.
#[tokio::test]
async fn requests_without_heads_come_to_an_end() {
    let node = Node::start_with(|settings| http3(settings).resets_max = usize::MAX);
    let (_endpoint, connection) = quic(node.https, &node.certificate).await;
    let empty = async {
        while connection.close_reason().is_none() {
            let _ = exchange(&connection, &[]).await;
        }
    };
    timeout(PATIENCE, empty).await.expect("closed");
    let closed = connection.closed().await;
    assert!(matches!(&closed, ConnectionError::ApplicationClosed(reason) if reason.error_code == VarInt::from_u32(0x100)), "{closed}");
    others_are_served(&node).await;
}

/// A client that begins a handshake and does not go on: it gets no more than three times what it has sent (RFC 9000 §8.1), and does not keep
/// others out for longer than a handshake may take.
#[tokio::test]
async fn half_a_handshake() {
    let node = Node::start_with(|settings| {
        settings.handshake_deadline = SOON;
        (http3(settings).unproven_max, http3(settings).handshakes_max) = (1, 1);
    });
    let initial = initial_of(&node).await;
    let stranger = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    stranger.send_to(&initial, node.https).await.expect("sent");
    let mut got = 0;
    let mut datagram = [0; 2_000];
    while let Ok(came) = timeout(SOON * 2, stranger.recv(&mut datagram)).await {
        got += came.expect("a datagram");
    }
    assert!(got > 0 && got <= 3 * initial.len(), "{got} bytes for {}", initial.len());
    let failed = &node.metrics.handshakes_failed;
    eventually("the handshake was given up", || failed.load(Ordering::Relaxed) == 1).await;
    others_are_served(&node).await;
}

#[tokio::test]
async fn handshakes_under_way_are_bounded() {
    let node = Node::start_with(|settings| {
        settings.handshake_deadline = PATIENCE * 2;
        (http3(settings).unproven_max, http3(settings).handshakes_max) = (2, 2);
    });
    let strangers: Vec<_> = (0..2).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket")).collect();
    for stranger in &strangers {
        stranger.send_to(&initial_of(&node).await, node.https).expect("sent");
    }
    let under_way = &node.metrics.connections_active;
    eventually("two are under way", || under_way.load(Ordering::Relaxed) == 2).await;
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
    endpoint.set_default_client_config(quic_config(&node.certificate));
    let third = endpoint.connect(node.https, "localhost").expect("begun");
    timeout(PATIENCE, third).await.expect("in time").expect_err("refused");
    assert_eq!(node.metrics.http3_refused.load(Ordering::Relaxed), 1);
}

/// The first datagram of a client, which gets no answer to it.
async fn initial_of(node: &Node) -> Vec<u8> {
    let hole = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
    endpoint.set_default_client_config(quic_config(&node.certificate));
    let _connecting = endpoint.connect(hole.local_addr().expect("bound"), "localhost").expect("begun");
    let mut datagram = vec![0; 2_000];
    let (length, _) = timeout(PATIENCE, hole.recv_from(&mut datagram)).await.expect("in time").expect("a datagram");
    datagram.truncate(length);
    datagram
}

/// Datagrams that are none of QUIC, and such as look like it.
#[tokio::test]
async fn noise() {
    let node = Node::start();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let initial = initial_of(&node).await;
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..2_000 {
        let mut datagram = initial.clone();
        match random.random_range(0..4) {
            0 => datagram.iter_mut().for_each(|byte| *byte = random.random()),
            1 => datagram.truncate(random.random_range(0..datagram.len())),
            // The version, and the lengths of what follows it.
            2 => datagram[random.random_range(0..30)] = random.random(),
            _ => {
                let at = random.random_range(0..datagram.len());
                datagram[at] ^= 1 << random.random_range(0..8);
            }
        }
        stranger.send_to(&datagram, node.https).expect("sent");
    }
    others_are_served(&node).await;
}

/// Requests with bytes that are anything: none of them ends more than its own connection.
#[tokio::test]
async fn streams_of_anything() {
    let node = Node::start_with(|settings| http3(settings).resets_max = usize::MAX);
    node.world.put("a", &bytes(10_000), Kept::Memory);
    let mut random = StdRng::seed_from_u64(11);
    let whole = [frame(HEADERS, &get("/assets/a")), frame(0x00, b"a body"), frame(HEADERS, &section(&[("x-after", "all")]))].concat();
    let (mut _endpoint, mut connection) = quic(node.https, &node.certificate).await;
    for _ in 0..1_500 {
        let mut sent = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..sent.len());
            match random.random_range(0..4) {
                0 => sent[at] = random.random(),
                1 => sent.truncate(at.max(1)),
                2 => drop(sent.remove(at)),
                _ => sent.insert(at, random.random()),
            }
            if sent.is_empty() {
                sent.push(HEADERS);
            }
        }
        // What is announced and never comes is waited for: here the stream ends.
        let _ = exchange(&connection, &sent).await;
        if connection.close_reason().is_some() {
            (_endpoint, connection) = quic(node.https, &node.certificate).await;
        }
    }
    others_are_served(&node).await;
    assert!(exchange(&connection, &whole).await.is_ok() || connection.close_reason().is_some());
}

/// The body of a request is taken as fast as it is wanted, and no faster: what nobody reads stays with the client.
#[tokio::test]
async fn a_body_that_nobody_reads_stays_where_it_is() {
    let node = Node::start_with(|settings| http3(settings).connection_window_bytes = 1 << 20);
    node.world.put("a", &bytes(2 << 20), Kept::GatedFrom(0));
    let mut client = Http3::connect(node.https, &node.certificate).await;
    let mut stream = client.begin(Method::GET, "/assets/a", &[("content-length", "100000000")]).await;
    let mut sent = 0_u64;
    let sending = async {
        while stream.send_data(Bytes::from(vec![0; 100_000])).await.is_ok() {
            sent += 100_000;
        }
    };
    assert!(timeout(SOON, sending).await.is_err(), "it is not refused either");
    // What the node allows, and what quinn takes of its own client.
    assert!(sent < 16 << 20, "{sent} bytes");
    others_are_served(&node).await;
}
