//! The keys that access tokens are signed with.
//!
//! They are part of the replicated state, the private half sealed under the cluster key. So any node issues tokens and any
//! node checks them without asking another. Nothing is cached: the row of a key is a lookup in memory beside which the
//! hashing of a secret, or the check of a signature, is long; and what is not cached is never out of date.
//!
//! ```text
//!   next ──(published for an hour)──► signing ──(another takes over)──► checking ──(every token of it has ended)──► removed
//! ```
//!
//! What a key does follows from the times at which the keys were made, and from nothing else.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ncore_freshness::FencePolicy;
use ncore_identity::{ClusterKey, Zeroizing};
use ncore_model::{AddSigningKey, Command, Query, Revision, SigningKey};

use crate::{
    acknowledge::{AckLevel, Acknowledged},
    clock::Clock,
    cluster::{Cluster, Seen},
    credentials::tokens::TOKEN_LIFETIME_S,
    error::{ChangeError, SigningKeyError, StateError},
};

/// What the private half is sealed for.
const PURPOSE: &str = "access token signing key";
/// How long a key is published before it signs, so that whoever keeps the public keys has it by then, in milliseconds.
const PUBLISHED_BEFORE_MS: u64 = 60 * 60 * 1_000;
/// How long a key signs, in milliseconds.
const SIGNS_FOR_MS: u64 = 90 * 24 * 60 * 60 * 1_000;
/// How long a key is kept after it has signed its last token, in milliseconds: longer than that token lives.
const CHECKS_FOR_MS: u64 = TOKEN_LIFETIME_S * 1_000 + PUBLISHED_BEFORE_MS;
/// How often [`SigningKeys::tend`] is to be called.
pub const SIGNING_KEYS_TENDED_EVERY: Duration = Duration::from_secs(10 * 60);

/// The keys of the cluster.
#[derive(Clone)]
pub struct SigningKeys {
    cluster: Cluster,
    cluster_key: ClusterKey,
    clock: Arc<dyn Clock>,
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// It is published, and will sign.
    Next,
    /// It signs.
    Signing,
    /// It signs no more, and what it signed is good.
    Checking,
}

impl KeyUse {
    /// Its name for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Signing => "signing",
            Self::Checking => "checking",
        }
    }
}

impl SigningKeys {
    pub(crate) fn new(cluster: Cluster, cluster_key: ClusterKey, clock: Arc<dyn Clock>) -> Self {
        Self { cluster, cluster_key, clock }
    }

    /// Every key and what it does, the newest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn list(&self) -> Result<Seen<Vec<(SigningKey, KeyUse)>>, StateError> {
        let seen = self.cluster.read(|view| view.signing_keys()).await?;
        Ok(Seen { revision: seen.revision, value: uses(seen.value, self.clock.now_ms()) })
    }

    /// As [`list`](Self::list), for those who keep what they are told: that there are none is said of a state with everything that was
    /// acknowledged before. A node that follows a moment later than a token is issued elsewhere would have its key unknown to them for long.
    /// Without a leader it is said, once the request's deadline is over, of what this node has.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn published(&self) -> Result<Seen<Vec<(SigningKey, KeyUse)>>, StateError> {
        let seen = self.list().await?;
        if !seen.value.is_empty() || self.cluster.catch_up().await.is_err() {
            return Ok(seen);
        }
        self.list().await
    }

    /// Adds a key: at once if there is none, and otherwise for an hour from now on.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub async fn rotate(&self) -> Result<String, SigningKeyError> {
        let key = generate(&self.cluster_key)?;
        let id = key.id.clone();
        tracing::info!(key = id, "adding a key to sign access tokens with");
        self.cluster.change(Command::AddSigningKey(key), None).await.map_err(SigningKeyError::Change)?;
        Ok(id)
    }

    /// Removes a key, and with it every token that it signed. Needs schema level 6.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::SigningKeyUnknown`](ncore_model::Rejection::SigningKeyUnknown) if there is no such key.
    pub async fn remove(&self, id: &str, level: AckLevel) -> Result<(Revision, Acknowledged), ChangeError> {
        let revision = self.cluster.change(Command::RemoveSigningKey { id: id.to_owned() }, None).await?.revision;
        Ok((revision, self.cluster.acknowledge(revision, level, FencePolicy::Refuse).await))
    }

    /// Does what is due: another key for one that has signed long enough, and the end of one whose tokens have ended. To be called
    /// now and then by one node; two that do it at once make a key too many, and nothing worse.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub async fn tend(&self) -> Result<(), SigningKeyError> {
        let now_ms = self.clock.now_ms();
        let keys = self.list().await.map_err(SigningKeyError::State)?.value;
        let has_next = keys.iter().any(|(_, does)| *does == KeyUse::Next);
        let signing = keys.iter().find(|(_, does)| *does == KeyUse::Signing).map(|(key, _)| key);
        if !has_next && signing.is_some_and(|key| key.created_at_ms.saturating_add(SIGNS_FOR_MS) <= now_ms) {
            self.rotate().await?;
        }
        // Each key stopped signing when the one made after it began to.
        for pair in keys.windows(2) {
            let [(successor, _), (key, KeyUse::Checking)] = pair else { continue };
            if successor.created_at_ms.saturating_add(PUBLISHED_BEFORE_MS + CHECKS_FOR_MS) <= now_ms {
                tracing::info!(key = key.id, "removing a key whose tokens have ended");
                self.remove(&key.id, AckLevel::Committed).await.map_err(SigningKeyError::Change)?;
            }
        }
        Ok(())
    }

    /// Makes a key if the cluster has none. Two nodes that do so at the same time make two, and both are good.
    pub(super) async fn ensure(&self) -> Result<(), SigningKeyError> {
        if self.signing().await?.is_none() {
            self.rotate().await?;
        }
        Ok(())
    }

    /// The key to sign with.
    pub(super) async fn signing(&self) -> Result<Option<SigningKey>, SigningKeyError> {
        let keys = self.list().await.map_err(SigningKeyError::State)?.value;
        Ok(keys.into_iter().find(|(_, does)| *does == KeyUse::Signing).map(|(key, _)| key))
    }

    /// The private half of a key, as PKCS #8.
    pub(super) fn open(&self, key: &SigningKey) -> Result<Zeroizing<Vec<u8>>, ncore_identity::SealError> {
        self.cluster_key.open(PURPOSE, &key.sealed_private)
    }
}

/// What each key does, the newest first. The newest that has been published for long enough signs; if none has, the oldest.
fn uses(mut keys: Vec<SigningKey>, now_ms: u64) -> Vec<(SigningKey, KeyUse)> {
    keys.sort_by(|a, b| (b.created_at_ms, &b.id).cmp(&(a.created_at_ms, &a.id)));
    let is_known = |key: &SigningKey| key.created_at_ms.saturating_add(PUBLISHED_BEFORE_MS) <= now_ms;
    let signing = keys.iter().position(is_known).unwrap_or(keys.len().saturating_sub(1));
    let does = |at: usize| match at.cmp(&signing) {
        std::cmp::Ordering::Less => KeyUse::Next,
        std::cmp::Ordering::Equal => KeyUse::Signing,
        std::cmp::Ordering::Greater => KeyUse::Checking,
    };
    keys.into_iter().enumerate().map(|(at, key)| (key, does(at))).collect()
}

fn generate(cluster_key: &ClusterKey) -> Result<AddSigningKey, SigningKeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| SigningKeyError::Entropy)?;
    let private = pair.to_pkcs8v1().map_err(|_| SigningKeyError::Entropy)?;
    let sealed_private = cluster_key.seal(PURPOSE, private.as_ref()).map_err(SigningKeyError::Seal)?;
    let public = pair.public_key().as_ref().to_vec();
    let id = hex::encode(&blake3::hash(&public).as_bytes()[..8]);
    Ok(AddSigningKey { id, public, sealed_private })
}

#[cfg(test)]
mod tests {
    use ncore_model::SigningKey;

    use super::{KeyUse, PUBLISHED_BEFORE_MS, uses};

    #[test]
    fn a_key_is_published_before_it_signs() {
        let key = |id: &str, created_at_ms| SigningKey { id: id.to_owned(), public: vec![], sealed_private: vec![], created_at_ms };
        let at = |now_ms, keys: &[SigningKey]| {
            uses(keys.to_vec(), now_ms).into_iter().map(|(key, does)| (key.id, does.as_str())).collect::<Vec<_>>()
        };
        let (a, b) = (key("a", 1_000), key("b", 2_000_000));
        assert_eq!(at(0, &[]), []);
        assert_eq!(at(1_000, std::slice::from_ref(&a)), [("a".to_owned(), KeyUse::Signing.as_str())]);
        let both = [a, b];
        let due = 2_000_000 + PUBLISHED_BEFORE_MS;
        assert_eq!(at(due - 1, &both), [("b".to_owned(), "next"), ("a".to_owned(), "signing")]);
        assert_eq!(at(due, &both), [("b".to_owned(), "signing"), ("a".to_owned(), "checking")]);
    }
}
