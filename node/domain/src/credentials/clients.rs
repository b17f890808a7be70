//! The clients of the cluster: the tenants.

use ncore_freshness::FencePolicy;
use ncore_model::{
    Account, AddClient, Client, ClientId, ClientStatus, Command, Idempotency, IpRange, Outcome, Plan, Query, RegisterClient, Revision,
    RotateSecret, Scope, SetClientStatus, Stored, TableError, UpdateClient,
};
use secrecy::SecretString;

use super::{
    called_from::CalledFrom,
    gate::Gate,
    guesses::Guesses,
    refresh,
    secret::{self, HashError, SecretHasher},
};
use crate::{
    acknowledge::{AckLevel, Acknowledged},
    cluster::{Cluster, Seen},
    error::{AddClientError, AuthenticateError, ChangeError, StateError},
    once::{OnceKey, Payload},
};

/// The clients, as the operator manages them and as they prove who they are.
pub struct Clients {
    pub(super) cluster: Cluster,
    gate: Gate,
    hasher: SecretHasher,
    guesses: Guesses,
}

/// A client that was just added.
#[derive(Debug)]
pub struct NewClient {
    /// Its id.
    pub id: ClientId,
    /// Its secret. This is the only time that it can be seen.
    pub secret: SecretString,
    /// Its first refresh token, which cannot be seen again either; `None` below schema level 6.
    pub refresh_token: Option<SecretString>,
    /// From which revision on it can get tokens.
    pub revision: Revision,
}

/// What a new client is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What the operator calls it.
    pub name: String,
    /// What its tokens may be allowed at most.
    pub scopes: Vec<Scope>,
    /// Its own domains.
    pub domains: Vec<String>,
    /// Whether it may do anything.
    pub status: ClientStatus,
    /// What it pays for.
    pub plan: Plan,
    /// From where its credentials may be used; from anywhere, if there is none.
    pub ip_ranges: Vec<IpRange>,
    /// Since when it is a client, in Unix milliseconds; from now on, if `None`.
    pub since_ms: Option<u64>,
}

impl Registration {
    /// A client with every scope, no limits, and nothing else said of it.
    #[must_use]
    pub fn named(name: String) -> Self {
        let (domains, ip_ranges) = (Vec::new(), Vec::new());
        Self { name, scopes: Scope::ALL.to_vec(), domains, status: ClientStatus::Active, plan: Plan::default(), ip_ranges, since_ms: None }
    }

    /// Who is given every scope is given those that the cluster has by now.
    fn within(mut self, schema_level: u32) -> Self {
        if self.scopes == Scope::ALL {
            self.scopes.retain(|scope| scope.schema_level() <= schema_level);
        }
        self
    }

    /// Whether a cluster that has no accounts yet can keep it.
    fn needs_account(&self) -> bool {
        self.status != ClientStatus::Active || self.plan != Plan::default() || !self.ip_ranges.is_empty() || self.since_ms.is_some()
    }

    fn payload(&self) -> Payload {
        let mut payload = Payload::new();
        // What is compared is what was asked for, and `Debug` of it has all of that.
        payload.add(format!("{self:?}").as_bytes());
        payload
    }
}

/// A client, with its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDetails {
    /// The client.
    pub client: Client,
    /// Its account; `None` if it is older than accounts are, and was not changed since.
    pub account: Option<Account>,
    /// How much it has stored, if that is counted.
    pub stored: Option<Stored>,
}

/// What was made in place of a secret.
#[derive(Debug)]
pub struct NewSecret {
    /// The secret and the refresh token; `None` if they were made, and shown, before, for the same key.
    pub shown: Option<(SecretString, SecretString)>,
    /// From which revision on they are good.
    pub revision: Revision,
    /// What is known of the other nodes.
    pub acknowledged: Acknowledged,
}

impl Clients {
    pub(crate) fn new(cluster: Cluster, gate: Gate) -> Self {
        Self { cluster, gate, hasher: SecretHasher::new(), guesses: Guesses::default() }
    }

    /// Adds a client with every limit left out, as a cluster of any schema level can.
    ///
    /// # Errors
    /// [`AddClientError`].
    pub async fn add(&self, name: String, scopes: Vec<Scope>, domains: Vec<String>) -> Result<NewClient, AddClientError> {
        let added = self.register(Registration { scopes, domains, ..Registration::named(name) }, None).await?;
        added.1.ok_or(AddClientError::Change(ChangeError::Unexpected))
    }

    /// Registers a client and makes its secret and its refresh token. If that was done before, for the same key of the same caller,
    /// there is only the client's id. Needs schema level 6, unless it has neither plan nor limits.
    ///
    /// # Errors
    /// [`AddClientError`].
    pub async fn register(
        &self,
        wanted: Registration,
        once: Option<(&str, &OnceKey)>,
    ) -> Result<(ClientId, Option<NewClient>), AddClientError> {
        let once = once.map(|(who, key)| key.within(&ClientId::from_text(who), "register", &wanted.payload()));
        let cluster =
            self.cluster.read(|view| view.cluster()).await.map_err(|error| AddClientError::Change(ChangeError::Unreadable(error)))?;
        let schema_level = cluster.value.map_or(0, |cluster| cluster.schema_level);
        let has_accounts = schema_level >= ACCOUNTS_LEVEL;
        let wanted = wanted.within(schema_level);
        let (secret, secret_hash) = self.new_secret().await?;
        let (command, refresh_token) = if has_accounts || wanted.needs_account() {
            let first = refresh::fresh(&wanted.scopes).map_err(|_| AddClientError::Entropy)?;
            let Registration { name, scopes, domains, status, plan, ip_ranges, since_ms } = wanted;
            let refresh = Some(first.command);
            let secret_hash = secret_hash.clone();
            let register = RegisterClient { name, secret_hash, scopes, domains, status, plan, ip_ranges, since_ms, refresh };
            (Command::RegisterClient(register), Some(first.token))
        } else {
            let Registration { name, scopes, domains, .. } = wanted;
            (Command::AddClient(AddClient { name, secret_hash: secret_hash.clone(), scopes, domains }), None)
        };
        let committed = self.cluster.change(command, once).await.map_err(AddClientError::Change)?;
        let Outcome::ClientAdded(id) = committed.outcome else { return Err(AddClientError::Change(ChangeError::Unexpected)) };
        let is_ours = self.has_hash(&id, secret_hash).await.map_err(AddClientError::Change)?;
        let new = NewClient { id: id.clone(), secret, refresh_token, revision: committed.revision };
        Ok((id, is_ours.then_some(new)))
    }

    /// Another secret, and another refresh token in place of all that there are. Tokens that were got with the ones before are good for
    /// nothing any more. Needs schema level 6.
    ///
    /// # Errors
    /// [`AddClientError`].
    pub async fn rotate_secret(
        &self,
        client: &Client,
        once: Option<(&str, &OnceKey)>,
        level: AckLevel,
    ) -> Result<NewSecret, AddClientError> {
        let once = once.map(|(who, key)| key.within(&ClientId::from_text(who), &format!("rotate {}", client.id), &Payload::new()));
        let (secret, secret_hash) = self.new_secret().await?;
        let first = refresh::fresh(&client.scopes).map_err(|_| AddClientError::Entropy)?;
        let rotate = RotateSecret { client: client.id.clone(), secret_hash: secret_hash.clone(), refresh: Some(first.command) };
        let committed = self.cluster.change(Command::RotateSecret(rotate), once).await.map_err(AddClientError::Change)?;
        let is_ours = self.has_hash(&client.id, secret_hash).await.map_err(AddClientError::Change)?;
        let acknowledged = self.cluster.acknowledge(committed.revision, level, FencePolicy::Refuse).await;
        Ok(NewSecret { shown: is_ours.then_some((secret, first.token)), revision: committed.revision, acknowledged })
    }

    /// Changes a client, and its tokens with it. Needs schema level 6.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::ClientUnknown`](ncore_model::Rejection::ClientUnknown) if there is no such client.
    pub async fn update(
        &self,
        update: UpdateClient,
        once: Option<(&str, &OnceKey)>,
        level: AckLevel,
    ) -> Result<(Revision, Acknowledged), ChangeError> {
        let mut payload = Payload::new();
        payload.add(format!("{update:?}").as_bytes());
        let once = once.map(|(who, key)| key.within(&ClientId::from_text(who), "update client", &payload));
        self.ended(Command::UpdateClient(update), once, level).await
    }

    /// Removes a client that has no assets. Needs schema level 6.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::ClientHasAssets`](ncore_model::Rejection::ClientHasAssets) if it has some.
    pub async fn delete(
        &self,
        client: ClientId,
        once: Option<(&str, &OnceKey)>,
        level: AckLevel,
    ) -> Result<(Revision, Acknowledged), ChangeError> {
        let once = once.map(|(who, key)| key.within(&ClientId::from_text(who), &format!("delete {client}"), &Payload::new()));
        self.ended(Command::DeleteClient { client }, once, level).await
    }

    /// A client with its account.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn details(&self, id: ClientId) -> Result<Seen<Option<ClientDetails>>, StateError> {
        self.cluster.read(move |view| view.client(&id)?.map(|client| details(view, client)).transpose()).await
    }

    /// Up to `limit` clients with their accounts, in the order of their ids, after one of them.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn list_details(&self, after: Option<ClientId>, limit: usize) -> Result<Seen<Vec<ClientDetails>>, StateError> {
        let page = self
            .cluster
            .read(move |view| view.clients_after(after.as_ref(), limit)?.into_iter().map(|client| details(view, client)).collect());
        page.await
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
        self.ended(Command::SetClientStatus(SetClientStatus { client, status }), None, level).await
    }

    /// A change that ends something.
    async fn ended(&self, command: Command, once: Option<Idempotency>, level: AckLevel) -> Result<(Revision, Acknowledged), ChangeError> {
        let revision = self.cluster.change(command, once).await?.revision;
        Ok((revision, self.cluster.acknowledge(revision, level, FencePolicy::Refuse).await))
    }

    /// A secret, and what is kept of it.
    async fn new_secret(&self) -> Result<(SecretString, String), AddClientError> {
        let secret = secret::generate("ncs_").map_err(|_| AddClientError::Entropy)?;
        let hash = self.hasher.hash(secret.clone()).await.map_err(|error| match error {
            HashError::Busy => AddClientError::Busy,
            HashError::Hash(error) => AddClientError::Hash(error),
        })?;
        Ok((secret, hash))
    }

    /// Whether a client has the secret that was just made, and not one that was made for the same key before.
    async fn has_hash(&self, id: &ClientId, hash: String) -> Result<bool, ChangeError> {
        let id = id.clone();
        let client = self.cluster.read(move |view| view.client(&id)).await.map_err(ChangeError::Unreadable)?.value;
        Ok(client.is_some_and(|client| client.secret_hash == hash))
    }

    /// The client that this secret belongs to, if it may be used from there. Whoever was wrong too often waits.
    ///
    /// # Errors
    /// [`AuthenticateError`]. Wrong, unknown and suspended look the same and take the same time.
    pub async fn authenticate_from(&self, id: &str, secret: SecretString, from: &CalledFrom) -> Result<Client, AuthenticateError> {
        if let Some(wait) = self.guesses.wait(from.address, id) {
            return Err(AuthenticateError::Slowed { wait });
        }
        let client = self.authenticate(id, secret).await.inspect_err(|error| {
            if matches!(error, AuthenticateError::Refused) {
                self.guesses.wrong(from.address, id);
            }
        })?;
        self.guesses.right(from.address, id);
        let id = client.id.clone();
        let account = self.cluster.read(move |view| view.account(&id)).await.map_err(AuthenticateError::State)?.value;
        if from.may_use(account.as_ref()) { Ok(client) } else { Err(AuthenticateError::Address) }
    }

    /// The client that this secret belongs to, wherever it is used.
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

pub(super) fn details(view: &impl Query, client: Client) -> Result<ClientDetails, TableError> {
    Ok(ClientDetails { account: view.account(&client.id)?, stored: view.stored(&client.id)?, client })
}

/// The schema level from which on clients have accounts.
pub(super) const ACCOUNTS_LEVEL: u32 = 6;
