//! TLS with origins: verified, always; HTTP/2 where the origin has it.

mod harness;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use harness::{Names, SHORT, get, patient, settings, whole};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ncore_origin::{ErrorKind, FixedHost, HostField, Origins, RequestBody, SetSettings};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// An authority of a test.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name, valid from the first of these days from now to the second.
    fn sign(&self, name: &str, days: (i64, i64)) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let day = |days: i64| {
            let now = SystemTime::now();
            let time = Duration::from_secs(days.unsigned_abs() * 86_400);
            if days < 0 { now - time } else { now + time }.into()
        };
        params.not_before = day(days.0);
        params.not_after = day(days.1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        (certificate, PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
    }
}

/// What an origin over TLS was asked.
#[derive(Debug, Clone)]
struct Asked {
    version: Version,
    authority: Option<String>,
    headers: HeaderMap,
}

/// An origin over TLS that answers `ok`, with trailers over HTTP/2.
struct TlsOrigin {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: AbortHandle,
}

impl TlsOrigin {
    async fn start((certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>), protocols: &[&str]) -> Self {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (accepted, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, noted) = (Arc::clone(&accepted), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, noted) = (acceptor.clone(), Arc::clone(&noted));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let service = service_fn(move |request| answer(Arc::clone(&noted), request));
                    let io = TokioIo::new(stream);
                    if http2 {
                        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
                    } else {
                        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                    }
                });
            }
        });
        Self { address, accepted, asked, task: task.abort_handle() }
    }
}

impl Drop for TlsOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Streamed = StreamBody<futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

async fn answer(noted: Arc<Mutex<Vec<Asked>>>, request: Request<Incoming>) -> Result<Response<Streamed>, std::io::Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    noted.lock().push(Asked { version: head.version, authority: head.uri.authority().map(ToString::to_string), headers: head.headers });
    if path == "/reset" {
        // Over HTTP/2 the end of this stream alone.
        return Err(std::io::Error::other("not this one"));
    }
    let sent = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from("ok")), Frame::data(sent), Frame::trailers(trailers)].map(Ok);
    let body: Streamed = StreamBody::new(Box::pin(futures_util::stream::iter(frames)));
    let mut response = Response::new(body);
    if path == "/many" {
        for field in 0..200 {
            let name = HeaderName::from_bytes(format!("x-{field}").as_bytes()).expect("a name");
            response.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
    }
    if path == "/large" {
        response.headers_mut().insert("x-large", HeaderValue::try_from("v".repeat(100_000)).expect("a value"));
    }
    Ok(response)
}

/// Origins that know `origin.example`, and a set for it that trusts an authority.
fn trusting(authority: &Authority, port: u16) -> (Origins, SetSettings) {
    let names = Arc::<Names>::default();
    names.set("origin.example", &["127.0.0.1"]);
    let mut of_set = patient(format!("https://origin.example:{port}").parse().expect("a URL"));
    of_set.tls.authorities = vec![authority.certificate.clone()];
    (Origins::new(settings(&names)), of_set)
}

#[tokio::test]
async fn an_authority_of_its_own_is_all_that_a_set_trusts() {
    let authority = Authority::new();
    let origin = TlsOrigin::start(authority.sign("origin.example", (-1, 1)), &["http/1.1"]).await;
    let (origins, mut of_set) = trusting(&authority, origin.address.port());
    let set = origins.set(&of_set).expect("a set");
    for _ in 0..3 {
        assert_eq!(whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body"), "ok");
    }
    assert_eq!(origin.accepted.load(Ordering::SeqCst), 1);
    assert_eq!(origin.asked.lock()[0].version, Version::HTTP_11);

    for authorities in [vec![], vec![Authority::new().certificate]] {
        of_set.tls.authorities = authorities;
        let set = origins.set(&of_set).expect("a set");
        let error = origins.send(&set, get("/")).await.expect_err("nobody vouches for it");
        assert_eq!((error.kind(), error.status()), (ErrorKind::Tls, StatusCode::BAD_GATEWAY));
    }
    assert_eq!(origin.asked.lock().len(), 3);
}

#[tokio::test]
async fn certificates_are_for_the_name_and_for_today() {
    let authority = Authority::new();
    for (name, days) in [("other.example", (-1, 1)), ("origin.example", (-3, -1)), ("origin.example", (1, 3))] {
        let origin = TlsOrigin::start(authority.sign(name, days), &["h2", "http/1.1"]).await;
        let (origins, of_set) = trusting(&authority, origin.address.port());
        let set = origins.set(&of_set).expect("a set");
        let error = origins.send(&set, get("/")).await.expect_err("a wrong certificate");
        assert_eq!(error.kind(), ErrorKind::Tls, "{name} {days:?}");
        assert!(origin.asked.lock().is_empty());
        harness::until("no connection is left", || origins.connections() == 0).await;
    }
}

#[tokio::test]
async fn a_host_that_is_fixed_is_the_name_in_the_certificate_as_well() {
    let authority = Authority::new();
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let origin = TlsOrigin::start(authority.sign("www.example", (-1, 1)), protocols).await;
        let (origins, mut of_set) = trusting(&authority, origin.address.port());
        let own = origins.set(&of_set).expect("a set");
        assert_eq!(origins.send(&own, get("/")).await.expect_err("another name").kind(), ErrorKind::Tls);
        of_set.host = HostField::Fixed(FixedHost::new("www.example").expect("a name"));
        let set = origins.set(&of_set).expect("a set");
        whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body");
        let asked = origin.asked.lock()[0].clone();
        let host = asked.authority.or_else(|| asked.headers.get("host").map(|host| host.to_str().expect("text").to_owned()));
        assert_eq!(host.as_deref(), Some("www.example"));
    }
}

#[tokio::test]
async fn what_does_not_speak_tls_is_an_error_and_so_is_what_says_nothing() {
    let authority = Authority::new();
    let plain = harness::RawOrigin::start(|_, mut stream, _| async move {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        harness::read_to_end(&mut stream).await;
    })
    .await;
    let (origins, of_set) = trusting(&authority, plain.address.port());
    let set = origins.set(&of_set).expect("a set");
    assert_eq!(origins.send(&set, get("/")).await.expect_err("no TLS").kind(), ErrorKind::Tls);

    let silent = harness::RawOrigin::start(|_, mut stream, _| async move { harness::read_to_end(&mut stream).await }).await;
    let (origins, mut of_set) = trusting(&authority, silent.address.port());
    of_set.timeouts.tls = SHORT;
    let set = origins.set(&of_set).expect("a set");
    let error = origins.send(&set, get("/")).await.expect_err("no TLS");
    assert_eq!((error.kind(), error.status()), (ErrorKind::TlsTimeout, StatusCode::GATEWAY_TIMEOUT));
}

#[tokio::test]
async fn http2_is_spoken_where_the_origin_has_it_over_one_connection() {
    let authority = Authority::new();
    let origin = TlsOrigin::start(authority.sign("origin.example", (-1, 1)), &["h2", "http/1.1"]).await;
    let port = origin.address.port();
    let (origins, mut of_set) = trusting(&authority, port);
    let set = origins.set(&of_set).expect("a set");
    let all = join_all((0..200).map(|number| {
        let (origins, set) = (origins.clone(), Arc::clone(&set));
        async move {
            let body = Bytes::from(format!(" {number}"));
            let mut post = Request::post(format!("/{number}?q")).body(RequestBody::from(body)).expect("a request");
            post.headers_mut().insert("te", HeaderValue::from_static("trailers"));
            let collected = origins.send(&set, post).await.expect("a response").into_body().collect().await.expect("a body");
            assert_eq!(collected.trailers().expect("trailers")["grpc-status"], "0");
            assert_eq!(collected.to_bytes(), format!("ok {number}"));
        }
    }))
    .await;
    assert_eq!(all.len(), 200);
    assert!(origin.accepted.load(Ordering::SeqCst) <= 2, "{}", origin.accepted.load(Ordering::SeqCst));
    assert!(origins.figures().connects_http2.load(Ordering::Relaxed) >= 1);
    {
        let asked = origin.asked.lock();
        assert!(asked.iter().all(|asked| asked.version == Version::HTTP_2 && asked.headers["te"] == "trailers"));
        assert!(asked.iter().all(|asked| asked.authority == Some(format!("origin.example:{port}"))));
        assert!(asked.iter().all(|asked| !asked.headers.contains_key("host")));
    }

    of_set.tls.http2 = false;
    let set = origins.set(&of_set).expect("a set");
    whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body");
    let last = origin.asked.lock().last().expect("a request").clone();
    assert_eq!(last.version, Version::HTTP_11);
    assert!(!last.headers.contains_key("te"));
}

#[tokio::test]
async fn a_thousand_requests_to_an_origin_that_does_not_answer_dial_it_once() {
    let authority = Authority::new();
    let silent = harness::RawOrigin::start(|_, mut stream, _| async move { harness::read_to_end(&mut stream).await }).await;
    let (origins, mut of_set) = trusting(&authority, silent.address.port());
    of_set.timeouts.tls = Duration::from_secs(3);
    let set = origins.set(&of_set).expect("a set");
    let all = join_all((0..500).map(|_| {
        let (origins, set) = (origins.clone(), Arc::clone(&set));
        tokio::spawn(async move { origins.send(&set, get("/")).await.expect_err("no TLS").kind() })
    }))
    .await;
    assert!(all.into_iter().all(|kind| kind.expect("a task") == ErrorKind::TlsTimeout));
    // A machine that is slow may have some of them come after the first dial failed.
    assert!(silent.accepted() < 20, "{}", silent.accepted());
}

#[tokio::test]
async fn a_stream_that_the_origin_ends_is_not_asked_for_again_and_heads_are_bounded_over_http2_as_well() {
    let authority = Authority::new();
    let origin = TlsOrigin::start(authority.sign("origin.example", (-1, 1)), &["h2"]).await;
    let (origins, of_set) = trusting(&authority, origin.address.port());
    let set = origins.set(&of_set).expect("a set");
    for _ in 0..3 {
        whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body");
    }
    let before = origin.asked.lock().len();
    let error = origins.send(&set, get("/reset")).await.expect_err("no response");
    assert_eq!(error.kind(), ErrorKind::Reset, "{error:?}");
    assert_eq!(origin.asked.lock().len(), before + 1);
    let error = origins.send(&set, get("/many")).await.expect_err("too many fields");
    assert_eq!(error.kind(), ErrorKind::HeadTooLarge, "{error:?}");
    let error = origins.send(&set, get("/large")).await.expect_err("too long a head");
    assert_eq!(error.status(), StatusCode::BAD_GATEWAY, "{error:?}");
    whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body");
}
