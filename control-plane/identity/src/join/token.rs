//! The join token: everything a new machine needs to find a cluster, to recognise it, and to be let in.
//!
//! # Text, version 1
//!
//! `ncj1.` and the base64url (no padding) of, numbers big-endian:
//!
//! ```text
//!   cluster id 16 | token id 16 | secret 32 | flags 1 (bit 0: voter) | expires at 8 (seconds since 1970)
//!   | region: length 1, text (empty: any) | authority: length 2, DER | endpoints: count 1, each length 1, text
//!   | checksum 4 (BLAKE3 of all before)
//! ```
//!
//! The checksum is for people, who cut tokens off when they copy them; it protects against nothing else.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::certificate::read_authority;
use crate::cluster_id::ClusterId;
use crate::entropy;
use crate::error::{ProofError, TokenError};
use crate::join::fields::Fields;
use crate::join::proof::{self, JoinProof};

/// A join token. Whoever has it can make its machine a node, as long as the token has uses left. `Debug` leaves the
/// secret out; the secret is wiped with the last clone.
#[derive(Clone)]
pub struct JoinToken {
    id: TokenId,
    terms: JoinTerms,
    secret: Arc<SecretBox<[u8; SECRET_LEN]>>,
}

/// What a token says besides its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTerms {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The certificate of its authority; at most 4096 bytes.
    pub ca_cert: CertificateDer<'static>,
    /// Whether the machine is to become a voter.
    pub voter: bool,
    /// The region it must be in, if one; 1 to 64 bytes.
    pub region: Option<String>,
    /// When the token ends, seconds since 1970 by the cluster's log time.
    pub expires_at: u64,
    /// `host:port` of the cluster port of 1 to 16 nodes to ask; each at most 255 bytes.
    pub endpoints: Vec<String>,
}

/// Which token: not secret, the key under which the replicated state keeps it. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 16]);

impl JoinToken {
    /// Makes a new token with a random id and secret.
    ///
    /// # Errors
    /// Terms outside their limits, or no randomness.
    pub fn issue(terms: JoinTerms) -> Result<Self, TokenError> {
        terms.check()?;
        let secret = Zeroizing::new(entropy::random::<SECRET_LEN>()?);
        Ok(Self { id: TokenId(entropy::random()?), terms, secret: keep(&secret) })
    }

    /// The token as text, for the person who starts the new machine.
    #[must_use]
    pub fn encode(&self) -> SecretString {
        // Reserved whole, so that no half of the secret stays behind where a buffer was before it grew.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_TEXT));
        bytes.extend_from_slice(&self.terms.cluster_id.0);
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(self.secret.expose_secret());
        bytes.push(u8::from(self.terms.voter));
        bytes.extend_from_slice(&self.terms.expires_at.to_be_bytes());
        put_text(&mut bytes, self.terms.region.as_deref().unwrap_or_default());
        let ca_length = u16::try_from(self.terms.ca_cert.len()).expect("terms are within their limits");
        bytes.extend_from_slice(&ca_length.to_be_bytes());
        bytes.extend_from_slice(&self.terms.ca_cert);
        bytes.push(u8::try_from(self.terms.endpoints.len()).expect("terms are within their limits"));
        for endpoint in &self.terms.endpoints {
            put_text(&mut bytes, endpoint);
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);

        let length = base64::encoded_len(bytes.len(), false).expect("a token is short");
        let mut text = String::with_capacity(PREFIX.len() + length);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        SecretString::from(text)
    }

    /// Reads a token. White space around it is ignored. Whether it has expired is the cluster's to say.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with the text and what to do.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(TokenError::TooLong { most: MAX_TEXT });
        }
        let body = match text.strip_prefix(PREFIX) {
            Some(body) => body,
            None => return Err(foreign(text)),
        };
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Damaged)?;
        let bytes = Zeroizing::new(bytes);
        let (contents, sum) = bytes.split_last_chunk().ok_or(TokenError::Damaged)?;
        if *sum != checksum(contents) {
            return Err(TokenError::Damaged);
        }
        let token = Self::read(&mut Fields(contents)).ok_or(TokenError::Invalid { field: "length", why: "does not fit its contents" })?;
        token.terms.check()?;
        Ok(token)
    }

    /// Which token this is.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// What it says.
    #[must_use]
    pub fn terms(&self) -> &JoinTerms {
        &self.terms
    }

    /// Whether it has expired by the clock of this machine at `now` (seconds since 1970). Good for a warning; the cluster
    /// decides.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        now >= self.terms.expires_at
    }

    /// What the replicated state keeps in place of the secret: enough to check a proof, not to make one.
    #[must_use]
    pub fn verifier(&self) -> [u8; 32] {
        proof::verifier(self.secret.expose_secret())
    }

    /// Proves to the cluster, over a certificate request (the DER as it is sent), that this machine has the token.
    ///
    /// # Errors
    /// When the machine has no randomness for the nonce.
    pub fn prove(&self, csr_der: &[u8]) -> Result<JoinProof, entropy::EntropyError> {
        JoinProof::make(self.secret.expose_secret(), self.terms.cluster_id, self.id, csr_der)
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let cluster_id = ClusterId(*fields.array()?);
        let id = TokenId(*fields.array()?);
        let secret = keep(fields.array()?);
        // Later versions of the text may give the other bits a meaning; then the prefix changes.
        let voter = match fields.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let expires_at = fields.u64()?;
        let region = match fields.text()? {
            "" => None,
            region => Some(region.to_owned()),
        };
        let ca_length = usize::from(fields.u16()?);
        let ca_cert = CertificateDer::from(fields.take(ca_length)?.to_vec());
        let count = fields.u8()?;
        let endpoints = (0..count).map(|_| fields.text().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        let terms = JoinTerms { cluster_id, ca_cert, voter, region, expires_at, endpoints };
        fields.0.is_empty().then_some(Self { id, terms, secret })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl JoinTerms {
    /// Checks every limit, and that the authority is of this cluster.
    fn check(&self) -> Result<(), TokenError> {
        let invalid = |field, why| Err(TokenError::Invalid { field, why });
        if let Some(region) = &self.region
            && !(1..=MAX_REGION).contains(&region.len())
        {
            return invalid("region", "is not 1 to 64 bytes long");
        }
        if self.ca_cert.len() > MAX_CA {
            return invalid("authority", "is longer than 4096 bytes");
        }
        match read_authority(&self.ca_cert) {
            Ok(facts) if facts.cluster_id == self.cluster_id => {}
            Ok(_) => return invalid("authority", "is of another cluster than the token"),
            Err(_) => return invalid("authority", "is not the certificate of a cluster authority"),
        }
        if !(1..=MAX_ENDPOINTS).contains(&self.endpoints.len()) {
            return invalid("list of endpoints", "does not have 1 to 16 entries");
        }
        if !self.endpoints.iter().all(|endpoint| is_host_and_port(endpoint)) {
            return invalid("list of endpoints", "has an entry that is not host:port");
        }
        Ok(())
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl TryFrom<&[u8]> for TokenId {
    type Error = ProofError;

    /// A token id as it came over the wire: 16 bytes, anything else is [`ProofError::Malformed`].
    fn try_from(bytes: &[u8]) -> Result<Self, ProofError> {
        bytes.try_into().map(Self).map_err(|_| ProofError::Malformed)
    }
}

/// What a text is that does not begin like a token of this version.
fn foreign(text: &str) -> TokenError {
    let version = text.strip_prefix("ncj").and_then(|rest| rest.split_once('.')).and_then(|(version, _)| version.parse().ok());
    match version {
        Some(version) => TokenError::Version { version },
        None => TokenError::NotAToken,
    }
}

fn is_host_and_port(endpoint: &str) -> bool {
    let shape = endpoint.len() <= MAX_ENDPOINT && endpoint.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = endpoint.rsplit_once(':');
    shape && parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0))
}

fn keep(secret: &[u8; SECRET_LEN]) -> Arc<SecretBox<[u8; SECRET_LEN]>> {
    Arc::new(SecretBox::init_with_mut(|kept: &mut [u8; SECRET_LEN]| {
        kept.copy_from_slice(secret);
    }))
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("terms are within their limits"));
    bytes.extend_from_slice(text.as_bytes());
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(bytes);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

const PREFIX: &str = "ncj1.";
const SECRET_LEN: usize = 32;
/// A token has about 700 characters; the limits of its parts add up to 11 000.
const MAX_TEXT: usize = 16 * 1024;
const MAX_REGION: usize = 64;
const MAX_CA: usize = 4096;
const MAX_ENDPOINTS: usize = 16;
const MAX_ENDPOINT: usize = 255;

#[cfg(test)]
mod tests;
