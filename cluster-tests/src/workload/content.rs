//! Bytes without a pattern, from a seed: they need not be kept to be compared with.

use crate::client::sha256;
use crate::seed::Seed;
use bytes::Bytes;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::ops::RangeInclusive;

/// The content of an asset, as a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    seed: Seed,
    size: usize,
}

impl Content {
    /// `size` bytes that follow from `seed`.
    #[must_use]
    pub const fn new(seed: Seed, size: usize) -> Self {
        Self { seed, size }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let mut bytes = vec![0; self.size];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.value().to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes.into()
    }

    /// How many bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// SHA-256 in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256(&self.bytes())
    }
}

/// A size of which each order of magnitude is as likely as the other.
pub fn log_uniform(rng: &mut StdRng, range: &RangeInclusive<usize>) -> usize {
    let (low, high) = ((*range.start() as f64).ln(), (*range.end() as f64).ln());
    let size = (low + rng.random::<f64>() * (high - low)).exp().round();
    // Within the range by construction, which is of usize.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two values of usize")]
    let size = size as usize;
    size.clamp(*range.start(), *range.end())
}

#[cfg(test)]
mod tests {
    use super::{Content, Seed, log_uniform};

    #[test]
    fn content_can_be_made_again() {
        let content = Content::new(Seed::new(5), 100_000);
        assert_eq!(content.bytes().len(), content.size());
        assert_eq!(content.bytes(), content.bytes());
        assert_ne!(content.sha256(), Content::new(Seed::new(6), 100_000).sha256());
    }

    #[test]
    fn sizes_spread_over_the_magnitudes() {
        let mut rng = Seed::new(1).rng("sizes");
        let sizes: Vec<usize> = (0..1000).map(|_| log_uniform(&mut rng, &(1_000..=1_000_000))).collect();
        assert!(sizes.iter().all(|size| (1_000..=1_000_000).contains(size)));
        for decade in [1_000..10_000_usize, 10_000..100_000, 100_000..1_000_001] {
            let share = sizes.iter().filter(|size| decade.contains(*size)).count();
            assert!((250..420).contains(&share), "{share} in {decade:?}");
        }
    }
}
