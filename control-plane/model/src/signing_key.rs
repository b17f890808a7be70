//! The keys that sign access tokens, so that any node can check a token that another one issued.

use serde::{Deserialize, Serialize};

use crate::codec::Record;

/// An Ed25519 key pair. The private half is sealed under the cluster key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its name in the header of a token.
    pub id: String,
    /// The public half, 32 bytes.
    pub public: Vec<u8>,
    /// The private half (PKCS #8), sealed.
    pub sealed_private: Vec<u8>,
    /// When it was made, in Unix milliseconds of log time.
    pub created_at_ms: u64,
}

impl Record for SigningKey {
    const KIND: u16 = 0x16;
    const VERSION: u16 = 1;
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}
