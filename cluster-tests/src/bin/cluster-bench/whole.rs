//! Whole nodes that follow a hub, or learn from the leader: processes on the core of the load, which apply and keep all that they take.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use cluster_tests::{
    cluster::{Ports, Reaper},
    wait,
};
use futures_util::future::try_join_all;
use ncore_control::{ControlPlane, MembershipChange};
use ncore_model::{NodeId, Query};

use crate::{
    member::{DEADLINE, Ours},
    node::{Node, Plan},
    process::LOAD_CORE,
    voters::{REGION, REGION_OF_HUB},
};

/// How long all of them may take to come, on a core that they share.
const ALL_READY: Duration = Duration::from_secs(300);
/// How many come at once.
const AT_ONCE: usize = 5;
/// What a node says of the hub that it follows: 0 if it takes part in Raft.
const PARENT: &str = "ncore_hub_parent";

/// Nodes beyond the voters. Ended when dropped.
pub(crate) struct WholeNodes {
    nodes: Vec<Node>,
    http: reqwest::Client,
    ports: Ports,
    reaper: Reaper,
}

/// How they get the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From a voter that does not lead.
    Hub,
    /// From the leader, by Raft.
    Learner,
}

impl WholeNodes {
    /// Starts so many in `dir`, and waits until all of them get the entries in that way.
    pub(crate) async fn start(binary: &Path, dir: &Path, cluster: &Ours, way: Way, count: usize) -> Result<Self> {
        // Only nodes that may vote have a log of Raft.
        let (region, may): (_, &[&str]) = match way {
            Way::Hub => (REGION_OF_HUB, &[]),
            Way::Learner => (REGION, &["--voter"]),
        };
        let token = cluster.voters.token(may, count).await?;
        let mut all = Self { nodes: Vec::new(), http: reqwest::Client::new(), ports: Ports::reserve()?, reaper: Reaper::start()? };
        for at in 0..count {
            let plan = Plan { name: format!("whole-{at}"), region, core: LOAD_CORE, join_token: Some(token.clone()) };
            let node = Node::start(plan, binary, dir, &mut all.ports, &all.reaper).await?;
            all.nodes.push(node);
            if all.nodes.len().is_multiple_of(AT_ONCE) || all.nodes.len() == count {
                let latest = all.nodes.iter().rev().take(AT_ONCE);
                try_join_all(latest.map(|node| wait::until(ALL_READY, "a node to be ready", || node.is_ready(&all.http)))).await?;
            }
        }
        if way == Way::Learner {
            all.teach(cluster).await?;
        }
        all.get_it(cluster, way).await?;
        Ok(all)
    }

    /// Has the leader make them learners.
    async fn teach(&self, cluster: &Ours) -> Result<()> {
        let members = cluster.control.replica().members()?;
        for node in members.into_iter().filter(|node| node.name.starts_with("whole-")) {
            let change = MembershipChange::AddLearner { node: node.id, address: node.cluster_address };
            cluster.control.change_membership(change, DEADLINE).await?;
        }
        Ok(())
    }

    async fn get_it(&self, cluster: &Ours, way: Way) -> Result<()> {
        let members = cluster.control.replica().members()?;
        let hub = members.iter().find(|node| node.voter && node.region == REGION_OF_HUB).context("a voter in the region of the hub")?;
        ensure!(cluster.control.leader().is_some_and(|leader| NodeId(leader) != hub.id), "the hub leads");
        let parent = if way == Way::Hub { hub.id.0 } else { 0 };
        wait::until(ALL_READY, "all to get the entries", || async {
            for node in &self.nodes {
                let [found] = node.figures(&self.http, [PARENT]).await?;
                ensure!(found == parent, "one follows {found}, and not {parent}");
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
}
