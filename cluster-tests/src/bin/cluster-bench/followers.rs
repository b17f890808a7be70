//! What followers leave of the rate of writes: followers of a hub beside learners of Raft.
//!
//! Two clusters of three voters on the core of the servers, one after the other under the same load. In the first, so many machines
//! follow a voter that does not lead, over the streams of the hub's protocol; in the second, as many are learners of Raft, which the
//! leader itself feeds. The machines are on the core of the load and are reduced to their protocols: both kinds take every entry over
//! mutual TLS and acknowledge it, and keep nothing.
//!
//! The voters share a core here, and what they share they would not share elsewhere. So the ratio is printed a second time, by the processor
//! time that the busiest voter takes for a write: what bounds the rate where each has a machine of its own.

use std::{path::PathBuf, sync::Arc, time::Duration};

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
    let mut streams = bench.follow(&followed).await.context("the followers")?;
    bench.teach(&taught).await.context("the learners")?;
    for clients in &bench.clients {
        let (mut hub, mut learners) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            hub.push(bench.slice(&followed, *clients).await?);
            learners.push(bench.slice(&taught, *clients).await?);
        }
        let (hub, learners) = (median(&hub), median(&learners));
        print(*clients, &format!("{} of a hub", bench.followers), hub);
        print(*clients, &format!("{} learners", bench.followers), learners);
        println!("{clients:>7} {:<16} {:>9.2}", "ratio", hub.writes_s / learners.writes_s);
        println!("{clients:>7} {:<16} {:>9.2}", "by the busiest", learners.busiest_us_per_write / hub.busiest_us_per_write);
    }
    for stream in &mut streams {
        ensure!(!stream.is_finished(), "a follower lost its hub: {:?}", stream.await);
    }
    followed.end().await;
    taught.end().await;
    Ok(())
}

type Stream = tokio::task::JoinHandle<Result<()>>;

impl Followers {
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
