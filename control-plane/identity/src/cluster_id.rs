//! The identity of a cluster: 128 random bits, drawn once by `ncore init`, written as 32 hexadecimal digits.
//!
//! It is not secret. It is in every certificate, so that a node never talks to a node of another cluster by accident.

use std::fmt;
use std::str::FromStr;

use crate::entropy::{self, EntropyError};

/// Which cluster. Shown and read as 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

impl ClusterId {
    /// A new id for a new cluster.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn random() -> Result<Self, EntropyError> {
        entropy::random().map(Self)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

impl FromStr for ClusterId {
    type Err = ClusterIdError;

    fn from_str(text: &str) -> Result<Self, ClusterIdError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ClusterIdError)?;
        Ok(Self(bytes))
    }
}

/// The text is not a cluster id. The fault of whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cluster id is 32 hexadecimal digits")]
pub struct ClusterIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let id = ClusterId([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "ab", &"g0".repeat(16), &"ab".repeat(17), &"é".repeat(16)] {
            assert_eq!(text.parse::<ClusterId>(), Err(ClusterIdError), "{text:?}");
        }
    }
}
