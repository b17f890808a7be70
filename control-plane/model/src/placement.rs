//! Which nodes must hold an asset: what the operator decides, and the one function that says which nodes follow from it.
//!
//! Without a rule every node holds every asset. A rule speaks for the assets of a client whose paths begin with its prefix; of
//! several, that with the longest prefix counts. The nodes are found by rendezvous: each asks nobody, all find the same, and a node
//! that comes or goes moves only what falls to it.
//!
//! # Since when
//! A report of a node speaks of the placement as of its watermark: "in a state that includes the index up to which I report, I hold
//! what I must". So what a node reported before the placement of an asset changed says nothing of that asset. The rows keep the index
//! of the last change, and [`Placed::state`] counts a copy as verified only if the watermark has passed it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use serde::{Deserialize, Serialize};

use crate::{
    asset::Asset,
    codec::Record,
    id::{BlobHash, ClientId, NodeId},
    node::{Node, NodeState},
    query::Query,
    replication::{CopyState, NodeReport, copy_state},
    table::{ReadTables, TableError},
};

/// The most rules that a client may have.
pub const MAX_PLACEMENT_RULES: usize = 64;
/// The most regions that a rule may name.
pub const MAX_PLACEMENT_REGIONS: usize = 16;

/// Where a client's assets are held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientPlacement {
    /// The rules, ascending by prefix, no two of one prefix. None is left when all were removed: the row stays, for `changed_at`.
    pub rules: Vec<PlacementRule>,
    /// The index of the last change of any of them.
    pub changed_at: u64,
}

impl Record for ClientPlacement {
    const KIND: u16 = 0x1C;
    const VERSION: u16 = 1;
}

impl ClientPlacement {
    /// The rule that counts for a path.
    #[must_use]
    pub fn rule_for(&self, path: &str) -> Option<&PlacementRule> {
        self.rules.iter().filter(|rule| path.starts_with(&rule.prefix)).max_by_key(|rule| rule.prefix.len())
    }
}

/// What counts for the assets of a client whose paths begin with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRule {
    /// What their paths begin with; empty for all of them.
    pub prefix: String,
    /// Which nodes hold them.
    pub policy: PlacementPolicy,
}

/// Which nodes hold an asset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlacementPolicy {
    /// Nodes of these regions; of all, if there is none.
    pub regions: Vec<String>,
    /// How many nodes; every one, if `None`.
    pub copies: Option<u32>,
}

/// What all placements have in common. The row is there once a client has had a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementMark {
    /// The index at which the nodes, their states or their regions last changed.
    pub nodes_at: u64,
    /// The index of the last change of any placement, by a rule or by the nodes.
    pub changed_at: u64,
}

impl Record for PlacementMark {
    const KIND: u16 = 0x1D;
    const VERSION: u16 = 1;
}

/// How far the nodes that there are can meet a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlacementFit {
    /// They do.
    Met,
    /// There are fewer than it asks for: all of them hold the asset.
    TooFewNodes,
    /// None stands in its regions: nodes of any region hold the asset.
    NoNodeInRegions,
}

impl PlacementFit {
    /// The name in the API, in status and in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::TooFewNodes => "too_few_nodes",
            Self::NoNodeInRegions => "no_node_in_regions",
        }
    }
}

impl PlacementPolicy {
    /// The nodes of `members` that must hold a blob, and whether that is what the policy asks for.
    ///
    /// Nodes that are being drained are taken only where too few others are left. Regions are gone through in turns: a second node
    /// of a region is taken when every region has one. What comes out is the same in every release, for ever: nodes that differ
    /// would each rely on the other.
    #[must_use]
    pub fn place(&self, blob: BlobHash, members: &[Node]) -> (Vec<NodeId>, PlacementFit) {
        let is_allowed = |node: &&Node| self.regions.is_empty() || self.regions.contains(&node.region);
        let mut pool: Vec<&Node> = members.iter().filter(|node| node.state != NodeState::Removed).filter(is_allowed).collect();
        let mut fit = PlacementFit::Met;
        if pool.is_empty() {
            pool = members.iter().filter(|node| node.state != NodeState::Removed).collect();
            fit = PlacementFit::NoNodeInRegions;
        }
        let (active, draining): (Vec<&Node>, Vec<&Node>) = pool.into_iter().partition(|node| node.state == NodeState::Active);
        let wanted = self.copies.map_or_else(|| active.len().max(1), |copies| usize::try_from(copies.max(1)).unwrap_or(usize::MAX));
        let mut placed: Vec<NodeId> = in_turns(blob, active).into_iter().take(wanted).collect();
        match self.copies {
            None if placed.is_empty() => placed.extend(in_turns(blob, draining)),
            None => {}
            Some(_) => placed.extend(in_turns(blob, draining).into_iter().take(wanted - placed.len())),
        }
        if placed.len() < wanted && fit == PlacementFit::Met {
            fit = PlacementFit::TooFewNodes;
        }
        (placed, fit)
    }
}

/// The nodes by their weight for a blob, a region at a time: the first of each, then the second of each, and so on.
fn in_turns(blob: BlobHash, mut nodes: Vec<&Node>) -> Vec<NodeId> {
    nodes.sort_by_cached_key(|node| (Reverse(weight(blob, node.id)), node.id));
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, NodeId)> = nodes
        .into_iter()
        .map(|node| {
            let rank = taken.entry(&node.region).or_default();
            *rank += 1;
            (*rank, node.id)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, node)| node).collect()
}

/// How much a blob is drawn to a node: a random number that is the same everywhere.
fn weight(blob: BlobHash, node: NodeId) -> u64 {
    let blob = blob.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    mix(blob ^ mix(node.0))
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Which nodes must hold an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Those that must; `None` if every node must.
    nodes: Option<Vec<NodeId>>,
    /// How far that is what the policy asks for.
    pub fit: PlacementFit,
    /// Since which index; zero if it was never otherwise.
    pub since: u64,
}

impl Placed {
    /// On every node.
    const EVERYWHERE: Self = Self { nodes: None, fit: PlacementFit::Met, since: 0 };

    /// Whether a member must hold the asset.
    #[must_use]
    pub fn is_on(&self, node: NodeId) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&node))
    }

    /// The state of the content put at `version`, on a node that must hold it and made `report`.
    #[must_use]
    pub fn state(&self, report: Option<&NodeReport>, version: u64) -> CopyState {
        match copy_state(report, version) {
            CopyState::Verified if report.is_none_or(|report| report.watermark < self.since) => CopyState::Pending,
            state => state,
        }
    }
}

/// The placements of one state. Members are read once, and what a client's assets follow once for each client.
#[derive(Debug)]
pub struct Placements {
    mark: Option<PlacementMark>,
    members: Vec<Node>,
    clients: HashMap<ClientId, Option<ClientPlacement>>,
}

impl Placements {
    /// The placements of `tables`.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn read(tables: &impl ReadTables) -> Result<Self, TableError> {
        let mark = tables.placement_mark()?;
        let members = if mark.is_some() { tables.members()? } else { Vec::new() };
        Ok(Self { mark, members, clients: HashMap::new() })
    }

    /// The index of the last change of any placement; zero if there was none.
    #[must_use]
    pub fn changed_at(&self) -> u64 {
        self.mark.map_or(0, |mark| mark.changed_at)
    }

    /// Which nodes must hold `asset`. `tables` must be those that the placements were read from.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn of(&mut self, tables: &impl ReadTables, asset: &Asset) -> Result<Placed, TableError> {
        let Some(mark) = self.mark else { return Ok(Placed::EVERYWHERE) };
        if !self.clients.contains_key(&asset.client) {
            self.clients.insert(asset.client.clone(), tables.client_placement(&asset.client)?);
        }
        let Some(client) = self.clients.get(&asset.client).and_then(Option::as_ref) else { return Ok(Placed::EVERYWHERE) };
        let Some(rule) = client.rule_for(&asset.path) else {
            return Ok(Placed { since: client.changed_at, ..Placed::EVERYWHERE });
        };
        let (nodes, fit) = rule.policy.place(asset.blob, &self.members);
        Ok(Placed { nodes: Some(nodes), fit, since: client.changed_at.max(mark.nodes_at) })
    }
}
