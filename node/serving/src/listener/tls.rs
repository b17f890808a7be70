//! TLS as the data plane speaks it: which certificates it shows, and how sessions are taken up again.

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem},
    server::ProducesTickets,
};

use super::{
    certificates::{Certificate, CertificateSet, Shown},
    tickets::{SharedTickets, TicketKeys},
};

/// The certificates that are shown, which can be swapped. Connections that are open keep the one with which they began.
///
/// Session tickets are sealed with keys that outlive a swap, so a renewed certificate does not cost every client that
/// comes back a full handshake. There is no client authentication here that a resumed session could get around.
pub struct TlsIdentity {
    shown: Arc<Shown>,
    tcp: Arc<ServerConfig>,
    #[cfg(feature = "http3")]
    quic: Arc<ServerConfig>,
}

/// What becomes of sessions that a viewer wants to take up again.
pub enum Resumption {
    /// Tickets that every node opens which has the same keys.
    Shared(Arc<dyn TicketKeys>),
    /// Tickets of this node, until it stops.
    Own,
    /// Each handshake is a full one.
    Off,
}

/// The certificate cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain is not PEM.
    #[error("the certificate is not PEM")]
    ChainPem(#[source] pem::Error),
    /// The key is not PEM. What is wrong in it is not said.
    #[error("the key is not PEM")]
    KeyPem(#[source] pem::Error),
    /// There is no certificate.
    #[error("there is no certificate")]
    Empty,
    /// The certificate is not one of X.509.
    #[error("the certificate cannot be read")]
    Malformed,
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    #[error("the certificate and its key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The source of session tickets could not be set up.
    #[error("session tickets cannot be set up")]
    Tickets(#[source] rustls::Error),
}

impl TlsIdentity {
    /// Shows `chain`, leaf first, to everybody, and proves it with `key`.
    ///
    /// # Errors
    /// [`TlsError`] if the two cannot be used.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate::new(chain, key)?);
        Self::showing(CertificateSet::new(certificate, []), Resumption::Own)
    }

    /// Shows the certificates of `set`.
    ///
    /// # Errors
    /// [`TlsError`] if TLS cannot be set up.
    pub fn showing(set: CertificateSet, resumption: Resumption) -> Result<Self, TlsError> {
        let shown = Arc::new(Shown::new(set));
        let tickets: Option<Arc<dyn ProducesTickets>> = match resumption {
            Resumption::Shared(keys) => Some(Arc::new(SharedTickets::new(keys))),
            Resumption::Own => Some(aws_lc_rs::Ticketer::new().map_err(TlsError::Tickets)?),
            Resumption::Off => None,
        };
        let versions = rustls::DEFAULT_VERSIONS;
        let tcp = configure(&shown, tickets.as_ref(), versions, &[ALPN_H2, ALPN_HTTP1])?;
        #[cfg(feature = "http3")]
        let quic = configure(&shown, tickets.as_ref(), &[&rustls::version::TLS13], &[ALPN_H3])?;
        Ok(Self {
            shown,
            tcp,
            #[cfg(feature = "http3")]
            quic,
        })
    }

    /// Shows one other certificate, to everybody, from now on.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be used; then what was shown before stays.
    pub fn replace(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), TlsError> {
        self.show(CertificateSet::new(Arc::new(Certificate::new(chain, key)?), []));
        Ok(())
    }

    /// Shows the certificates of `set` from now on.
    pub fn show(&self, set: CertificateSet) {
        self.shown.show(set);
    }

    /// For HTTP/1.1 and HTTP/2.
    pub(super) fn tcp(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tcp)
    }

    /// For HTTP/3. Without 0-RTT: what it carries could be sent again by anybody who saw it.
    #[cfg(feature = "http3")]
    pub(super) fn quic(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.quic)
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

fn configure(
    shown: &Arc<Shown>,
    tickets: Option<&Arc<dyn ProducesTickets>>,
    versions: &[&'static rustls::SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(TlsError::Certificate)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(shown) as _);
    match tickets {
        Some(tickets) => config.ticketer = Arc::clone(tickets),
        None => config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {}),
    }
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The name of HTTP/2 in the handshake.
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";
#[cfg(feature = "http3")]
const ALPN_H3: &[u8] = b"h3";
