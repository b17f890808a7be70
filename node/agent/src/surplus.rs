//! Lets copies go that other nodes are to hold.
//!
//! # Why the last copy does not go
//!
//! * A copy is surplus when the placement of every asset that has its blob names other nodes, and each of these reports it as held and
//!   verified, in a report that had taken up the last change of that placement. None of them is about to let it go: they would have
//!   to be named no more, by a later change, which their reports have not taken up.
//! * So nodes without a claim never count on each other, and a node that accepted an upload which others are to hold keeps it until
//!   they do.
//! * That is looked at in a state that includes all that was acknowledged before, again under the lock of the blob, and then only
//!   after the grace.
//! * A node that is being drained keeps what it has. It is about to go anyway, and until then serves.

use std::{collections::HashMap, sync::Arc, time::Instant};

use ncore_control::ControlPlane;
use ncore_model::{Asset, BlobHash, CopyState, NodeId, NodeReport, NodeState, Placements, Query, TableError};
use ncore_replica::{Replica, View};
use ncore_store::{BlobStatus, BlobStore, Collection};
use tokio::time::sleep;

use crate::{
    blocking::blocking,
    collector::PassError,
    error::AgentError,
    metrics::{AgentMetrics, add},
    removals::Removals,
    settings::CollectionSettings,
};

/// The most surplus copies that are kept in mind. Those beyond it have to wait for the next pass.
const CANDIDATES_MAX: usize = 1 << 16;

/// Walks over the assets, step by step, and removes what is here and need not be.
pub(crate) struct Surplus {
    control: Arc<dyn ControlPlane>,
    store: BlobStore,
    settings: CollectionSettings,
    metrics: Arc<AgentMetrics>,
    removals: Removals,
    /// Since when this process knows copies to be surplus, and in which pass it last found so.
    since: HashMap<blake3::Hash, (Instant, u64)>,
    pass: u64,
}

/// A version whose content is here and is not needed here.
struct Found {
    hash: blake3::Hash,
    version: u64,
    /// How many assets have the content.
    references: u64,
}

/// What a step of the walk found.
struct Step {
    found: Vec<Found>,
    /// Where the next step begins; `None` if this was the last.
    next: Option<u64>,
}

impl Surplus {
    pub(crate) fn new(
        control: Arc<dyn ControlPlane>,
        store: BlobStore,
        settings: CollectionSettings,
        metrics: Arc<AgentMetrics>,
        removals: Removals,
    ) -> Self {
        Self { control, store, settings, metrics, removals, since: HashMap::new(), pass: 0 }
    }

    /// One pass over the assets.
    pub(crate) async fn pass(&mut self) -> Result<(), PassError> {
        self.pass += 1;
        // Blobs of several assets go only if none of these needs them here, which is known when all were seen.
        let mut shared: HashMap<blake3::Hash, Vec<u64>> = HashMap::new();
        let mut kept_in_mind = 0;
        let mut from = 0;
        loop {
            self.control.read_index(self.settings.deadline).await.map_err(|_| PassError::Stale)?;
            let step = self.step(from).await?;
            for Found { hash, version, references } in step.found {
                if references == 1 {
                    self.consider(hash, vec![version]).await?;
                } else if kept_in_mind < CANDIDATES_MAX {
                    kept_in_mind += 1;
                    shared.entry(hash).or_default().push(version);
                }
            }
            let Some(next) = step.next else { break };
            from = next;
            sleep(self.settings.pace).await;
        }
        for (hash, versions) in shared {
            self.consider(hash, versions).await?;
        }
        let pass = self.pass;
        self.since.retain(|_, (_, last)| *last == pass);
        Ok(())
    }

    async fn step(&self, from: u64) -> Result<Step, PassError> {
        let (replica, store, node, limit) = (self.replica(), self.store.clone(), self.control.node_id(), self.settings.step);
        let look = move |view: &View<'_>| step(view, &store, node, from, limit).map_err(AgentError::Row);
        Ok(blocking(move || replica.read(look)).await?)
    }

    /// Removes a copy of these versions, if it was surplus for the whole grace and still is.
    async fn consider(&mut self, hash: blake3::Hash, versions: Vec<u64>) -> Result<(), PassError> {
        if self.since.len() >= CANDIDATES_MAX && !self.since.contains_key(&hash) {
            return Ok(());
        }
        let now = Instant::now();
        let (since, last) = self.since.entry(hash).or_insert((now, self.pass));
        *last = self.pass;
        if now.duration_since(*since) < self.settings.grace {
            return Ok(());
        }
        let (replica, node) = (self.replica(), self.control.node_id());
        let is_surplus = move || {
            let look = |view: &View<'_>| is_surplus(view, node, hash.into(), &versions).map_err(AgentError::Row);
            replica.read(look).unwrap_or(false)
        };
        let _alone = self.removals.begin().await;
        if let Collection::Removed { size } = self.store.collect(hash, self.settings.grace, is_surplus).await? {
            self.since.remove(&hash);
            add(&self.metrics.surplus_removed, 1);
            add(&self.metrics.surplus_removed_bytes, size);
            tracing::debug!(%hash, size, "removed a copy that other nodes are to hold, and do");
        }
        Ok(())
    }

    fn replica(&self) -> Arc<Replica> {
        Arc::clone(self.control.replica())
    }
}

fn step(view: &View<'_>, store: &BlobStore, node: NodeId, from: u64, limit: usize) -> Result<Step, TableError> {
    let Some(mut claims) = Claims::read(view, node)? else { return Ok(Step { found: Vec::new(), next: None }) };
    let assets = view.versions_from(from, limit)?;
    let next = assets.last().filter(|_| assets.len() == limit).map(|last| last.version + 1);
    let mut found = Vec::new();
    for asset in assets {
        if matches!(store.status(asset.blob.into()), Ok(BlobStatus::Absent)) || claims.has_need_of(view, &asset)? {
            continue;
        }
        let references = view.blob(asset.blob)?.map_or(0, |blob| blob.references);
        found.push(Found { hash: asset.blob.into(), version: asset.version, references });
    }
    Ok(Step { found, next })
}

/// Whether these versions are all that have the blob, and none of them needs it here.
fn is_surplus(view: &View<'_>, node: NodeId, hash: BlobHash, versions: &[u64]) -> Result<bool, TableError> {
    let Some(mut claims) = Claims::read(view, node)? else { return Ok(false) };
    let references = view.blob(hash)?.map_or(0, |blob| blob.references);
    if references != versions.len() as u64 {
        return Ok(false);
    }
    for version in versions {
        let asset = view.versions_from(*version, 1)?.into_iter().find(|asset| asset.version == *version && asset.blob == hash);
        match asset {
            Some(asset) if !claims.has_need_of(view, &asset)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Who must hold what, and what they report, in one state.
struct Claims {
    node: NodeId,
    placements: Placements,
    reports: Vec<(NodeId, Option<NodeReport>)>,
}

impl Claims {
    /// `None` if nothing is surplus on this node: there never was a rule, or the node is being drained.
    fn read(view: &View<'_>, node: NodeId) -> Result<Option<Self>, TableError> {
        if view.placement_mark()?.is_none() || view.node(node)?.is_none_or(|node| node.state != NodeState::Active) {
            return Ok(None);
        }
        let reports = view.members()?.into_iter().map(|member| Ok((member.id, view.report(member.id)?)));
        Ok(Some(Self { node, placements: Placements::read(view)?, reports: reports.collect::<Result<_, TableError>>()? }))
    }

    /// Whether the asset is to be held here, or is not yet held by all that are to hold it.
    fn has_need_of(&mut self, view: &View<'_>, asset: &Asset) -> Result<bool, TableError> {
        let placed = self.placements.of(view, asset)?;
        let mut holders = self.reports.iter().filter(|(node, _)| placed.is_on(*node)).peekable();
        let is_held =
            holders.peek().is_some() && holders.all(|(_, report)| placed.state(report.as_ref(), asset.version) == CopyState::Verified);
        Ok(placed.is_on(self.node) || !is_held)
    }
}
