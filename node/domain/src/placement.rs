//! Where the assets of clients are held: what the operator decides.

use ncore_model::{BlobHash, ClientId, Command, PlacementFit, PlacementPolicy, Query, Revision, SetPlacement};

use crate::{
    cluster::{Cluster, Seen},
    error::{ChangeError, StateError},
};

/// The rules of placement, as the operator manages them.
pub struct PlacementRules {
    cluster: Cluster,
}

/// A rule, and how far the nodes that there are meet it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleStatus {
    /// Whose assets it is about.
    pub client: ClientId,
    /// What their paths begin with; empty for all of them.
    pub prefix: String,
    /// Which nodes hold them.
    pub policy: PlacementPolicy,
    /// Whether that can be.
    pub fit: PlacementFit,
}

impl PlacementRules {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// Says where the assets of `client` are held whose paths begin with `prefix`; of several rules the longest prefix counts.
    /// Needs schema level 4.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::ClientUnknown`](ncore_model::Rejection::ClientUnknown) and
    /// [`Rejection::TooManyPlacements`](ncore_model::Rejection::TooManyPlacements) among them.
    pub async fn set(&self, client: ClientId, prefix: &str, policy: PlacementPolicy) -> Result<Revision, ChangeError> {
        let command = Command::SetPlacement(SetPlacement { client, prefix: of_a_path(prefix), policy });
        Ok(self.cluster.change(command, None).await?.revision)
    }

    /// Takes a rule back. What it was about then follows the rule with the next shorter prefix, and without one is held everywhere.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::PlacementUnknown`](ncore_model::Rejection::PlacementUnknown) if there is no such rule.
    pub async fn remove(&self, client: ClientId, prefix: &str) -> Result<Revision, ChangeError> {
        let command = Command::RemovePlacement { client, prefix: of_a_path(prefix) };
        Ok(self.cluster.change(command, None).await?.revision)
    }

    /// Every rule.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn list(&self) -> Result<Seen<Vec<RuleStatus>>, StateError> {
        let list = self.cluster.read(|view| {
            let members = view.members()?;
            let mut rules = Vec::new();
            for (client, placement) in view.client_placements()? {
                rules.extend(placement.rules.into_iter().map(|rule| RuleStatus {
                    client: client.clone(),
                    // How many nodes there are for it does not depend on the content.
                    fit: rule.policy.place(BlobHash([0; 32]), &members).1,
                    prefix: rule.prefix,
                    policy: rule.policy,
                }));
            }
            Ok(rules)
        });
        list.await
    }
}

/// Paths begin without a slash; a prefix that is given with one is meant as one of them.
fn of_a_path(prefix: &str) -> String {
    prefix.strip_prefix('/').unwrap_or(prefix).to_owned()
}
