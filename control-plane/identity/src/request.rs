//! A request for a certificate: a fresh private key that has not left this machine, and the CSR that goes out for it.
//!
//! The CSR carries no name. The authority writes the name, so a request cannot ask for another node's.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName};
use rustls_pki_types::CertificateSigningRequestDer;

use crate::error::IssueError;
use crate::signing_key::SigningKey;

/// A key waiting for its certificate.
///
/// A retry of a join or renewal whose answer was lost sends the same request again, so that the other side can
/// recognise it.
pub struct CertificateRequest {
    key: SigningKey,
    csr: CertificateSigningRequestDer<'static>,
}

impl CertificateRequest {
    /// Draws a new key and signs a request with it.
    ///
    /// # Errors
    /// [`IssueError::Entropy`] when the machine has no randomness, [`IssueError::Encode`] if the request could not be
    /// written; neither is worth a retry.
    pub fn generate() -> Result<Self, IssueError> {
        let key = SigningKey::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).map_err(IssueError::Encode)?;
        Ok(Self { key, csr: csr.into() })
    }

    /// The request as it goes over the wire, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.csr
    }

    pub(crate) fn into_key(self) -> SigningKey {
        self.key
    }
}

impl fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateRequest").field("csr_bytes", &self.csr.len()).finish_non_exhaustive()
    }
}
