//! How TLS is spoken with an origin: versions 1.2 and 1.3, certificates verified, always.
//!
//! Authorities are the system's, rather than a list that is compiled in: what an operator trusts, or no longer trusts, is then said in one
//! place for the whole machine, and is updated without a new version of this program. A set of origins may have authorities of its
//! own; then those are the only ones.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::ServerName;

use crate::settings::{HostField, SettingsError, TlsSettings};
use crate::url::{OriginHost, OriginUrl};

/// What ALPN calls HTTP/2.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

const ALPN_HTTP1: &[u8] = b"http/1.1";

/// The authorities that the system trusts.
#[must_use]
pub fn system_authorities() -> RootCertStore {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(error = error as &dyn std::error::Error, "an authority that the system trusts cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        tracing::warn!(ignored, "the system trusts no authority: origins over TLS need their own");
    }
    roots
}

/// TLS with one origin.
#[derive(Debug)]
pub(crate) struct Tls {
    /// For connections that many requests may share.
    pub(crate) pooled: Arc<ClientConfig>,
    /// For connections that become something else, which only HTTP/1.1 can.
    pub(crate) http1: Arc<ClientConfig>,
    /// Whom the certificate is to name.
    pub(crate) name: ServerName<'static>,
}

impl Tls {
    pub(crate) fn new(url: &OriginUrl, host: &HostField, tls: &TlsSettings, system: &Arc<RootCertStore>) -> Result<Self, SettingsError> {
        let roots = if tls.authorities.is_empty() { Arc::clone(system) } else { Arc::new(own(tls)?) };
        let offered = if tls.http2 { vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()] } else { vec![ALPN_HTTP1.to_vec()] };
        Ok(Self {
            pooled: Arc::new(config(&roots, offered)?),
            http1: Arc::new(config(&roots, vec![ALPN_HTTP1.to_vec()])?),
            name: name(url, host)?,
        })
    }
}

fn own(tls: &TlsSettings) -> Result<RootCertStore, SettingsError> {
    let mut roots = RootCertStore::empty();
    for authority in &tls.authorities {
        roots.add(authority.clone()).map_err(|_| SettingsError::Authority)?;
    }
    Ok(roots)
}

fn config(roots: &Arc<RootCertStore>, offered: Vec<Vec<u8>>) -> Result<ClientConfig, SettingsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| SettingsError::Tls)?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = offered;
    Ok(config)
}

fn name(url: &OriginUrl, host: &HostField) -> Result<ServerName<'static>, SettingsError> {
    let text = match (host, url.host()) {
        (HostField::Fixed(fixed), _) => fixed.name(),
        (_, OriginHost::Name(name)) => name,
        (_, OriginHost::Address(address)) => return Ok(ServerName::IpAddress((*address).into())),
    };
    ServerName::try_from(text.to_owned()).map_err(|_| SettingsError::Name)
}
