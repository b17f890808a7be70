//! Administrators: who manages clients over the API.
//!
//! An operator makes them at a node. The token of one is a secret and no JWT: it is looked up in the state at each use, so that one who
//! goes is gone at once.

use std::sync::Arc;

use ncore_freshness::FencePolicy;
use ncore_model::{AddAdministrator, Administrator, AdministratorId, Command, Outcome, Query, Revision};
use secrecy::{ExposeSecret, SecretString};

use super::{gate::Gate, secret};
use crate::{
    acknowledge::{AckLevel, Acknowledged},
    clock::Clock,
    cluster::Cluster,
    error::{AdministratorError, ChangeError},
};

/// What the token of an administrator begins with.
const PREFIX: &str = "nca_";

/// The administrators of the cluster.
pub struct Administrators {
    cluster: Cluster,
    gate: Gate,
    clock: Arc<dyn Clock>,
}

impl Administrators {
    pub(crate) fn new(cluster: Cluster, gate: Gate, clock: Arc<dyn Clock>) -> Self {
        Self { cluster, gate, clock }
    }

    /// Adds one and makes its token, which is good for so many milliseconds, or for ever. Needs schema level 6.
    ///
    /// # Errors
    /// [`AdministratorError`].
    pub async fn add(&self, name: String, lifetime_ms: Option<u64>) -> Result<(AdministratorId, SecretString), AdministratorError> {
        let token = secret::generate(PREFIX).map_err(|_| AdministratorError::Entropy)?;
        let command = Command::AddAdministrator(AddAdministrator { name, token_hash: secret::digest(token.expose_secret()), lifetime_ms });
        let committed = self.cluster.change(command, None).await.map_err(AdministratorError::Change)?;
        match committed.outcome {
            Outcome::AdministratorAdded(id) => Ok((id, token)),
            _ => Err(AdministratorError::Change(ChangeError::Unexpected)),
        }
    }

    /// Every administrator.
    ///
    /// # Errors
    /// [`AdministratorError::State`].
    pub async fn list(&self) -> Result<Vec<Administrator>, AdministratorError> {
        Ok(self.cluster.read(|view| view.administrators()).await.map_err(AdministratorError::State)?.value)
    }

    /// Ends one.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::AdministratorUnknown`](ncore_model::Rejection::AdministratorUnknown) if there is none.
    pub async fn remove(&self, administrator: AdministratorId, level: AckLevel) -> Result<(Revision, Acknowledged), ChangeError> {
        let revision = self.cluster.change(Command::RemoveAdministrator { administrator }, None).await?.revision;
        Ok((revision, self.cluster.acknowledge(revision, level, FencePolicy::Refuse).await))
    }

    /// Whether a token looks like one of an administrator.
    #[must_use]
    pub fn is_token(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// [`AdministratorError`].
    pub async fn verify(&self, token: &str) -> Result<Administrator, AdministratorError> {
        self.verify_hash(secret::digest(token)).await
    }

    /// Whose token has this hash.
    ///
    /// # Errors
    /// [`AdministratorError`].
    pub(super) async fn verify_hash(&self, hash: [u8; 32]) -> Result<Administrator, AdministratorError> {
        self.gate.pass().await.map_err(AdministratorError::Fenced)?;
        let known = self.cluster.read(move |view| view.administrator_by_token(&hash)).await.map_err(AdministratorError::State)?.value;
        let now_ms = self.clock.now_ms();
        known.filter(|known| known.expires_at_ms.is_none_or(|end| now_ms < end)).ok_or(AdministratorError::Refused)
    }
}
