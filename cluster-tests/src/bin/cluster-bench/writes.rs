//! Committed metadata writes beside etcd.
//!
//! Both have three members on the core of the servers and one process of load on the other core, mutual TLS everywhere, values of
//! the same size, and acknowledge what a majority has synced to disk. Ours: the load is a node that does not lead, and asks the
//! leader as the API of any node does, with a request id that the state remembers; it is answered when its own state has the change.
//! etcd's clients speak to the leader directly, which spares it a hop, and in further slices to a member that asks the leader, as ours
//! does.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tempfile::TempDir;

use crate::{
    clients::{Cluster, Slice, VALUE, measure},
    etcd::{Entrance, Etcd},
    member::Ours,
    process,
    summary::{Summary, median},
};

/// What to measure, and for how long.
#[derive(Args)]
pub(crate) struct Writes {
    /// The binary to measure
    #[arg(long)]
    ncore: PathBuf,
    /// How long each slice of a measurement takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many slices each of the two gets in turn; the median is printed
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Numbers of clients, each of which waits for an answer before it asks again
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256])]
    clients: Vec<usize>,
    /// Measure ncore alone
    #[arg(long)]
    alone: bool,
}

/// Measures, and prints the figures.
pub(crate) async fn run(bench: &Writes) -> Result<()> {
    ensure!(bench.rounds > 0 && bench.seconds > 0, "--rounds and --seconds must be at least 1");
    process::pin_this_process()?;
    let dir = TempDir::new()?;
    let etcd = match bench.alone {
        true => None,
        false => Etcd::start(&dir.path().join("etcd")).await?.map(Arc::new),
    };
    if etcd.is_none() && !bench.alone {
        println!("etcd is not installed (Debian: etcd-server), so there is nothing beside ncore");
    }
    let ours = Arc::new(Ours::start(&bench.ncore, dir.path()).await.context("cannot start ncore")?);
    println!(
        "3 members on one core, the load on the other; values of {VALUE} bytes; {} slices of {} s each in turn, medians",
        bench.rounds, bench.seconds
    );
    println!(
        "{:>7} {:<16} {:>9} {:>9} {:>9} {:>13} {:>13} {:>12}",
        "clients", "system", "writes/s", "p50 ms", "p99 ms", "syncs/write", "CPU µs/write", "the busiest"
    );
    for clients in &bench.clients {
        let (mut own, mut at_leader, mut at_follower) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            own.push(bench.slice(&ours, *clients).await.context("ncore")?);
            if let Some(etcd) = &etcd {
                at_leader.push(bench.slice(&etcd.through(Entrance::Leader), *clients).await.context("etcd")?);
                at_follower.push(bench.slice(&etcd.through(Entrance::Follower), *clients).await.context("etcd at a follower")?);
            }
        }
        let own = median(&own);
        print(*clients, "ncore", own);
        if etcd.is_some() {
            for (system, slices) in [("etcd, leader", at_leader), ("etcd, follower", at_follower)] {
                let others = median(&slices);
                print(*clients, system, others);
                println!("{clients:>7} {:<16} {:>9.2}", "ratio", own.writes_s / others.writes_s);
            }
        }
    }
    ours.end().await;
    Ok(())
}

impl Writes {
    async fn slice(&self, cluster: &Arc<impl Cluster>, clients: usize) -> Result<Slice> {
        measure(cluster, clients, Duration::from_secs(self.seconds)).await
    }
}

pub(crate) fn print(clients: usize, system: &str, figures: Summary) {
    println!(
        "{clients:>7} {system:<16} {:>9.0} {:>9.2} {:>9.2} {:>13.2} {:>13.1} {:>12.1}",
        figures.writes_s, figures.p50_ms, figures.p99_ms, figures.syncs_per_write, figures.cpu_us_per_write, figures.busiest_us_per_write
    );
}
