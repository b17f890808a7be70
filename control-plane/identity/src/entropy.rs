//! Random bytes for ids, keys, serial numbers and nonces, all from the one generator of the crypto library.
//!
//! Nothing in here is meant for apply: what is random is drawn before a command is proposed and travels in it.

use aws_lc_rs::rand;

/// The operating system gave no random bytes. This machine's fault, rare, and not worth a retry before it is looked at:
/// without randomness nothing that this crate makes would be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes; check that getrandom(2) works on this machine")]
pub struct EntropyError;

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| EntropyError)?;
    Ok(bytes)
}
