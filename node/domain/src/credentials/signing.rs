//! The keys that access tokens are signed with.
//!
//! They are part of the replicated state, the private half sealed under the cluster key. So any node issues tokens and any
//! node checks them without asking another. Nothing is cached: the row of a key is a lookup in memory beside which the
//! hashing of a secret, or the check of a signature, is long; and what is not cached is never out of date.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ncore_identity::{ClusterKey, Zeroizing};
use ncore_model::{AddSigningKey, Command, Query, SigningKey};

use crate::{cluster::Cluster, error::SigningKeyError};

/// What the private half is sealed for.
const PURPOSE: &str = "access token signing key";

/// Makes a key if the cluster has none. Two nodes that do so at the same time make two, and both are good.
pub(super) async fn ensure(cluster: &Cluster, cluster_key: &ClusterKey) -> Result<(), SigningKeyError> {
    if newest(cluster).await?.is_some() {
        return Ok(());
    }
    let key = generate(cluster_key)?;
    tracing::info!(key = key.id, "adding a key to sign access tokens with");
    cluster.change(Command::AddSigningKey(key), None).await.map_err(SigningKeyError::Change)?;
    Ok(())
}

/// The key to sign with: the newest, which every node has the sooner the longer it is there.
pub(super) async fn newest(cluster: &Cluster) -> Result<Option<SigningKey>, SigningKeyError> {
    let keys = cluster.read(|view| view.signing_keys()).await.map_err(SigningKeyError::State)?.value;
    Ok(keys.into_iter().max_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id))))
}

/// The private half of a key, as PKCS #8.
pub(super) fn open(cluster_key: &ClusterKey, key: &SigningKey) -> Result<Zeroizing<Vec<u8>>, ncore_identity::SealError> {
    cluster_key.open(PURPOSE, &key.sealed_private)
}

fn generate(cluster_key: &ClusterKey) -> Result<AddSigningKey, SigningKeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| SigningKeyError::Entropy)?;
    let private = pair.to_pkcs8v1().map_err(|_| SigningKeyError::Entropy)?;
    let sealed_private = cluster_key.seal(PURPOSE, private.as_ref()).map_err(SigningKeyError::Seal)?;
    let public = pair.public_key().as_ref().to_vec();
    let id = hex::encode(&blake3::hash(&public).as_bytes()[..8]);
    Ok(AddSigningKey { id, public, sealed_private })
}
