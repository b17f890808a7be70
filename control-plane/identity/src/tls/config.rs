//! The three TLS configurations of the cluster port. Make each once and keep it: renewals are picked up through the handle.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, ServerConfig, WantsVerifier};
use rustls_pki_types::CertificateDer;

use crate::cluster_id::ClusterId;
use crate::error::IdentityError;
use crate::tls::IdentityHandle;
use crate::tls::verifier::{ClientCheck, ExpectedPeer, ServerCheck, TrustSource};
use crate::trust::{Trust, provider};

/// For the cluster port. A client that shows a certificate must be a member; one that shows none is let in as nobody, and
/// the service above lets it do nothing but join: ask [`crate::peer_identity`] on every call.
#[must_use]
pub fn server_config(handle: &IdentityHandle) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect(PROVIDER_HAS_TLS13)
        .with_client_cert_verifier(Arc::new(ClientCheck(handle.clone())))
        .with_cert_resolver(Arc::new(handle.clone()));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// For dialling another node with this node's certificate.
#[must_use]
pub fn client_config(handle: &IdentityHandle, expected: ExpectedPeer) -> Arc<ClientConfig> {
    let check = ServerCheck { trust: TrustSource::Node(handle.clone()), expected };
    let config = verified_by(check).with_client_cert_resolver(Arc::new(handle.clone()));
    finished(config)
}

/// For a machine that is no node yet and joins by a token: it checks that any member of the token's cluster answers, and
/// shows no certificate.
///
/// # Errors
/// When `ca_der` is not the certificate of that cluster's authority; make a new token.
pub fn join_client_config(ca_der: &CertificateDer<'static>, cluster_id: ClusterId) -> Result<Arc<ClientConfig>, IdentityError> {
    let trust = Trust::new(cluster_id, std::slice::from_ref(ca_der))?;
    let check = ServerCheck { trust: TrustSource::Token(Arc::new(trust)), expected: ExpectedPeer::AnyMember };
    Ok(finished(verified_by(check).with_no_client_auth()))
}

fn verified_by(check: ServerCheck) -> ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let builder: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).expect(PROVIDER_HAS_TLS13);
    let check: Arc<dyn ServerCertVerifier> = Arc::new(check);
    builder.dangerous().with_custom_certificate_verifier(check)
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Arc::new(config)
}

const ALPN: &[u8] = b"h2";
const PROVIDER_HAS_TLS13: &str = "aws-lc-rs has cipher suites for TLS 1.3";
