//! Purges of zones, and how far they have got.

use ncore_model::{ClientId, Command, NodeId, PurgeZone, Query, Revision, Zone, ZoneId, ZonePurge, ZonePurgeTarget};

use super::{Zones, payload};
use crate::{
    acknowledge::{AckLevel, Acknowledged},
    cluster::Seen,
    error::ZoneError,
    once::OnceKey,
};

/// A purge that has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgedZone {
    /// The purge, and where it has got to.
    pub state: ZonePurgeState,
    /// From which revision on it holds.
    pub revision: Revision,
    /// What is known of the other nodes.
    pub acknowledged: Acknowledged,
}

/// A purge, and where it has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonePurgeState {
    /// Its index in the log, by which it is found again.
    pub index: u64,
    /// What it is about.
    pub purge: ZonePurge,
    /// Every node by its name, and whether it has applied the purge.
    pub nodes: Vec<(String, bool)>,
}

impl ZonePurgeState {
    /// Whether every node has applied it.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.nodes.iter().all(|(_, applied)| *applied)
    }
}

/// A page of the purges of a zone, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonePurgeList {
    /// The purges.
    pub purges: Vec<ZonePurgeState>,
    /// How many are kept.
    pub total: usize,
}

/// What a path means in a purge: everything that begins as it does before its first `*`, or the URL itself.
#[must_use]
pub fn purge_target(path: &str) -> ZonePurgeTarget {
    match path.split_once('*') {
        Some((prefix, _)) => ZonePurgeTarget::Prefix(prefix.to_owned()),
        None => ZonePurgeTarget::Url(path.to_owned()),
    }
}

impl Zones {
    /// Has what is cached of a zone of `client` be good for nothing from here on: of everything, or of some URLs.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub async fn purge(
        &self,
        client: &ClientId,
        zone: ZoneId,
        targets: Vec<ZonePurgeTarget>,
        once: Option<&OnceKey>,
        level: AckLevel,
    ) -> Result<PurgedZone, ZoneError> {
        let policy = self.fence_policy(client, zone).await?;
        let once = once.map(|key| key.within(client, &format!("purge zone {zone}"), &payload(&targets)));
        let purge = PurgeZone { client: client.clone(), zone, targets };
        let revision = self.cluster.change(Command::PurgeZone(purge), once).await.map_err(ZoneError::Change)?.revision;
        let acknowledged = self.cluster.acknowledge(revision, level, policy).await;
        let seen = self.purge_state(client, zone, revision.index).await?;
        Ok(PurgedZone { state: seen.value, revision, acknowledged })
    }

    /// A purge of a zone of `client`, by its index.
    ///
    /// # Errors
    /// [`ZoneError`]; [`ZoneError::Unknown`] also if the purge is not known, or not any more.
    pub async fn purge_state(&self, client: &ClientId, zone: ZoneId, index: u64) -> Result<Seen<ZonePurgeState>, ZoneError> {
        let zone = self.get(Some(client), zone).await?.value;
        let read = self.cluster.read(move |view| view.zone_purge(zone.number, index)).await.map_err(ZoneError::State)?;
        let purge = read.value.ok_or(ZoneError::Unknown)?;
        let mut states = self.with_nodes(vec![(index, purge)], read.revision).await?;
        Ok(Seen { revision: read.revision, value: states.pop().ok_or(ZoneError::Unknown)? })
    }

    /// Up to `limit` purges of a zone of `client` that are kept, after the newest `skip`.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub async fn purges(&self, client: &ClientId, zone: ZoneId, skip: usize, limit: usize) -> Result<Seen<ZonePurgeList>, ZoneError> {
        let Zone { number, .. } = self.get(Some(client), zone).await?.value;
        let read = self.cluster.read(move |view| view.zone_purges_from(number, 0)).await.map_err(ZoneError::State)?;
        let total = read.value.len();
        let page = read.value.into_iter().rev().skip(skip).take(limit).collect();
        let purges = self.with_nodes(page, read.revision).await?;
        Ok(Seen { revision: read.revision, value: ZonePurgeList { purges, total } })
    }

    /// Which nodes have applied each of these purges, the newest of which is the first. A node that has one has all before it, so nobody is
    /// asked about those before one that all have; nor about more than a few, for a node that is away has none of them.
    async fn with_nodes(&self, purges: Vec<(u64, ZonePurge)>, revision: Revision) -> Result<Vec<ZonePurgeState>, ZoneError> {
        let members = self.cluster.read(|view| view.members()).await.map_err(ZoneError::State)?.value;
        let mut states = Vec::with_capacity(purges.len());
        let mut without: Option<Vec<NodeId>> = None;
        for (asked, (index, purge)) in purges.into_iter().enumerate() {
            let lacking = match without {
                Some(lacking) if lacking.is_empty() || asked >= ASKED_MAX => lacking,
                _ => self.cluster.plane().without(Revision { lineage: revision.lineage, index }).await,
            };
            let nodes = members.iter().map(|node| (node.name.clone(), !lacking.contains(&node.id))).collect();
            states.push(ZonePurgeState { index, purge, nodes });
            without = Some(lacking);
        }
        Ok(states)
    }
}

/// About how many purges of a page other nodes are asked.
const ASKED_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::purge_target;
    use ncore_model::ZonePurgeTarget::{Prefix, Url};

    #[test]
    fn what_a_path_means() {
        for (path, expected) in [
            ("/a.png", Url("/a.png".to_owned())),
            ("/a?b=1", Url("/a?b=1".to_owned())),
            ("/img/*", Prefix("/img/".to_owned())),
            ("/img/*.png", Prefix("/img/".to_owned())),
            ("/products/*/x/*", Prefix("/products/".to_owned())),
            ("/*", Prefix("/".to_owned())),
            ("*", Prefix(String::new())),
        ] {
            assert_eq!(purge_target(path), expected, "{path}");
        }
    }
}
