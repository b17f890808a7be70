//! Making and checking the proof that a joiner has a token; the scheme and its reasons are told in [`crate::join`].

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use secrecy::zeroize::Zeroizing;

use crate::cluster_id::ClusterId;
use crate::entropy::{self, EntropyError};
use crate::error::ProofError;
use crate::join::token::TokenId;

/// A joiner's proof for one certificate request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinProof {
    nonce: [u8; NONCE_LEN],
    signature: [u8; SIGNATURE_LEN],
}

impl JoinProof {
    pub(crate) fn make(secret: &[u8; 32], cluster_id: ClusterId, token_id: TokenId, csr_der: &[u8]) -> Result<Self, EntropyError> {
        let nonce = entropy::random()?;
        let message = message(cluster_id, token_id, &nonce, csr_der);
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(key_pair(secret).sign(&message).as_ref());
        Ok(Self { nonce, signature })
    }

    /// A proof as it came over the wire.
    ///
    /// # Errors
    /// [`ProofError::Malformed`] when the lengths are not those of a nonce (16 bytes) and a proof (64 bytes).
    pub fn from_parts(nonce: &[u8], signature: &[u8]) -> Result<Self, ProofError> {
        Ok(Self {
            nonce: nonce.try_into().map_err(|_| ProofError::Malformed)?,
            signature: signature.try_into().map_err(|_| ProofError::Malformed)?,
        })
    }

    /// The nonce, 16 bytes, for the wire.
    #[must_use]
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The proof itself, 64 bytes, for the wire.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Checks, against the verifier that the replicated state keeps for `token_id`, that the sender of this request has
    /// the token. Whether the token still may be used is checked by the caller, in the state.
    ///
    /// # Errors
    /// [`ProofError::Refused`]; asking again with the same proof changes nothing.
    pub fn verify(&self, verifier: &[u8; 32], cluster_id: ClusterId, token_id: TokenId, csr_der: &[u8]) -> Result<(), ProofError> {
        let message = message(cluster_id, token_id, &self.nonce, csr_der);
        UnparsedPublicKey::new(&ED25519, verifier).verify(&message, &self.signature).map_err(|_| ProofError::Refused)
    }
}

/// The public half of a token's key.
pub(crate) fn verifier(secret: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    public.copy_from_slice(key_pair(secret).public_key().as_ref());
    public
}

fn key_pair(secret: &[u8; 32]) -> Ed25519KeyPair {
    let seed = Zeroizing::new(blake3::derive_key(SEED_CONTEXT, secret));
    Ed25519KeyPair::from_seed_unchecked(&*seed).expect("any 32 bytes are an Ed25519 seed")
}

/// What is signed. All parts but the last have a fixed length, so no two inputs give the same bytes.
fn message(cluster_id: ClusterId, token_id: TokenId, nonce: &[u8; NONCE_LEN], csr_der: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(MESSAGE_CONTEXT);
    hasher.update(&cluster_id.0);
    hasher.update(&token_id.0);
    hasher.update(nonce);
    hasher.update(csr_der);
    *hasher.finalize().as_bytes()
}

const NONCE_LEN: usize = 16;
const SIGNATURE_LEN: usize = 64;
const SEED_CONTEXT: &str = "ncore-identity 2026 join token, seed of the proof key, version 1";
const MESSAGE_CONTEXT: &str = "ncore-identity 2026 join token, message of the proof, version 1";
