//! The keys that sign access tokens, so that any node can check a token that another one issued; and the tokens that are good no more.

use serde::{Deserialize, Serialize};

use crate::{codec::Record, id::ClientId};

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

/// An access token that was revoked before its time. The key is its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedToken {
    /// Whose it was.
    pub client: ClientId,
    /// When it was revoked, in Unix milliseconds of log time.
    pub revoked_at_ms: u64,
}

impl Record for RevokedToken {
    const KIND: u16 = 0x1A;
    const VERSION: u16 = 1;
}
