//! What followers leave of the rate of writes: followers of a hub beside learners of Raft.
//!
//! Two clusters of three voters on the core of the servers, one after the other under the same load. In the first, so many machines
//! follow a voter that does not lead, over the streams of the hub's protocol; in the second, as many are learners of Raft, which the
//! leader itself feeds. The machines are on the core of the load and are reduced to their protocols: both kinds take every entry over
//! mutual TLS and acknowledge it, and keep nothing. With `--whole` they are nodes like any other, each a process that applies and keeps what it
//! takes: as many edges, and then, in their place, as many learners, which sync a log of their own as well.
//!
//! The voters share a core here, and what they share they would not share elsewhere. So the ratio is printed a second time, by the processor
//! time that the busiest voter takes for a write: what bounds the rate where each has a machine of its own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use ncore_control::{ControlPlane, MembershipChange};
use ncore_model::Query;
use tempfile::TempDir;

use crate::{
    clients::{Slice, VALUE, measure},
    learner,
    machine::Machine,
    member::{DEADLINE, Ours},
    process, reader,
    summary::median,
    whole::{Way, WholeNodes},
    writes::print,
};

/// What to measure, and for how long.
#[derive(Args)]
pub(crate) struct Followers {
    /// The binary to measure
    #[arg(long)]
    ncore: PathBuf,
    /// How many followers, and how many learners
    #[arg(long, default_value_t = 50)]
    followers: usize,
    /// How long each slice of a measurement takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many slices each of the two gets in turn; the median is printed
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Numbers of clients, each of which waits for an answer before it asks again
    #[arg(long, value_delimiter = ',', default_values_t = [16, 256])]
    clients: Vec<usize>,
    /// Whole nodes, instead of machines that are one end of the protocol and keep nothing
    #[arg(long)]
    whole: bool,
}

/// Measures, and prints the figures.
pub(crate) async fn run(bench: &Followers) -> Result<()> {
    ensure!(bench.rounds > 0 && bench.seconds > 0, "--rounds and --seconds must be at least 1");
    process::pin_this_process()?;
    let dir = TempDir::new()?;
    let [followed, taught] = ["followed", "taught"].map(|name| dir.path().join(name));
    std::fs::create_dir_all(&followed)?;
    std::fs::create_dir_all(&taught)?;
    let followed = Arc::new(Ours::start(&bench.ncore, &followed).await.context("cannot start ncore")?);
    let taught = Arc::new(Ours::start(&bench.ncore, &taught).await.context("cannot start ncore")?);
    println!(
        "3 voters on one core, load and followers on the other; values of {VALUE} bytes; {} slices of {} s each in turn, medians",
        bench.rounds, bench.seconds
    );
    println!(
        "{:>7} {:<16} {:>9} {:>9} {:>9} {:>13} {:>13} {:>12}",
        "clients", "followers", "writes/s", "p50 ms", "p99 ms", "syncs/write", "CPU µs/write", "the busiest"
    );
    for clients in &bench.clients {
        let mut without = Vec::new();
        for _ in 0..bench.rounds {
            without.push(bench.slice(&followed, *clients).await?);
        }
        print(*clients, "none", median(&without));
    }
    match bench.whole {
        true => bench.whole_nodes(&followed, &taught, dir.path()).await?,
        false => bench.machines(&followed, &taught).await?,
    }
    followed.end().await;
    taught.end().await;
    Ok(())
}

type Stream = tokio::task::JoinHandle<Result<()>>;

impl Followers {
    /// Machines of this process: both kinds are there from the beginning to the end.
    async fn machines(&self, followed: &Arc<Ours>, taught: &Arc<Ours>) -> Result<()> {
        let mut streams = self.follow(followed).await.context("the followers")?;
        self.teach(taught).await.context("the learners")?;
        for clients in &self.clients {
            let (mut hub, mut learners) = (Vec::new(), Vec::new());
            for _ in 0..self.rounds {
                hub.push(self.slice(followed, *clients).await?);
                learners.push(self.slice(taught, *clients).await?);
            }
            self.compare(*clients, &hub, &learners);
        }
        for stream in &mut streams {
            ensure!(!stream.is_finished(), "a follower lost its hub: {:?}", stream.await);
        }
        Ok(())
    }

    /// Processes: as many as there are of one kind use the machine up, so the kinds are there one after the other.
    async fn whole_nodes(&self, followed: &Arc<Ours>, taught: &Arc<Ours>, dir: &Path) -> Result<()> {
        let mut slices = [Vec::new(), Vec::new()];
        for ((cluster, way), slices) in [(followed, Way::Hub), (taught, Way::Learner)].into_iter().zip(&mut slices) {
            let dir = dir.join(format!("{way:?}"));
            std::fs::create_dir_all(&dir)?;
            let nodes = WholeNodes::start(&self.ncore, &dir, cluster, way, self.followers).await.with_context(|| format!("{way:?}"))?;
            for clients in &self.clients {
                let mut of_these = Vec::new();
                for _ in 0..self.rounds {
                    of_these.push(self.slice(cluster, *clients).await?);
                }
                slices.push(of_these);
            }
            drop(nodes);
        }
        let [hub, learners] = &slices;
        for ((clients, hub), learners) in self.clients.iter().zip(hub).zip(learners) {
            self.compare(*clients, hub, learners);
        }
        Ok(())
    }

    fn compare(&self, clients: usize, hub: &[Slice], learners: &[Slice]) {
        let (hub, learners) = (median(hub), median(learners));
        print(clients, &format!("{} of a hub", self.followers), hub);
        print(clients, &format!("{} learners", self.followers), learners);
        println!("{clients:>7} {:<16} {:>9.2}", "ratio", hub.writes_s / learners.writes_s);
        println!("{clients:>7} {:<16} {:>9.2}", "by the busiest", learners.busiest_us_per_write / hub.busiest_us_per_write);
    }

    async fn slice(&self, cluster: &Arc<Ours>, clients: usize) -> Result<Slice> {
        measure(cluster, clients, Duration::from_secs(self.seconds)).await
    }

    /// Has the machines follow a voter that does not lead.
    async fn follow(&self, cluster: &Ours) -> Result<Vec<Stream>> {
        let machines = Machine::join(&cluster.voters, self.followers).await?;
        let leader = cluster.control.leader();
        let members = cluster.control.replica().members()?;
        let hub = members.into_iter().find(|node| node.voter && Some(node.id.0) != leader).context("a voter that does not lead")?;
        let mut streams = Vec::with_capacity(machines.len());
        for machine in machines {
            streams.push(reader::follow(machine, hub.id, hub.cluster_address.clone()).await?);
        }
        Ok(streams)
    }

    /// Has the leader make the machines learners.
    async fn teach(&self, cluster: &Ours) -> Result<()> {
        for machine in Machine::join(&cluster.voters, self.followers).await? {
            let change = MembershipChange::AddLearner { node: machine.id, address: machine.address.clone() };
            learner::serve(machine);
            cluster.control.change_membership(change, DEADLINE).await?;
        }
        Ok(())
    }
}
