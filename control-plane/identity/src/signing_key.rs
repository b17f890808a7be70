//! A P-256 private key that signs certificates, requests and handshakes.
//!
//! The key lives inside the crypto library, which wipes it when it is freed. The PKCS#8 form exists only for as long as
//! it takes to write it to disk or to hand it to rustls, in a buffer that is wiped as well. (rcgen's own key pair keeps
//! its PKCS#8 bytes in plain memory, hence this type.)

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::entropy::EntropyError;

/// A P-256 key pair.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
}

impl SigningKey {
    pub(crate) fn generate() -> Result<Self, EntropyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| EntropyError)?;
        Ok(Self { pair })
    }

    /// Reads a PKCS#8 document. `None` when it is not a P-256 key, or its two halves do not belong together.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).ok()?;
        Some(Self { pair })
    }

    /// The key in the clear; the buffer is wiped on drop.
    pub(crate) fn to_pkcs8(&self) -> Result<Document, EntropyError> {
        self.pair.to_pkcs8v1().map_err(|_| EntropyError)
    }

    /// The public point, uncompressed, as a certificate carries it.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The same key as rustls wants it.
    pub(crate) fn for_tls(&self) -> Result<Arc<dyn rustls::sign::SigningKey>, rustls::Error> {
        let document = self.to_pkcs8().map_err(|_| rustls::Error::FailedToGetRandomBytes)?;
        any_ecdsa_type(&PrivatePkcs8KeyDer::from(document.as_ref()).into())
    }
}

impl rcgen::PublicKeyData for SigningKey {
    fn der_bytes(&self) -> &[u8] {
        self.public_key()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| rcgen::Error::RingUnspecified)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}
