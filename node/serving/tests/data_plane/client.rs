//! Clients: hyper's for requests that are proper, and a bare socket for those that are not.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use bytes::{Buf, Bytes};
use h3::error::StreamError;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::node::PATIENCE;

#[path = "../../src/listener/http3/quic.rs"]
#[expect(dead_code, reason = "half of it is for servers")]
mod adapter;

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

/// Takes any certificate for that of whom it asked for: for tests of which one is shown.
#[derive(Debug)]
pub(crate) struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}

/// What a client of HTTP/3 says in the handshake, trusting `root` alone. It takes whatever early data it is allowed to send.
pub(crate) fn quic_config(root: &CertificateDer<'static>) -> quinn::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    config.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(config).expect("usable")))
}

/// A connection over QUIC, and the socket that it needs.
pub(crate) async fn quic(addr: SocketAddr, root: &CertificateDer<'static>) -> (quinn::Endpoint, quinn::Connection) {
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
    endpoint.set_default_client_config(quic_config(root));
    let connecting = endpoint.connect(addr, "localhost").expect("begun");
    let connection = timeout(PATIENCE, connecting).await.expect("in time").expect("a handshake");
    (endpoint, connection)
}

/// One HTTP/3 connection.
#[derive(Clone)]
pub(crate) struct Http3 {
    requests: h3::client::SendRequest<adapter::Opener, Bytes>,
    pub(crate) connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

/// A request over HTTP/3 that is under way.
pub(crate) type Http3Stream = h3::client::RequestStream<adapter::BidiStream, Bytes>;

impl Http3 {
    pub(crate) async fn connect(addr: SocketAddr, root: &CertificateDer<'static>) -> Self {
        let (endpoint, connection) = quic(addr, root).await;
        // What a server sends is not bounded.
        let (adapted, _) = adapter::Connection::new(connection.clone(), u32::MAX);
        let (mut driver, requests) = h3::client::new(adapted).await.expect("begun");
        tokio::spawn(async move { driver.wait_idle().await });
        Self { requests, connection, _endpoint: endpoint }
    }

    /// Sends a head, and no end.
    pub(crate) async fn begin(&mut self, method: Method, path: &str, fields: Fields<'_>) -> Http3Stream {
        let request = request(method, &format!("https://localhost{path}"), fields).map(drop);
        self.requests.send_request(request).await.expect("sent")
    }

    /// Sends a request and takes it back at once. Whether that could be done.
    pub(crate) async fn give_up(&mut self, path: &str) -> bool {
        let request = request(Method::GET, &format!("https://localhost{path}"), &[]).map(drop);
        let Ok(mut stream) = self.requests.send_request(request).await else { return false };
        stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
        // Fails if the node has seen it before.
        let _ = stream.finish().await;
        self.connection.close_reason().is_none()
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, fields: Fields<'_>) -> Answer {
        let mut stream = self.begin(method, path, fields).await;
        stream.finish().await.expect("sent");
        answer(&mut stream).await
    }
}

/// Reads the response to its end. A reset may overtake what was sent before it (RFC 9000 §3.2), and then nothing is known of the head.
pub(crate) async fn answer(stream: &mut Http3Stream) -> Answer {
    let read = async {
        let head = match stream.recv_response().await {
            Ok(head) => head,
            Err(StreamError::RemoteTerminate { .. }) => {
                return Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::new(), whole: false };
            }
            Err(error) => panic!("no response: {error}"),
        };
        let (mut body, mut whole) = (Vec::new(), true);
        loop {
            match stream.recv_data().await {
                Ok(Some(mut data)) => body.extend_from_slice(&data.copy_to_bytes(data.remaining())),
                Ok(None) => break,
                Err(_) => {
                    whole = false;
                    break;
                }
            }
        }
        Answer { status: head.status(), headers: head.headers().clone(), body: body.into(), whole }
    };
    timeout(PATIENCE, read).await.expect("in time")
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
        self.write_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("written");
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
