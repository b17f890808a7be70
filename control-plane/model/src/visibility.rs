//! Who may read an asset at its address.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the paths begin with that are restricted whatever else is said of them.
pub const RESTRICTED_PREFIX: &str = "restricted/";

/// Who may read an asset at its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Whoever shows a token of the owner, or an address that the owner has signed.
    Restricted,
}

impl Visibility {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Restricted => "restricted",
        }
    }

    /// Whether every asset at this path is restricted.
    #[must_use]
    pub fn is_fixed_at(path: &str) -> bool {
        path.starts_with(RESTRICTED_PREFIX)
    }
}

impl FromStr for Visibility {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Public, Self::Restricted].into_iter().find(|visibility| visibility.as_str() == text).ok_or(())
    }
}
