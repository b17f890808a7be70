//! Measurements beside other programs, each in one run on one machine: the servers on the first core, the load on the second, the
//! same load for both, one after the other. Nothing is asserted: figures are for people. `docs/benchmarks.md` says what is
//! compared and what the figures do not say.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

mod cache;
mod cached;
mod clients;
mod data_plane;
mod etcd;
mod followers;
mod learner;
mod load;
mod machine;
mod member;
mod million;
mod node;
mod process;
mod reader;
mod servers;
mod slicing;
mod summary;
mod voters;
mod whole;
mod writes;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The allocator of `ncore`, for what is measured in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure beside other programs
#[derive(Parser)]
#[command(name = "cluster-bench", max_term_width = 100)]
struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The data plane beside nginx: requests a second and what they cost
    DataPlane(data_plane::DataPlane),
    /// Committed metadata writes beside etcd: 3 voters, mutual TLS, every write durable on a majority
    Writes(writes::Writes),
    /// The rate of writes that 50 followers of a hub leave, beside that which 50 learners of Raft leave
    Followers(followers::Followers),
    /// The cache of zones beside nginx, Varnish and Traffic Server: hits and misses a second, and what they cost
    Cache(cache::CacheBench),
    /// The store of cached entries: memory for each, puts and lookups a second
    Cached(cached::CachedEntries),
    /// One node with very many small assets: memory, listing, restart, checkpoint
    Million(million::Million),
    /// What is measured as hyper alone
    #[command(hide = true)]
    Answer { port: u16 },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Bench::parse().what {
        What::DataPlane(bench) => data_plane::run(&bench).await,
        What::Writes(bench) => writes::run(&bench).await,
        What::Followers(bench) => followers::run(&bench).await,
        What::Cache(bench) => bench.run().await,
        What::Cached(bench) => bench.run(),
        What::Million(bench) => bench.run().await,
        What::Answer { port } => cache::answer(port).await,
    }
}
