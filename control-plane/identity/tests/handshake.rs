//! Real TLS handshakes between nodes, in memory: who gets through, who does not, and what is known afterwards.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ncore_identity::{
    CertificateDer, CertificateRequest, ClusterId, ClusterKey, ExpectedPeer, IdentityHandle, IdentityStore, JoinTerms, NODE_VALIDITY,
    NodeIdentity, NodeName, PeerIdentity, VerifyError, client_config, join_client_config, peer_identity, server_config,
};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const WEEK: u64 = 7 * 24 * 60 * 60;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A new cluster, its founder being node 1.
fn founder() -> NodeIdentity {
    NodeIdentity::found(1, now()).unwrap()
}

/// Another node of the founder's cluster, which joined at `when`.
fn member(founder: &NodeIdentity, node_id: u64, when: u64) -> NodeIdentity {
    let request = CertificateRequest::generate().unwrap();
    let name = NodeName { cluster_id: founder.cluster_id(), node_id };
    let authority = founder.authority().unwrap();
    let certificate = authority.sign_csr(request.der(), &name, NODE_VALIDITY, when).unwrap();
    NodeIdentity::from_join(request, certificate, &terms(founder), founder.cluster_key().clone(), when).unwrap()
}

fn terms(founder: &NodeIdentity) -> JoinTerms {
    JoinTerms {
        cluster_id: founder.cluster_id(),
        ca_cert: founder.authorities()[0].clone(),
        voter: false,
        region: None,
        expires_at: now() + 3600,
        endpoints: vec!["127.0.0.1:7400".to_owned()],
    }
}

fn handle(identity: NodeIdentity) -> IdentityHandle {
    IdentityHandle::new(identity)
}

/// What each side knows after a handshake and one byte each way.
#[derive(Debug)]
struct Met {
    server_sees: Result<PeerIdentity, VerifyError>,
    client_sees: Result<PeerIdentity, VerifyError>,
    version: Option<ProtocolVersion>,
    alpn: Option<Vec<u8>>,
    sni: Option<String>,
    kind: Option<HandshakeKind>,
}

/// The error of each side that had one.
#[derive(Debug)]
struct Parted {
    server: Option<io::Error>,
    client: Option<io::Error>,
}

async fn connect(server: Arc<ServerConfig>, client: Arc<ClientConfig>, expected: ExpectedPeer) -> Result<Met, Parted> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let serving = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.write_all(b"s").await?;
        stream.flush().await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        let tls = stream.get_ref().1;
        let peer = peer_identity(tls.peer_certificates().unwrap_or_default());
        io::Result::Ok((peer, tls.server_name().map(str::to_owned)))
    };
    let dialling = async {
        let mut stream = TlsConnector::from(client).connect(expected.server_name(), near).await?;
        stream.write_all(b"c").await?;
        stream.flush().await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        let tls = stream.get_ref().1;
        let peer = peer_identity(tls.peer_certificates().unwrap_or_default());
        io::Result::Ok((peer, tls.protocol_version(), tls.alpn_protocol().map(<[u8]>::to_vec), tls.handshake_kind()))
    };
    let both = async { tokio::join!(serving, dialling) };
    match timeout(Duration::from_secs(10), both).await.expect("a handshake in memory ends") {
        (Ok((server_sees, sni)), Ok((client_sees, version, alpn, kind))) => Ok(Met { server_sees, client_sees, version, alpn, sni, kind }),
        (server, client) => Err(Parted { server: server.err(), client: client.err() }),
    }
}

async fn dial(server: &IdentityHandle, client: &IdentityHandle, expected: ExpectedPeer) -> Result<Met, Parted> {
    connect(server_config(server), client_config(client, expected), expected).await
}

/// The reason of this crate inside the error of a refusing side.
fn reason(error: Option<io::Error>) -> String {
    let error = error.expect("this side refused");
    format!("{error} / {error:?}")
}

#[tokio::test]
async fn two_members_know_each_other() {
    let one = founder();
    let two = handle(member(&one, 2, now()));
    let one = handle(one);
    for expected in [ExpectedPeer::Node(1), ExpectedPeer::AnyMember] {
        let met = dial(&one, &two, expected).await.unwrap();
        assert_eq!(met.server_sees.as_ref(), Ok(two.current().as_peer()));
        assert_eq!(met.client_sees.as_ref(), Ok(one.current().as_peer()));
        assert_eq!(met.version, Some(ProtocolVersion::TLSv1_3));
        assert_eq!(met.alpn.as_deref(), Some(b"h2".as_slice()));
        assert_eq!(met.sni, None);
    }
    let met = dial(&two, &one, ExpectedPeer::Node(2)).await.unwrap();
    assert_eq!(met.server_sees.unwrap().node_id, 1);
    assert_eq!(met.client_sees.unwrap().node_id, 2);
}

#[tokio::test]
async fn another_node_than_the_one_dialled_is_refused() {
    let one = founder();
    let two = handle(member(&one, 2, now()));
    let parted = dial(&handle(one), &two, ExpectedPeer::Node(3)).await.unwrap_err();
    let reason = reason(parted.client);
    assert!(reason.contains("OtherNode { expected: 3, found: 1 }"), "{reason}");
}

#[tokio::test]
async fn members_of_different_clusters_refuse_each_other() {
    let (ours, theirs) = (founder(), founder());
    // The client notices first.
    let parted = dial(&handle(ours.clone()), &handle(theirs.clone()), ExpectedPeer::AnyMember).await.unwrap_err();
    assert!(reason(parted.client).contains("OtherCluster"));

    // A client that trusts our server, but shows a certificate of the other cluster, is refused by the server.
    let mut mixed = (*join_client_config(&ours.authorities()[0], ours.cluster_id()).unwrap()).clone();
    mixed.client_auth_cert_resolver = Arc::new(handle(theirs));
    let parted = connect(server_config(&handle(ours)), Arc::new(mixed), ExpectedPeer::AnyMember).await.unwrap_err();
    assert!(reason(parted.server).contains("OtherCluster"));
}

/// An authority that claims our cluster id: the name fits, the signature does not.
#[tokio::test]
async fn a_forged_authority_with_our_cluster_id_is_refused() {
    let ours = founder();
    let forger = ncore_identity::ClusterAuthority::create(ours.cluster_id(), now()).unwrap();
    let request = CertificateRequest::generate().unwrap();
    let certificate = forger.sign_csr(request.der(), &ours.name(), NODE_VALIDITY, now()).unwrap();
    let forged_terms = JoinTerms { ca_cert: forger.certificate().clone(), ..terms(&ours) };
    let key = ClusterKey::generate().unwrap();
    let forged = NodeIdentity::from_join(request, certificate, &forged_terms, key, now()).unwrap();

    let parted = dial(&handle(forged.clone()), &handle(ours.clone()), ExpectedPeer::Node(1)).await.unwrap_err();
    let said = reason(parted.client);
    assert!(said.contains("UnknownIssuer") || said.contains("BadSignature"), "{said}");
    let mut mixed = (*join_client_config(&ours.authorities()[0], ours.cluster_id()).unwrap()).clone();
    mixed.client_auth_cert_resolver = Arc::new(handle(forged));
    let parted = connect(server_config(&handle(ours)), Arc::new(mixed), ExpectedPeer::AnyMember).await.unwrap_err();
    let said = reason(parted.server);
    assert!(said.contains("UnknownIssuer") || said.contains("BadSignature"), "{said}");
}

#[tokio::test]
async fn expired_certificates_are_refused_on_both_sides() {
    let one = founder();
    let lapsed = handle(member(&one, 2, now() - WEEK - 60));
    let one = handle(one);
    let parted = dial(&lapsed, &one, ExpectedPeer::Node(2)).await.unwrap_err();
    assert!(reason(parted.client).contains("expired"));
    let parted = dial(&one, &lapsed, ExpectedPeer::Node(1)).await.unwrap_err();
    assert!(reason(parted.server).contains("expired"));
}

#[tokio::test]
async fn a_joiner_checks_the_cluster_and_is_nobody() {
    let one = founder();
    let config = join_client_config(&one.authorities()[0], one.cluster_id()).unwrap();
    let server = server_config(&handle(one.clone()));
    let met = connect(server, config.clone(), ExpectedPeer::AnyMember).await.unwrap();
    assert_eq!(met.server_sees, Err(VerifyError::NoCertificate));
    assert_eq!(met.client_sees.unwrap().node_id, 1);

    let other = server_config(&handle(founder()));
    let parted = connect(other, config, ExpectedPeer::AnyMember).await.unwrap_err();
    assert!(reason(parted.client).contains("OtherCluster"));

    assert!(join_client_config(&one.authorities()[0], ClusterId([0; 16])).is_err());
    assert!(join_client_config(&CertificateDer::from(vec![1, 2, 3]), one.cluster_id()).is_err());
}

#[tokio::test]
async fn a_renewal_is_picked_up_by_new_connections_of_old_configurations() {
    let one = founder();
    let two = member(&one, 2, now());
    let one = handle(one);
    let (server, client) = (server_config(&one), client_config(&one, ExpectedPeer::Node(2)));
    let two = handle(two);
    let (server_of_two, client_of_two) = (server_config(&two), client_config(&two, ExpectedPeer::Node(1)));
    let before = one.current();

    let dir = tempfile::tempdir().unwrap();
    renew(dir.path(), &one);
    assert_ne!(one.current().as_peer().serial, before.as_peer().serial);

    let met = connect(server, client_of_two, ExpectedPeer::Node(1)).await.unwrap();
    assert_eq!(met.client_sees.as_ref(), Ok(one.current().as_peer()));
    let met = connect(server_of_two, client, ExpectedPeer::Node(2)).await.unwrap();
    assert_eq!(met.server_sees.as_ref(), Ok(one.current().as_peer()));
}

fn renew(data_dir: &Path, handle: &IdentityHandle) {
    let store = IdentityStore::at(data_dir);
    store.create(&handle.current()).unwrap();
    let update = store.update(handle, |current| {
        let request = current.new_csr().unwrap();
        let authority = current.authority().unwrap();
        let certificate = authority.sign_csr(request.der(), &current.name(), NODE_VALIDITY, now()).unwrap();
        Ok::<_, Infallible>(current.install(request, certificate, now()).unwrap())
    });
    update.unwrap();
}

/// While one authority replaces another, nodes with certificates from either must get on.
#[tokio::test]
async fn two_authorities_are_trusted_during_a_rotation() {
    let one = founder();
    let next = ncore_identity::ClusterAuthority::create(one.cluster_id(), now()).unwrap();
    let both = vec![one.authorities()[0].clone(), next.certificate().clone()];

    let request = CertificateRequest::generate().unwrap();
    let name = NodeName { cluster_id: one.cluster_id(), node_id: 2 };
    let certificate = next.sign_csr(request.der(), &name, NODE_VALIDITY, now()).unwrap();
    let next_terms = JoinTerms { ca_cert: next.certificate().clone(), ..terms(&one) };
    let two = NodeIdentity::from_join(request, certificate, &next_terms, one.cluster_key().clone(), now()).unwrap();

    // Nobody may stop trusting the authority of its own certificate.
    assert!(two.trusting(vec![one.authorities()[0].clone()]).is_err());

    // The configurations are made once, before the change, and must see it.
    let (one, two) = (handle(one), handle(two));
    let (server, client) = (server_config(&one), client_config(&two, ExpectedPeer::Node(1)));
    let (server_of_two, client_of_one) = (server_config(&two), client_config(&one, ExpectedPeer::Node(2)));
    assert!(connect(server.clone(), client.clone(), ExpectedPeer::Node(1)).await.is_err());
    for node in [&one, &two] {
        let dir = tempfile::tempdir().unwrap();
        let store = IdentityStore::at(dir.path());
        store.create(&node.current()).unwrap();
        store.update(node, |current| current.trusting(both.clone())).unwrap();
        assert_eq!(store.load().unwrap().authorities(), both);
    }
    connect(server, client, ExpectedPeer::Node(1)).await.unwrap();
    connect(server_of_two, client_of_one, ExpectedPeer::Node(2)).await.unwrap();
}

/// The name also holds for a TLS client that knows nothing of this crate, and our server gives it nothing to resume with.
#[tokio::test]
async fn the_server_offers_no_resumption() {
    let one = founder();
    let mut roots = RootCertStore::empty();
    roots.add(one.authorities()[0].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut plain = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    plain.resumption = Resumption::in_memory_sessions(8);
    let (server, plain) = (server_config(&handle(one)), Arc::new(plain));
    for _ in 0..2 {
        let met = connect(server.clone(), plain.clone(), ExpectedPeer::Node(1)).await.unwrap();
        assert_ne!(met.kind, Some(HandshakeKind::Resumed));
    }
}

/// Even from a server that hands out tickets, our client checks the certificate every time.
#[tokio::test]
async fn the_client_never_resumes() {
    let one = founder();
    let two = handle(member(&one, 2, now()));
    let mut server = (*server_config(&handle(one))).clone();
    server.send_tls13_tickets = 2;
    server.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
    let (server, client) = (Arc::new(server), client_config(&two, ExpectedPeer::Node(1)));
    for _ in 0..2 {
        let met = connect(server.clone(), client.clone(), ExpectedPeer::Node(1)).await.unwrap();
        assert_ne!(met.kind, Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn older_versions_of_tls_are_refused() {
    let one = founder();
    let mut roots = RootCertStore::empty();
    roots.add(one.authorities()[0].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let old = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let parted = connect(server_config(&handle(one)), Arc::new(old), ExpectedPeer::Node(1)).await.unwrap_err();
    assert!(reason(parted.server).contains("PeerIncompatible"));
}
