//! Who makes a request, and what it may do.

use ncore_model::{ClientId, Scope};

use crate::error::Denied;

/// A client that has shown a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The client.
    pub client: ClientId,
    /// What the token is good for.
    pub scopes: Vec<Scope>,
    /// Whether the client is under review and may only read.
    pub under_review: bool,
    /// The id of the token (`jti`).
    pub token_id: String,
}

impl Principal {
    /// Whether it may do what needs `scope`.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn require(&self, scope: Scope) -> Result<(), Denied> {
        if !self.scopes.contains(&scope) {
            return Err(Denied::Scope(scope));
        }
        let writes = match scope {
            Scope::AssetsWrite | Scope::CachePurge | Scope::ZonesWrite => true,
            Scope::AssetsRead | Scope::MetricsRead | Scope::ZonesRead => false,
        };
        if writes && self.under_review {
            return Err(Denied::UnderReview);
        }
        Ok(())
    }
}
