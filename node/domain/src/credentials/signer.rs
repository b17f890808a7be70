//! Signing addresses for clients, and checking those that come in.
//!
//! The key of a client follows from the cluster key, its id and the hash of its secret: every node has it without asking, nothing is kept
//! for it, and a new secret ends every address that was signed before.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use ncore_identity::{ClusterKey, Zeroizing};
use ncore_model::{Client, ClientId, ClientStatus, Query};

use super::{
    gate::Gate,
    signed_url::{Grant, Key, Presented, Reach, SignedUrlError},
};
use crate::{
    asset::address,
    clock::Clock,
    cluster::{Cluster, Seen},
    error::{SignError, VisitError},
};

/// The longest that an address can be signed for here, in seconds.
pub const SIGNED_LIFETIME_MAX_S: u64 = 7 * 24 * 60 * 60;

/// What the key of a client is derived for.
const PURPOSE: &str = "signed addresses of a client";

/// Signs and checks addresses.
pub struct Signer {
    cluster: Cluster,
    gate: Gate,
    cluster_key: ClusterKey,
    clock: Arc<dyn Clock>,
    public_url: Arc<str>,
}

/// An address that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAddress {
    /// The address; that of the folder, for a prefix.
    pub url: String,
    /// What follows `?` in it, which fits every asset that the grant is about.
    pub query: String,
    /// The Unix second from which on it is good for nothing.
    pub expires_at_s: u64,
}

impl Signer {
    pub(crate) fn new(cluster: Cluster, gate: Gate, cluster_key: ClusterKey, clock: Arc<dyn Clock>, public_url: Arc<str>) -> Self {
        Self { cluster, gate, cluster_key, clock, public_url }
    }

    /// Signs an address for `client`, good for `lifetime_s` from now. Whether there is an asset does not matter.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign(
        &self,
        client: &ClientId,
        reach: Reach,
        lifetime_s: u64,
        network: Option<IpNet>,
    ) -> Result<Seen<SignedAddress>, SignError> {
        if lifetime_s == 0 || lifetime_s > SIGNED_LIFETIME_MAX_S {
            return Err(SignError::Lifetime);
        }
        let Seen { revision, value: key } = self.key(client).await?;
        let expires_at_s = self.clock.now_ms() / 1_000 + lifetime_s;
        let (Reach::Path(path) | Reach::Prefix(path)) = &reach;
        let address = address::of_asset(&self.public_url, path);
        let query = Grant { client: client.clone(), reach, expires_at_s, network }.query(&key);
        Ok(Seen { revision, value: SignedAddress { url: format!("{address}?{query}"), query, expires_at_s } })
    }

    /// The key with which `client` can sign for itself.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn key(&self, client: &ClientId) -> Result<Seen<Zeroizing<Key>>, SignError> {
        let client = client.clone();
        let Seen { revision, value } = self.cluster.read(move |view| view.client(&client)).await.map_err(SignError::State)?;
        let client = value.ok_or(SignError::ClientUnknown)?;
        Ok(Seen { revision, value: self.key_of(&client) })
    }

    /// Whether the signed address with this query lets its bearer at `remote` have the asset of `owner` at `path`; with no owner, what there
    /// would be at the path.
    ///
    /// # Errors
    /// [`VisitError`].
    pub async fn check(&self, query: &str, path: &str, owner: Option<&str>, remote: IpAddr) -> Result<(), VisitError> {
        let presented = Presented::parse(query).map_err(VisitError::Address)?;
        self.gate.pass().await.map_err(VisitError::Fenced)?;
        let id = presented.client();
        let client = self.cluster.read(move |view| view.client(&id)).await.map_err(VisitError::State)?.value;
        let client = client.filter(|client| client.status != ClientStatus::Suspended);
        let client = client.ok_or(VisitError::Address(SignedUrlError::Signature))?;
        let now_s = self.clock.now_ms() / 1_000;
        presented.check(&self.key_of(&client), path, remote, now_s).map_err(VisitError::Address)?;
        if owner.is_some_and(|owner| owner != client.id.as_str()) {
            return Err(VisitError::Address(SignedUrlError::OtherAsset));
        }
        Ok(())
    }

    fn key_of(&self, client: &Client) -> Zeroizing<Key> {
        let context = [client.id.as_str().as_bytes(), &[0], client.secret_hash.as_bytes()].concat();
        self.cluster_key.derive(PURPOSE, &context)
    }
}
