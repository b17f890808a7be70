//! Three voters: real nodes, on the core of the servers, without proxies between them.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use cluster_tests::{
    cluster::{Ports, Reaper},
    operator::Operator,
    wait,
};

use crate::{
    node::{Node, Plan},
    process::SERVER_CORE,
};

/// How long a step of the beginning may take.
const READY: Duration = Duration::from_secs(60);
/// Where the load stands, and the voters but for one: so one of these leads.
pub(crate) const REGION: &str = "here";
/// Where a voter stands that does not lead: the hub of those who follow.
pub(crate) const REGION_OF_HUB: &str = "there";
const REGIONS: [&str; 3] = [REGION, REGION_OF_HUB, REGION];

/// Three nodes that vote. Ended when dropped.
pub(crate) struct Voters {
    nodes: Vec<Node>,
    http: reqwest::Client,
    _ports: Ports,
    // Behind the nodes: kills what is left of them, however this process ends.
    _reaper: Reaper,
}

impl Voters {
    /// Starts them in `dir`, and waits until all vote.
    pub(crate) async fn start(binary: &Path, dir: &Path) -> Result<Self> {
        let (mut ports, reaper) = (Ports::reserve()?, Reaper::start()?);
        let mut nodes: Vec<Node> = Vec::new();
        let http = reqwest::Client::new();
        for (at, region) in REGIONS.iter().enumerate() {
            let join_token = match nodes.first() {
                None => None,
                Some(first) => Some(token(&first.operator, &["--voter"], 1).await?),
            };
            let plan = Plan { name: format!("voter-{}", at + 1), region, core: SERVER_CORE, join_token };
            let node = Node::start(plan, binary, dir, &mut ports, &reaper).await?;
            wait::until(READY, "a voter to be ready", || node.is_ready(&http)).await?;
            nodes.push(node);
        }
        let voters = Self { nodes, http, _ports: ports, _reaper: reaper };
        wait::until(READY, "three voters", || async {
            let status = voters.first().status().await?;
            ensure!(status.voters() == REGIONS.len() && status.leader.is_some(), "{status:?}");
            Ok(())
        })
        .await?;
        Ok(voters)
    }

    /// The operator of the first node.
    pub(crate) fn first(&self) -> &Operator {
        &self.nodes[0].operator
    }

    /// A token with which so many nodes join, as edges unless there are further arguments.
    pub(crate) async fn token(&self, arguments: &[&str], uses: usize) -> Result<String> {
        token(self.first(), arguments, uses).await
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        self.nodes.iter().map(Node::process).collect()
    }

    /// Syncs of logs and of states, of all nodes together.
    pub(crate) async fn syncs(&self) -> Result<u64> {
        let mut syncs = 0;
        for node in &self.nodes {
            let [log, state] = node.figures(&self.http, ["ncore_raft_log_syncs_total", "ncore_state_syncs_total"]).await?;
            syncs += log + state;
        }
        Ok(syncs)
    }
}

async fn token(operator: &Operator, arguments: &[&str], uses: usize) -> Result<String> {
    let uses = uses.to_string();
    let arguments = [arguments, &["--uses", &uses, "--expires", "1h"]].concat();
    let token = wait::until(READY, "a join token", || operator.run(&["join-token", "create"], &arguments)).await?;
    Ok(token.trim().to_owned())
}
