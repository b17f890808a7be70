//! Reading certificates: who a node's certificate says it is, and what an authority's certificate vouches for.
//!
//! Reading is not checking. Signatures, chains and dates are checked by webpki in [`crate::trust`]; what is read here is
//! worth something only after that.

use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::cluster_id::ClusterId;
use crate::error::{IdentityError, VerifyError};
use crate::name::{self, NodeName};

/// Who the other side of a connection is, by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Its cluster; the TLS handshake has checked that it is ours.
    pub cluster_id: ClusterId,
    /// Its node id. Ask the replicated state whether that node is still a member.
    pub node_id: u64,
    /// Start of validity, seconds since 1970.
    pub not_before: u64,
    /// End of validity, seconds since 1970. A connection may outlive it: close such connections at this time.
    pub not_after: u64,
    /// The certificate's serial number, drawn at random.
    pub serial: u128,
    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it.
    pub fingerprint: [u8; 32],
}

impl PeerIdentity {
    /// Cluster and node together.
    #[must_use]
    pub fn name(&self) -> NodeName {
        NodeName { cluster_id: self.cluster_id, node_id: self.node_id }
    }
}

/// Reads who a peer is from the certificates of a finished handshake (its own first; empty when it showed none).
///
/// Only for certificates that [`crate::server_config`] or [`crate::client_config`] let through: the chain is not checked
/// again.
///
/// # Errors
/// [`VerifyError::NoCertificate`] for a peer without one (it may only join), otherwise what the certificate lacks.
pub fn peer_identity(certs: &[CertificateDer<'_>]) -> Result<PeerIdentity, VerifyError> {
    let der = certs.first().ok_or(VerifyError::NoCertificate)?;
    let cert = parse(der).ok_or(VerifyError::Unreadable)?;
    let uri = our_uri(&cert).ok_or(VerifyError::Nameless)?;
    let name = NodeName::from_uri(uri).ok_or(VerifyError::Nameless)?;
    let (not_before, not_after) = validity(&cert).ok_or(VerifyError::Unreadable)?;
    Ok(PeerIdentity {
        cluster_id: name.cluster_id,
        node_id: name.node_id,
        not_before,
        not_after,
        serial: serial(&cert).ok_or(VerifyError::Unreadable)?,
        fingerprint: fingerprint(der),
    })
}

/// What an authority's certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorityFacts {
    pub(crate) cluster_id: ClusterId,
    pub(crate) not_after: u64,
    pub(crate) public_key: Vec<u8>,
}

/// Reads the certificate of a cluster's authority.
pub(crate) fn read_authority(der: &CertificateDer<'_>) -> Result<AuthorityFacts, IdentityError> {
    let facts = || {
        let cert = parse(der)?;
        let (_, not_after) = validity(&cert)?;
        let facts = AuthorityFacts {
            cluster_id: name::authority_from_uri(our_uri(&cert)?)?,
            not_after,
            public_key: cert.public_key().subject_public_key.data.to_vec(),
        };
        cert.is_ca().then_some(facts)
    };
    facts().ok_or(IdentityError::NotAnAuthority)
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, cert) = x509_parser::parse_x509_certificate(der).ok()?;
    rest.is_empty().then_some(cert)
}

/// The one `ncore://` name of a certificate; `None` when there is none, or two.
fn our_uri<'a>(cert: &'a X509Certificate<'_>) -> Option<&'a str> {
    let names = cert.subject_alternative_name().ok()??;
    let mut ours = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) if name::is_ours(uri) => Some(*uri),
        _ => None,
    });
    let only = ours.next()?;
    ours.next().is_none().then_some(only)
}

fn validity(cert: &X509Certificate<'_>) -> Option<(u64, u64)> {
    let validity = cert.validity();
    let not_before = u64::try_from(validity.not_before.timestamp()).ok()?;
    let not_after = u64::try_from(validity.not_after.timestamp()).ok()?;
    Some((not_before, not_after))
}

fn serial(cert: &X509Certificate<'_>) -> Option<u128> {
    let bytes = cert.serial.to_bytes_be();
    let mut padded = [0; 16];
    let start = padded.len().checked_sub(bytes.len())?;
    padded[start..].copy_from_slice(&bytes);
    Some(u128::from_be_bytes(padded))
}

fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    bytes
}
