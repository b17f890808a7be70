//! Who this node is: found on disk, or obtained with a join token.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use ncore_control::{Joiner, SelfDescription, join};
use ncore_identity::{IdentityHandle, IdentityStore, JoinToken, LoadError};

use crate::config::Config;

/// How long a machine tries to join.
const JOIN_DEADLINE: Duration = Duration::from_secs(120);

pub(super) async fn find_or_join(
    config: &Config,
    description: &SelfDescription,
    join_token: Option<String>,
) -> Result<(IdentityHandle, Arc<IdentityStore>)> {
    let store = Arc::new(IdentityStore::at(&config.node.data_dir));
    let identity = match store.load() {
        Ok(identity) => identity,
        Err(LoadError::Missing { .. }) => {
            let Some(token) = join_token else {
                bail!(
                    "this machine is not a node yet: make a cluster with `ncore init --config FILE`, or join one with \
                     --join-token (from `ncore join-token create` at one of its nodes)"
                );
            };
            let token = JoinToken::decode(token.trim()).context("the join token is not usable")?;
            tracing::info!(endpoints = ?token.terms().endpoints, "joining");
            let joiner = Joiner {
                name: description.name.clone(),
                region: description.region.clone(),
                cluster_address: description.cluster_address.clone(),
                http_address: description.http_address.clone(),
                schema: description.schema,
                dial: config.dial.clone(),
            };
            let joined = join(&token, &joiner, JOIN_DEADLINE).await?;
            joined.first_hubs.save(&config.node.data_dir).context("cannot keep whom to follow")?;
            store.create(&joined.identity).context("cannot keep the identity")?;
            tracing::info!(node = joined.identity.node_id(), "joined");
            joined.identity
        }
        Err(error) => return Err(error).context("cannot load the identity of this node"),
    };
    Ok((IdentityHandle::new(identity), store))
}
