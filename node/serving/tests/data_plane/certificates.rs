//! Certificates by the name that a viewer asks for, swapped while connections are made.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ncore_serving::{CertificateFiles, CertificateWatch, Resumption, ServingMetrics};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind,
    client::Resumption as ClientResumption,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{net::TcpStream, sync::Notify};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Trusting,
    node::{Node, eventually},
};

/// Writes a pair the way a renewal does, not at once.
fn write(dir: &Path, name: &str, hosts: &[&str]) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let certificate = CertificateParams::new(hosts).expect("names").self_signed(&key).expect("signed");
    fs::write(dir.join(format!("{name}.crt")), certificate.pem()).expect("written");
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    certificate.der().clone()
}

fn open(dir: &Path, resumption: Resumption) -> CertificateWatch {
    let files = CertificateFiles { chain: dir.join("own.crt"), key: dir.join("own.key"), directory: Some(dir.join("others")) };
    CertificateWatch::open(files, resumption, Arc::<ServingMetrics>::default()).expect("usable")
}

fn config() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.resumption = ClientResumption::in_memory_sessions(8);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

async fn connect(config: &Arc<ClientConfig>, addr: std::net::SocketAddr, host: &str) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(addr).await.expect("connected");
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    TlsConnector::from(Arc::clone(config)).connect(name, socket).await.expect("a handshake")
}

async fn shown(addr: std::net::SocketAddr, host: &str) -> CertificateDer<'static> {
    let stream = connect(&config(), addr, host).await;
    stream.get_ref().1.peer_certificates().expect("a chain")[0].clone().into_owned()
}

#[tokio::test]
async fn the_name_decides_which_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("others")).expect("made");
    let own = write(dir.path(), "own", &["node.example"]);
    let wild = write(&dir.path().join("others"), "wild", &["*.example.com"]);
    let exact = write(&dir.path().join("others"), "exact", &["shop.example.com"]);
    let node = Node::with_identity(open(dir.path(), Resumption::Own).identity());
    let table =
        [("shop.example.com", &exact), ("a.example.com", &wild), ("a.b.example.com", &own), ("example.com", &own), ("127.0.0.1", &own)];
    for (host, expected) in table {
        assert_eq!(shown(node.https, host).await, *expected, "{host}");
    }
}

/// Certificates change all the time, and are half written in between; every handshake succeeds, and in the end the newest is shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_fails_no_handshake() {
    let dir = tempfile::tempdir().expect("a directory");
    let others = dir.path().join("others");
    fs::create_dir(&others).expect("made");
    write(dir.path(), "own", &["node.example"]);
    write(&others, "a", &["a.example"]);
    let watch = open(dir.path(), Resumption::Own);
    let node = Node::with_identity(watch.identity());
    let (reload, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let watching = tokio::spawn(watch.run(Arc::clone(&reload), stop.clone()));
    let done = Arc::new(AtomicBool::new(false));
    let handshakes = Arc::new(AtomicU64::new(0));
    let viewers: Vec<_> = (0..4)
        .map(|_| {
            let (addr, done, handshakes) = (node.https, Arc::clone(&done), Arc::clone(&handshakes));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    shown(addr, "a.example").await;
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut newest = None;
    for round in 1..=20 {
        newest = Some(write(&others, "a", &["a.example"]));
        reload.notify_one();
        let so_far = handshakes.load(Ordering::Relaxed);
        eventually("handshakes went on", || handshakes.load(Ordering::Relaxed) > so_far + 4).await;
        fs::write(others.join("b.crt"), format!("broken {round}")).expect("written");
    }
    let newest = newest.expect("some");
    while shown(node.https, "a.example").await != newest {
        reload.notify_one();
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Relaxed);
    for viewer in viewers {
        viewer.await.expect("no handshake failed");
    }
    assert_eq!(node.metrics.handshakes_failed.load(Ordering::Relaxed), 0);
    stop.cancel();
    watching.await.expect("ended");
}

async fn kind(config: &Arc<ClientConfig>, node: &Node) -> Option<HandshakeKind> {
    let mut stream = connect(config, node.https, "localhost").await;
    let kind = stream.get_ref().1.handshake_kind();
    // Tickets come after the handshake, with the first bytes.
    let mut read = vec![0; 64];
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("written");
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut read).await.expect("an answer");
    kind
}

/// A session that began at one node goes on at another one that has the same secret, and at none that has another.
#[tokio::test]
async fn sessions_go_on_at_another_node() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("others")).expect("made");
    write(dir.path(), "own", &["localhost"]);
    let node = |secret: u8| {
        let keys = move |epoch: u64| {
            let mut key = [secret; 32];
            key[..8].copy_from_slice(&epoch.to_be_bytes());
            key
        };
        Node::with_identity(open(dir.path(), Resumption::Shared(Arc::new(keys))).identity())
    };
    let (one, other, stranger) = (node(1), node(1), node(2));
    let off = Node::with_identity(open(dir.path(), Resumption::Off).identity());
    let viewer = config();
    assert_eq!(kind(&viewer, &one).await, Some(HandshakeKind::Full));
    assert_eq!(kind(&viewer, &other).await, Some(HandshakeKind::Resumed));
    assert_eq!(kind(&viewer, &one).await, Some(HandshakeKind::Resumed));
    assert_eq!(other.metrics.handshakes_resumed.load(Ordering::Relaxed), 1);
    assert_ne!(kind(&viewer, &stranger).await, Some(HandshakeKind::Resumed));
    let viewer = config();
    for _ in 0..2 {
        assert_ne!(kind(&viewer, &off).await, Some(HandshakeKind::Resumed));
    }
}
