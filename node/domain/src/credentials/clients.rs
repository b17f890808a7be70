//! The clients of the cluster: the tenants.

use ncore_freshness::FencePolicy;
use ncore_model::{AddClient, Client, ClientId, ClientStatus, Command, Outcome, Query, Revision, Scope, SetClientStatus};
use secrecy::SecretString;

use super::{
    gate::Gate,
    secret::{self, HashError, SecretHasher},
};
use crate::{
    acknowledge::{AckLevel, Acknowledged},
    cluster::{Cluster, Seen},
    error::{AddClientError, AuthenticateError, ChangeError, StateError},
};

/// The clients, as the operator manages them and as they prove who they are.
pub struct Clients {
    cluster: Cluster,
    gate: Gate,
    hasher: SecretHasher,
}

/// A client that was just added.
#[derive(Debug)]
pub struct NewClient {
    /// Its id.
    pub id: ClientId,
    /// Its secret. This is the only time that it can be seen.
    pub secret: SecretString,
    /// From which revision on it can get tokens.
    pub revision: Revision,
}

impl Clients {
    pub(crate) fn new(cluster: Cluster, gate: Gate) -> Self {
        Self { cluster, gate, hasher: SecretHasher::new() }
    }

    /// Adds a client and makes its secret.
    ///
    /// # Errors
    /// [`AddClientError`].
    pub async fn add(&self, name: String, scopes: Vec<Scope>, domains: Vec<String>) -> Result<NewClient, AddClientError> {
        let secret = secret::generate().map_err(|_| AddClientError::Entropy)?;
        let secret_hash = self.hasher.hash(secret.clone()).await.map_err(|error| match error {
            HashError::Busy => AddClientError::Busy,
            HashError::Hash(error) => AddClientError::Hash(error),
        })?;
        let command = Command::AddClient(AddClient { name, secret_hash, scopes, domains });
        let committed = self.cluster.change(command, None).await.map_err(AddClientError::Change)?;
        match committed.outcome {
            Outcome::ClientAdded(id) => Ok(NewClient { id, secret, revision: committed.revision }),
            _ => Err(AddClientError::Change(ChangeError::Unexpected)),
        }
    }

    /// Every client.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn list(&self) -> Result<Seen<Vec<Client>>, StateError> {
        self.cluster.read(|view| view.clients()).await
    }

    /// Lets a client act, read only, or do nothing. Tokens that it has follow at once, on each node that has the revision; at
    /// [`AckLevel::All`] that is each node that lets anybody in.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::ClientUnknown`](ncore_model::Rejection::ClientUnknown) if there is no such client.
    pub async fn set_status(
        &self,
        client: ClientId,
        status: ClientStatus,
        level: AckLevel,
    ) -> Result<(Revision, Acknowledged), ChangeError> {
        let command = Command::SetClientStatus(SetClientStatus { client, status });
        let revision = self.cluster.change(command, None).await?.revision;
        Ok((revision, self.cluster.acknowledge(revision, level, FencePolicy::Refuse).await))
    }

    /// The client that this secret belongs to.
    ///
    /// # Errors
    /// [`AuthenticateError`]. Wrong, unknown and suspended look the same and take the same time.
    pub async fn authenticate(&self, id: &str, secret: SecretString) -> Result<Client, AuthenticateError> {
        self.gate.pass().await.map_err(AuthenticateError::Fenced)?;
        let id = ClientId::from_text(id);
        let client = self.cluster.read(move |view| view.client(&id)).await.map_err(AuthenticateError::State)?.value;
        let kept = client.as_ref().map(|client| client.secret_hash.clone());
        let fits = self.hasher.fits(secret, kept).await.map_err(|error| match error {
            HashError::Busy => AuthenticateError::Busy,
            HashError::Hash(error) => AuthenticateError::Hash(error),
        })?;
        client.filter(|client| fits && client.status != ClientStatus::Suspended).ok_or(AuthenticateError::Refused)
    }
}
