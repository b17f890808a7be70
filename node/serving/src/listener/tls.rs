//! The certificate that the data plane shows, and its replacement while connections are accepted.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::ProducesTickets,
};

/// A TLS configuration that can be swapped. Connections that are open keep the one with which they began.
///
/// Session tickets are sealed with keys that outlive a swap, so a renewed certificate does not cost every client that
/// comes back a full handshake. There is no client authentication here that a resumed session could get around.
pub struct TlsIdentity {
    current: ArcSwap<ServerConfig>,
    tickets: Arc<dyn ProducesTickets>,
}

/// The certificate cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    #[error("the certificate and its key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The source of session tickets could not be set up.
    #[error("session tickets cannot be set up")]
    Tickets(#[source] rustls::Error),
}

impl TlsIdentity {
    /// Shows `chain`, leaf first, and proves it with `key`.
    ///
    /// # Errors
    /// [`TlsError`] if the two cannot be used.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let tickets = aws_lc_rs::Ticketer::new().map_err(TlsError::Tickets)?;
        let config = configure(chain, key, &tickets)?;
        Ok(Self { current: ArcSwap::new(config), tickets })
    }

    /// Shows another certificate from now on.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be used; then the one before stays.
    pub fn replace(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<(), TlsError> {
        self.current.store(configure(chain, key, &self.tickets)?);
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

fn configure(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Certificate)?;
    config.ticketer = Arc::clone(tickets);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name of HTTP/2 in the handshake.
pub(super) const ALPN_H2: &[u8] = b"h2";
