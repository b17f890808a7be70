//! Clients: hyper's for requests that are proper, and a bare socket for those that are not.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::node::PATIENCE;

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.map_or("", |value| value.expect("ASCII"))
    }

    pub(crate) fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/problem+json");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    async fn read(response: Response<Incoming>) -> Self {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut whole) = (Vec::new(), true);
        while let Some(frame) = incoming.frame().await {
            // An error comes again and again.
            let Ok(frame) = frame else {
                whole = false;
                break;
            };
            body.extend_from_slice(frame.data_ref().expect("no trailers"));
        }
        Self { status: head.status, headers: head.headers, body: body.into(), whole }
    }
}

pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

fn request(method: Method, target: &str, fields: Fields<'_>) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).expect("a request")
}

/// One HTTP/1.1 connection.
pub(crate) struct Http1(http1::SendRequest<Empty<Bytes>>);

impl Http1 {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.expect("connected");
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.expect("sent");
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn connect_tls(addr: SocketAddr, root: &CertificateDer<'static>) -> Self {
        let socket = tls(addr, root, b"http/1.1").await;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.expect("sent");
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, fields: Fields<'_>) -> Response<Incoming> {
        let mut request = request(method, path, fields);
        let host = http::HeaderValue::from_static("localhost");
        request.headers_mut().insert("host", host);
        self.0.ready().await.expect("open");
        let sent = timeout(PATIENCE, self.0.send_request(request)).await;
        sent.expect("in time").expect("a response")
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, fields: Fields<'_>) -> Answer {
        let response = self.send(method, path, fields).await;
        let answer = timeout(PATIENCE, Answer::read(response)).await;
        answer.expect("in time")
    }

    pub(crate) async fn get(&mut self, path: &str, fields: Fields<'_>) -> Answer {
        self.ask(Method::GET, path, fields).await
    }
}

/// One HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct Http2(http2::SendRequest<Empty<Bytes>>);

impl Http2 {
    pub(crate) async fn connect(addr: SocketAddr, root: &CertificateDer<'static>) -> Self {
        let socket = tls(addr, root, b"h2").await;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(8 << 20)
            .handshake(TokioIo::new(socket))
            .await
            .expect("sent");
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, fields: Fields<'_>) -> Response<Incoming> {
        let request = request(method, &format!("https://localhost{path}"), fields);
        self.0.ready().await.expect("open");
        let sent = timeout(PATIENCE, self.0.send_request(request)).await;
        sent.expect("in time").expect("a response")
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, fields: Fields<'_>) -> Answer {
        let response = self.send(method, path, fields).await;
        let answer = timeout(PATIENCE, Answer::read(response)).await;
        answer.expect("in time")
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// A TLS connection that trusts `root` alone and offers `protocol`.
pub(crate) async fn tls(addr: SocketAddr, root: &CertificateDer<'static>, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(addr).await.expect("connected");
    let name = "localhost".try_into().expect("a name");
    let connected = TlsConnector::from(Arc::new(config)).connect(name, socket);
    let connected = timeout(PATIENCE, connected).await.expect("in time");
    connected.expect("a handshake")
}

/// A socket on which bytes are written as they are.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self(TcpStream::connect(addr).await.expect("connected"))
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("written");
    }

    /// All that comes until the other side closes.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut read = Vec::new();
        let end = timeout(PATIENCE, self.0.read_to_end(&mut read)).await;
        // A reset is an end, too.
        let _ = end.expect("closed in time");
        String::from_utf8(read).expect("text")
    }

    /// What comes until `text` was in it.
    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        let mut read = String::new();
        while !read.contains(text) {
            let mut piece = [0; 1_024];
            let count = timeout(PATIENCE, self.0.read(&mut piece)).await;
            let count = count.expect("in time").expect("readable");
            assert_ne!(count, 0, "closed after {read:?}");
            read.push_str(std::str::from_utf8(&piece[..count]).expect("text"));
        }
        read
    }
}
