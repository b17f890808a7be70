//! TLS between a viewer and the node.

use std::{net::SocketAddr, sync::Arc};

use ncore_serving::TlsIdentity;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate for `name`, and its key.
pub(crate) fn certify(name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    (made.cert.der().clone(), key.into())
}

/// What a node shows for `name`, and what its clients have to trust.
pub(crate) fn identity(name: &str) -> (Arc<TlsIdentity>, CertificateDer<'static>) {
    let (certificate, key) = certify(name);
    (Arc::new(TlsIdentity::new(vec![certificate.clone()], key).expect("usable")), certificate)
}

/// Connects TLS for those who speak HTTP/2, trusting `root` alone.
pub(crate) fn connector(root: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// A connection to `addr` over TLS, to be one of `name`.
pub(crate) async fn connect(addr: SocketAddr, root: CertificateDer<'static>, name: &'static str) -> TlsStream<TcpStream> {
    let name = ServerName::try_from(name).expect("a name");
    connector(root).connect(name, TcpStream::connect(addr).await.expect("connected")).await.expect("a handshake")
}
