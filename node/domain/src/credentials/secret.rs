//! The secrets of clients: made here, and kept as argon2id hashes.
//!
//! Hashing takes 19 MiB and some 20 ms by design, so it runs on the blocking pool, a few at a time, and whoever has waited too
//! long for a turn is told to come back. A client that does not exist costs the same as a wrong secret: the secret is checked
//! against a hash that nothing fits.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use argon2::{
    Argon2, PasswordHasher, PasswordVerifier,
    password_hash::{self, phc::PasswordHash},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ncore_identity::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// A new secret of 256 random bits, after a prefix that says what it is for.
pub(super) fn generate(prefix: &str) -> Result<SecretString, NoEntropy> {
    let bytes = Zeroizing::new(random::<32>()?);
    Ok(SecretString::from(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// The hash that is kept of a secret that has 256 random bits: nobody finds it by trying, so it need not be slow.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// The machine has no randomness.
#[derive(Debug)]
pub(super) struct NoEntropy;

/// Hashes and checks secrets, a few at a time.
#[derive(Clone)]
pub(super) struct SecretHasher {
    turns: Arc<Semaphore>,
}

/// Why a secret was not hashed.
#[derive(Debug)]
pub(super) enum HashError {
    /// No turn came up in time.
    Busy,
    /// The hash is not one, or cannot be made.
    Hash(password_hash::Error),
}

impl SecretHasher {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }

    /// The hash to keep of a secret: a PHC string.
    pub(super) async fn hash(&self, secret: SecretString) -> Result<String, HashError> {
        self.in_turn(move || {
            let hash: PasswordHash = Argon2::default().hash_password(secret.expose_secret().as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `secret` fits what is kept. With nothing kept the answer is no, at the same cost. The comparison takes the same
    /// time wherever the hashes differ.
    pub(super) async fn fits(&self, secret: SecretString, kept: Option<String>) -> Result<bool, HashError> {
        self.in_turn(move || {
            let hash = kept.as_deref().unwrap_or(FITS_NOTHING);
            match Argon2::default().verify_password(secret.expose_secret().as_bytes(), hash) {
                Ok(()) => Ok(kept.is_some()),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, password_hash::Error> + Send + 'static,
    ) -> Result<T, HashError> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(HashError::Busy) };
        let job = spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        match job.await {
            Ok(result) => result.map_err(HashError::Hash),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(HashError::Busy),
            },
        }
    }
}

/// Each takes a core and 19 MiB while it runs.
const HASHES_AT_ONCE: usize = 2;
/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// A hash of the default cost whose digest was not made from any secret.
const FITS_NOTHING: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm90aGluZyBmaXRzIHRoaXM$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordHasher, password_hash::phc::PasswordHash};
    use secrecy::{ExposeSecret, SecretString};

    use super::{FITS_NOTHING, SecretHasher, generate};

    #[tokio::test]
    async fn only_the_secret_fits() {
        let hasher = SecretHasher::new();
        let secret = generate("ncs_").expect("randomness");
        assert!(secret.expose_secret().starts_with("ncs_"));
        assert_eq!(secret.expose_secret().len(), 4 + 43);
        let kept = hasher.hash(secret.clone()).await.expect("hashed");
        assert!(kept.starts_with("$argon2id$v=19$"), "{kept}");
        assert!(hasher.fits(secret.clone(), Some(kept.clone())).await.expect("checked"));
        assert!(!hasher.fits(SecretString::from("ncs_another"), Some(kept)).await.expect("checked"));
        assert!(!hasher.fits(secret, None).await.expect("checked"));
        assert!(hasher.fits(SecretString::from("x"), Some("not a hash".to_owned())).await.is_err());
    }

    /// An unknown client must cost what a known one costs.
    #[test]
    fn the_hash_that_fits_nothing_costs_the_same() {
        let nothing = PasswordHash::new(FITS_NOTHING).expect("a PHC string");
        let real: PasswordHash = Argon2::default().hash_password(b"x").expect("hashed");
        assert_eq!(nothing.algorithm, real.algorithm);
        assert_eq!(nothing.version, real.version);
        assert_eq!(nothing.params.to_string(), real.params.to_string());
        assert_eq!(nothing.hash.map(|hash| hash.len()), real.hash.map(|hash| hash.len()));
    }
}
