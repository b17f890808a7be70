//! The cluster's certificate authority: a P-256 key and a self-signed certificate, made once by `ncore init`, that give
//! every node its certificate.
//!
//! Whoever has the key can make itself any node, so only voters hold it, and it leaves memory only sealed under the
//! cluster key: into `authority.key`, and to a new voter.
//!
//! # What a node's certificate says
//!
//! The name is written by the authority from the node id that the cluster allocated. Of the request only the public key is
//! taken, once the request's signature proved possession of it. The certificate names `node-<id>.ncore.internal` and
//! `ncore://<cluster>/node/<id>`, may act as server and as client, may sign nothing, and has 128 random bits as its serial
//! number. It starts a few minutes early for machines whose clocks run late.

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

use crate::certificate::read_authority;
use crate::cluster_id::ClusterId;
use crate::cluster_key::ClusterKey;
use crate::entropy;
use crate::error::{AuthorityError, IssueError, SealError};
use crate::name::{self, NodeName};
use crate::signing_key::SigningKey;

/// How long a node's certificate lasts: long enough to sit out a week of trouble, short enough that a lost key ages.
pub const NODE_VALIDITY: Duration = Duration::from_secs(7 * DAY);

/// How long an authority lasts: 10 years.
pub const AUTHORITY_VALIDITY: Duration = Duration::from_secs(3650 * DAY);

/// The authority of one cluster, able to sign.
pub struct ClusterAuthority {
    cluster_id: ClusterId,
    certificate: CertificateDer<'static>,
    not_after: u64,
    issuer: Issuer<'static, SigningKey>,
}

impl ClusterAuthority {
    /// Makes the authority of a new cluster, valid for [`AUTHORITY_VALIDITY`] from `now` (seconds since 1970).
    ///
    /// # Errors
    /// No randomness, or a clock beyond the year 9999.
    pub fn create(cluster_id: ClusterId, now: u64) -> Result<Self, IssueError> {
        let key = SigningKey::generate()?;
        let not_after = end_of(now, AUTHORITY_VALIDITY)?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, now, not_after);
        params.serial_number = Some(serial()?);
        params.distinguished_name = subject(format!("NCore cluster {cluster_id}"));
        params.subject_alt_names = vec![uri(&name::authority_uri(cluster_id))?];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(IssueError::Encode)?.into();
        Ok(Self { cluster_id, certificate, not_after, issuer: Issuer::new(params, key) })
    }

    /// Signs a certificate for the key in `csr` (PEM or DER), in the name of `name`, from `now` (seconds since 1970) for
    /// `validity`, but not beyond the authority's own end. Names and extensions that the request asks for are ignored.
    ///
    /// The caller has checked that the request may have this name: by a join proof, or because it came over a connection
    /// whose client certificate has that very name.
    ///
    /// # Errors
    /// [`IssueError`] says whether the request, the caller or this machine is at fault.
    pub fn sign_csr(&self, csr: &[u8], name: &NodeName, validity: Duration, now: u64) -> Result<CertificateDer<'static>, IssueError> {
        if name.cluster_id != self.cluster_id {
            return Err(IssueError::OtherCluster { ours: self.cluster_id, asked: name.cluster_id });
        }
        if now >= self.not_after {
            return Err(IssueError::AuthorityExpired { not_after: self.not_after });
        }
        let public_key = read_request(csr)?;
        let not_after = end_of(now, validity)?.min(self.not_after);
        let params = node_params(name, now, not_after)?;
        self.sign(&params, &public_key)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The authority's own certificate, what every member trusts and every join token carries.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The private key, sealed under the cluster's key: for the file, and for a new voter.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn seal(&self, cluster_key: &ClusterKey) -> Result<Vec<u8>, SealError> {
        let key = self.issuer.key().to_pkcs8()?;
        cluster_key.seal(SEAL_PURPOSE, key.as_ref())
    }

    /// Opens what [`ClusterAuthority::seal`] made. `trusted` are the authorities' certificates that this node trusts; the
    /// key must belong to one of them.
    ///
    /// # Errors
    /// [`AuthorityError`] says which step failed.
    pub fn open(sealed: &[u8], cluster_key: &ClusterKey, trusted: &[CertificateDer<'static>]) -> Result<Self, AuthorityError> {
        let pkcs8 = cluster_key.open(SEAL_PURPOSE, sealed).map_err(AuthorityError::Sealed)?;
        let key = SigningKey::from_pkcs8(&pkcs8).ok_or(AuthorityError::NotAKey)?;
        for certificate in trusted {
            let facts = read_authority(certificate).map_err(AuthorityError::Certificate)?;
            if facts.public_key == key.public_key() {
                return Ok(Self {
                    cluster_id: facts.cluster_id,
                    certificate: certificate.clone(),
                    not_after: facts.not_after,
                    issuer: Issuer::from_ca_cert_der(certificate, key).map_err(AuthorityError::Unusable)?,
                });
            }
        }
        Err(AuthorityError::OtherAuthority)
    }

    fn sign(&self, params: &CertificateParams, public_key: &impl PublicKeyData) -> Result<CertificateDer<'static>, IssueError> {
        let certificate = params.signed_by(public_key, &self.issuer).map_err(IssueError::Encode)?;
        Ok(certificate.into())
    }
}

impl fmt::Debug for ClusterAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterAuthority").field("cluster_id", &self.cluster_id).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// The public key of a request that is signed by that key, if it is of the one kind that gets certificates.
fn read_request(csr: &[u8]) -> Result<impl PublicKeyData + use<>, IssueError> {
    if csr.len() > MAX_CSR_BYTES {
        return Err(IssueError::RequestTooLong { bytes: csr.len(), most: MAX_CSR_BYTES });
    }
    let request = match str::from_utf8(csr) {
        Ok(text) if text.trim_start().starts_with("-----BEGIN") => CertificateSigningRequestParams::from_pem(text),
        _ => CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr)),
    };
    let key = request.map_err(IssueError::RequestMalformed)?.public_key;
    // The parser names the kind of key by the request's signature, which is ECDSA with SHA-256 for other curves as well;
    // the length of the point tells P-256 from them.
    let p256 = *key.algorithm() == rcgen::PKCS_ECDSA_P256_SHA256 && key.der_bytes().len() == P256_POINT_BYTES;
    if p256 { Ok(key) } else { Err(IssueError::RequestKey) }
}

fn node_params(name: &NodeName, now: u64, not_after: u64) -> Result<CertificateParams, IssueError> {
    let dns = name.dns();
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, not_after);
    params.serial_number = Some(serial()?);
    params.subject_alt_names = vec![SanType::DnsName(dns.clone().try_into().map_err(IssueError::Encode)?), uri(&name.uri())?];
    params.distinguished_name = subject(dns);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// When something ends that starts now; refuses what a certificate cannot carry.
fn end_of(now: u64, validity: Duration) -> Result<u64, IssueError> {
    if validity.as_secs() == 0 {
        return Err(IssueError::NoValidity);
    }
    now.checked_add(validity.as_secs()).filter(|end| *end <= END_OF_9999).ok_or(IssueError::Clock { now })
}

fn set_validity(params: &mut CertificateParams, now: u64, not_after: u64) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(BACKDATE_S));
    params.not_after = epoch + Duration::from_secs(not_after);
}

fn serial() -> Result<SerialNumber, IssueError> {
    Ok(SerialNumber::from_slice(&entropy::random::<16>()?))
}

fn subject(common_name: String) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    subject
}

fn uri(text: &str) -> Result<SanType, IssueError> {
    Ok(SanType::URI(text.try_into().map_err(IssueError::Encode)?))
}

const DAY: u64 = 24 * 60 * 60;
/// Certificates start this much early, in seconds, because clocks differ.
const BACKDATE_S: u64 = 5 * 60;
/// The last second that X.509 can express.
const END_OF_9999: u64 = 253_402_300_799;
/// Our own requests have about 200 bytes, with PEM about 300.
const MAX_CSR_BYTES: usize = 8 * 1024;
/// An uncompressed point: a tag byte and two coordinates of 32 bytes.
const P256_POINT_BYTES: usize = 65;
const SEAL_PURPOSE: &str = "ncore cluster authority key";

#[cfg(test)]
mod tests;
