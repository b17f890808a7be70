//! The cluster key: 32 secret bytes that every member has, under which secrets are sealed that the replicated state must
//! carry but must not show (the key of the authority, secrets of signature schemes).
//!
//! # What it protects, and what not
//!
//! It keeps secrets out of snapshots, backups and logs of the replicated state. It does not protect against a member:
//! every member has the key, in the clear in its `identity/` directory.
//!
//! # Format 1
//!
//! ```text
//!   [1] [key id: 4] [nonce: 12] [AES-256-GCM ciphertext] [tag: 16]
//! ```
//!
//! Each purpose has its own AES key: BLAKE3 in key derivation mode makes a root from the cluster key, and a keyed BLAKE3
//! of the purpose makes the subkey. The purpose and the header are authenticated along with the text, so something
//! sealed for one purpose does not open for another. Nonces are random, which is sound for 2^32 messages a purpose;
//! a cluster seals thousands. The key id is a hash, there only to tell "another key" from "damaged".
//!
//! Sealing is randomised: seal before a command is proposed, never in apply.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretBox};

use crate::entropy::{self, EntropyError};
use crate::error::SealError;

/// The secret that all members of a cluster share. Clones share one copy in memory, which is wiped with the last.
#[derive(Clone)]
pub struct ClusterKey(Arc<SecretBox<[u8; KEY_LEN]>>);

impl ClusterKey {
    /// A new key for a new cluster.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn generate() -> Result<Self, EntropyError> {
        let bytes = Zeroizing::new(entropy::random::<KEY_LEN>()?);
        Ok(Self::copy_of(&bytes))
    }

    /// The key as it came over an authenticated connection: 32 bytes. The caller wipes its own copy.
    ///
    /// # Errors
    /// [`SealError::KeyLength`] for any other length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SealError> {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| SealError::KeyLength)?;
        Ok(Self::copy_of(bytes))
    }

    /// The key in the clear, for the answer to a joiner and for the file. For nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose_secret()
    }

    /// Seals `plaintext` for `purpose` (a fixed text of the caller, such as `"client secret"`; it is not secret).
    /// The result is 33 bytes longer.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let header = self.header();
        let nonce: [u8; NONCE_LEN] = entropy::random()?;
        let mut sealed = Vec::with_capacity(OVERHEAD + plaintext.len());
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let tag = self
            .subkey(purpose)
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated(header, purpose)),
                &mut sealed[HEADER_LEN + NONCE_LEN..],
            )
            .map_err(|_| EntropyError)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`ClusterKey::seal`] made for the same purpose. The plaintext is wiped when it is dropped.
    ///
    /// # Errors
    /// Another format, another key, or anything changed: the purpose, the header or the text.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match sealed.first() {
            Some(&VERSION) => {}
            Some(&version) => return Err(SealError::Version { version }),
            None => return Err(SealError::Damaged),
        }
        let (header, rest) = sealed.split_first_chunk::<HEADER_LEN>().ok_or(SealError::Damaged)?;
        if *header != self.header() {
            return Err(SealError::OtherKey);
        }
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .subkey(purpose)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(associated(*header, purpose)), &mut text)
            .map_err(|_| SealError::Damaged)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    /// A key that follows from this one for `purpose` (as in [`ClusterKey::seal`]) and `context`: the same at every member, and
    /// telling nothing of this key or of those for other contexts.
    #[must_use]
    pub fn derive(&self, purpose: &str, context: &[u8]) -> Zeroizing<[u8; KEY_LEN]> {
        let root = Zeroizing::new(blake3::derive_key(DERIVED_CONTEXT, self.expose()));
        let of_purpose = Zeroizing::new(*blake3::keyed_hash(&root, purpose.as_bytes()).as_bytes());
        Zeroizing::new(*blake3::keyed_hash(&of_purpose, context).as_bytes())
    }

    fn copy_of(bytes: &[u8; KEY_LEN]) -> Self {
        Self(Arc::new(SecretBox::init_with_mut(|secret: &mut [u8; KEY_LEN]| {
            secret.copy_from_slice(bytes);
        })))
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        let id = blake3::derive_key(ID_CONTEXT, self.expose());
        [VERSION, id[0], id[1], id[2], id[3]]
    }

    fn subkey(&self, purpose: &str) -> LessSafeKey {
        let root = Zeroizing::new(blake3::derive_key(ROOT_CONTEXT, self.expose()));
        let subkey = Zeroizing::new(*blake3::keyed_hash(&root, purpose.as_bytes()).as_bytes());
        let unbound = UnboundKey::new(&AES_256_GCM, &*subkey).expect("AES-256-GCM takes a key of 32 bytes");
        LessSafeKey::new(unbound)
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

/// What is authenticated along with the text: the header, then the purpose.
fn associated(header: [u8; HEADER_LEN], purpose: &str) -> Vec<u8> {
    [header.as_slice(), purpose.as_bytes()].concat()
}

const KEY_LEN: usize = 32;
const VERSION: u8 = 1;
const HEADER_LEN: usize = 5;
const TAG_LEN: usize = 16;
const OVERHEAD: usize = HEADER_LEN + NONCE_LEN + TAG_LEN;
const ROOT_CONTEXT: &str = "ncore-identity 2026 cluster key, root of the sealing keys, format 1";
const DERIVED_CONTEXT: &str = "ncore-identity 2026 cluster key, root of derived keys, format 1";
const ID_CONTEXT: &str = "ncore-identity 2026 cluster key, id in the header, format 1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> ClusterKey {
        ClusterKey::from_slice(&[9; 32]).unwrap()
    }

    #[test]
    fn opens_only_under_the_same_key_and_purpose() {
        let sealed = key().seal("purpose a", b"secret").unwrap();
        assert_eq!(sealed.len(), b"secret".len() + OVERHEAD);
        assert_eq!(key().open("purpose a", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(key().open("purpose b", &sealed), Err(SealError::Damaged));
        let other = ClusterKey::generate().unwrap();
        assert_eq!(other.open("purpose a", &sealed), Err(SealError::OtherKey));
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        assert_ne!(key().seal("p", b"x").unwrap(), key().seal("p", b"x").unwrap());
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let sealed = key().seal("p", b"secret").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key().open("p", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(key().open("p", &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn derived_keys_are_apart() {
        let derived = key().derive("purpose a", b"one");
        assert_eq!(derived, key().derive("purpose a", b"one"));
        assert_ne!(derived, key().derive("purpose a", b"two"));
        assert_ne!(derived, key().derive("purpose b", b"one"));
        assert_ne!(derived, ClusterKey::generate().unwrap().derive("purpose a", b"one"));
    }

    #[test]
    fn a_later_format_is_named() {
        let mut sealed = key().seal("p", b"secret").unwrap();
        sealed[0] = 2;
        assert_eq!(key().open("p", &sealed), Err(SealError::Version { version: 2 }));
    }

    /// Sealed by format 1 once and for all: what is in the state of old clusters must open for ever.
    #[test]
    fn a_golden_secret_still_opens() {
        let sealed = hex::decode(GOLDEN).unwrap();
        assert_eq!(key().open("golden", &sealed).unwrap().as_slice(), b"opens for ever");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(purpose: String, text: Vec<u8>) {
            let sealed = key().seal(&purpose, &text).unwrap();
            prop_assert_eq!(&*key().open(&purpose, &sealed).unwrap(), &text);
        }

        #[test]
        fn opening_anything_never_panics(purpose: String, mut bytes: Vec<u8>, header: bool) {
            if header {
                bytes.splice(..0, key().header());
            }
            prop_assert!(key().open(&purpose, &bytes).is_err());
        }
    }

    const GOLDEN: &str = "018b68d3557ef8b1600a1cdfe6d4ea92f0f56fc19bd19dd2fd1e52f2dfbacd07c22baf47e36d110a673c285ab2ca0e";
}
