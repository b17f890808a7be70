//! One number from which all random choices of a run are derived.
//!
//! A test takes the seed of its [`Run`](crate::run::Run) and asks it for one generator per purpose
//! (`seed.rng("kills")`), so that adding a choice in one place does not change those made elsewhere. Real
//! processes are scheduled by the kernel, so a seed reproduces the choices (who is killed, which node is asked,
//! which byte is flipped) and not their exact interleaving.

use rand::SeedableRng;
use rand::rngs::StdRng;
use std::fmt;
use std::str::FromStr;

/// The root of all randomness of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl Seed {
    /// A seed with a known value.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// A seed nobody chose.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The number, as `NCORE_SEED` takes it.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The generator for one purpose. The same seed and purpose always give the same sequence.
    #[must_use]
    pub fn rng(self, purpose: &str) -> StdRng {
        StdRng::from_seed(self.digest(purpose))
    }

    /// Another seed that follows from this one, for example for the `n`-th client.
    #[must_use]
    pub fn derive(self, purpose: &str) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&self.digest(purpose)[..8]);
        Self(u64::from_le_bytes(first))
    }

    fn digest(self, purpose: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(purpose.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16)?,
            None => text.parse()?,
        };
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;
    use rand::Rng as _;

    #[test]
    fn a_purpose_has_its_own_sequence() {
        let seed = Seed::new(7);
        assert_eq!(seed.rng("kills").next_u64(), seed.rng("kills").next_u64());
        assert_ne!(seed.rng("kills").next_u64(), seed.rng("sizes").next_u64());
        assert_ne!(seed.rng("kills").next_u64(), Seed::new(8).rng("kills").next_u64());
        assert_ne!(seed.derive("a"), seed.derive("b"));
    }

    #[test]
    fn reads_decimal_and_hexadecimal() {
        assert_eq!("0xff".parse(), Ok(Seed::new(255)));
        assert_eq!("255".parse(), Ok(Seed::new(255)));
        assert!("many".parse::<Seed>().is_err());
    }
}
