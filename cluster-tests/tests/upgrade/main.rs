//! An upgrade, node by node, under load: two builds in one cluster.
//!
//! Three voters and two edges run the old build. One after the other is stopped, replaced by the new build and started again, while
//! viewers read at every node and clients write at every node, by way of a balancer that asks for `/readyz`.
//!
//! 1. No read fails: a node says that it is about to stop before it does, and finishes what it has begun.
//! 2. A write fails only while the leadership moves, and then the same key settles it.
//! 3. Each build works in each place: old and new leaders with old and new followers, old and new edges on new and old hubs.
//! 4. The schema level rises only when the last node was replaced. After that, a node that cannot apply it does not start.
//!
//! The old build is `NCORE_OLD_BIN`, if that is set: any binary of an earlier commit. Otherwise it is this build, held back by
//! `cluster.schema_level_max`, which is the older of two builds to all that has to do with levels; differences in code are then not
//! part of the test. Builds that do not announce their stop are taken out of the balancer by hand first, as their operators had to.

mod balancer;
mod load;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cluster_tests::cluster::binary;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, Node, wait};

use balancer::Balancer;
use load::Load;
use watch::Leadership;

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_fails_no_read_and_writes_only_while_the_leadership_moves() -> Result<()> {
    property("upgrade", Limit::minutes(6, 15), upgrade).await
}

/// The level at which the old build is held, whatever it could apply.
const OLD_LEVEL: u32 = 2;
/// The nodes by their slots: three voters, then an edge beside the first voter and one beside the second.
const VOTERS: [usize; 3] = [0, 1, 2];
const EDGES: [usize; 2] = [3, 4];

/// The two builds of a run.
struct Builds {
    new: PathBuf,
    old: PathBuf,
    /// Whether the old one announces its stop at `/readyz`, as this build does.
    old_announces: bool,
}

impl Builds {
    fn find() -> Result<Self> {
        let new = binary::ncore()?;
        Ok(match std::env::var_os("NCORE_OLD_BIN").map(PathBuf::from) {
            Some(old) => {
                ensure!(old.is_file(), "NCORE_OLD_BIN={} is not a file", old.display());
                Self { new, old, old_announces: false }
            }
            None => Self { old: new.clone(), new, old_announces: true },
        })
    }
}

async fn upgrade(run: Run) -> Result<()> {
    let builds = Builds::find()?;
    let cluster = Cluster::builder().edges("eu-ams", 1).edges("us-nyc", 1).binary(&builds.old).seed(run.seed());
    let cluster = cluster.setting("cluster", "schema_level_max", u64::from(OLD_LEVEL)).start().await?;
    wait::until(SETTLE, "the level of the old build", || level_is(&cluster, |level| level == OLD_LEVEL)).await?;

    let balancer = Balancer::over(cluster.nodes());
    let load = Load::start(&run, &cluster, &balancer).await?;
    let leadership = Leadership::watch(cluster.nodes());
    let rolling = Rolling { run: &run, cluster: &cluster, builds: &builds, balancer: &balancer, load: &load };
    rolling.all().await?;
    load.goes_on(&run).await?;

    let moves = leadership.end().await;
    let report = load.end().await?;
    report.check(&run, &moves)?;
    cluster.converged(Duration::from_secs(90)).await?;
    report.nothing_is_lost(&cluster).await?;
    refuses_to_go_back(&cluster, &builds.new).await?;
    cluster.shutdown().await
}

/// The upgrade itself.
struct Rolling<'a> {
    run: &'a Run,
    cluster: &'a Cluster,
    builds: &'a Builds,
    balancer: &'a Arc<Balancer>,
    load: &'a Load,
}

impl Rolling<'_> {
    /// An edge first (new on an old hub), then the voter that an old edge follows, which then leads old followers, then the rest.
    async fn all(&self) -> Result<()> {
        let [leads_first, leads_then, third] = VOTERS;
        let [edge_beside_old, edge_beside_new] = EDGES;
        self.lead(leads_first).await?;
        // Builds from before there were hubs cannot feed a new edge: there the voters come first.
        let hubs = self.role(edge_beside_old).await? == "edge";
        if hubs {
            self.replace(edge_beside_old).await?;
            self.follows(edge_beside_old, leads_first).await?;
        }
        self.replace(leads_then).await?;
        if hubs {
            self.follows(edge_beside_new, leads_then).await?;
        }
        self.lead(leads_then).await?;
        self.run.say("the new build leads the old one");
        self.load.goes_on(self.run).await?;
        self.replace(third).await?;
        self.replace(leads_first).await?;
        if !hubs {
            self.replace(edge_beside_old).await?;
        }
        ensure!(self.cluster.status().await?.schema_level == OLD_LEVEL, "the level has risen before the last node was replaced");
        self.replace(edge_beside_new).await?;
        wait::until(SETTLE, "a new level", || level_is(self.cluster, |level| level > OLD_LEVEL)).await?;
        self.run.say(format_args!("the schema level is {}", self.cluster.status().await?.schema_level));
        Ok(())
    }

    /// Stops a node, replaces its build, starts it, and waits until it serves and the load went on with it.
    async fn replace(&self, slot: usize) -> Result<()> {
        let node = self.cluster.node(slot);
        ensure!(self.cluster.status().await?.schema_level == OLD_LEVEL, "the level has risen before {} was replaced", node.name());
        if !self.builds.old_announces {
            self.balancer.take_out(slot).await;
        }
        let status = node.stop().await?;
        ensure!(status.success(), "{} ended with {status}", node.name());
        node.upgrade(&self.builds.new, |config| {
            config.unset("cluster", "schema_level_max");
        })?;
        node.start()?;
        node.ready(SETTLE).await?;
        self.balancer.put_back(slot);
        wait::until(SETTLE, "the cluster to know the new build", || async {
            let status = self.cluster.status().await?;
            let seen = status.node(node.name()).with_context(|| format!("{} is not in {status:?}", node.name()))?;
            ensure!(seen.schema_max > OLD_LEVEL, "{seen:?}");
            Ok(())
        })
        .await?;
        self.run.say(format_args!("{} runs the new build", node.name()));
        self.load.goes_on(self.run).await
    }

    async fn lead(&self, slot: usize) -> Result<()> {
        let node = self.cluster.node(slot);
        wait::until(SETTLE, "the leadership to move", || async {
            let leader = self.cluster.leader().await?;
            if leader.slot() == slot {
                return Ok(());
            }
            leader.operator().member("transfer-leader", node.id()?).await?;
            anyhow::bail!("{} led", leader.name())
        })
        .await?;
        Ok(())
    }

    async fn role(&self, slot: usize) -> Result<String> {
        let status = self.cluster.status().await?;
        let seen = status.node(self.cluster.node(slot).name());
        Ok(seen.with_context(|| format!("slot {slot} is not in {status:?}"))?.role.clone())
    }

    /// Waits until the edge takes its entries from this hub.
    async fn follows(&self, edge: usize, hub: usize) -> Result<()> {
        let (edge, hub) = (self.cluster.node(edge), self.cluster.node(hub));
        let what = format!("{} to follow {}", edge.name(), hub.name());
        wait::until(SETTLE, &what, || async {
            let status = edge.operator().status().await?;
            let seen = status.node(edge.name()).context("it does not know itself")?;
            ensure!(seen.parent == Some(hub.id()?), "it follows {:?}", seen.parent);
            Ok(())
        })
        .await?;
        self.run.say(format_args!("{} follows {}", edge.name(), hub.name()));
        Ok(())
    }
}

async fn level_is(cluster: &Cluster, wanted: impl Fn(u32) -> bool) -> Result<()> {
    let level = cluster.status().await?.schema_level;
    ensure!(wanted(level), "it is {level}");
    Ok(())
}

/// A node that is held below the level of the cluster ends at its start, says why, and is as before without the setting.
async fn refuses_to_go_back(cluster: &Cluster, build: &Path) -> Result<()> {
    let node: &Node = cluster.node(EDGES[0]);
    node.stop().await?;
    node.upgrade(build, |config| {
        config.set("cluster", "schema_level_max", u64::from(OLD_LEVEL));
    })?;
    node.start()?;
    let status = node.exited(SETTLE).await?;
    let said = node.log_tail(4);
    ensure!(!status.success() && said.contains("is at schema level") && said.contains("schema_level_max"), "{status}: {said}");
    node.upgrade(build, |config| {
        config.unset("cluster", "schema_level_max");
    })?;
    node.start()?;
    cluster.converged(Duration::from_secs(60)).await?;
    Ok(())
}

/// How long a step may take on a busy machine.
const SETTLE: Duration = Duration::from_secs(60);
