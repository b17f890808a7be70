//! The data plane beside nginx: the same files over HTTP/1.1, plain and with TLS, in one run on one machine.
//!
//! Each server is pinned to the first core and runs alone; the load (`wrk`) is pinned to the second. Per file and protocol the
//! run prints requests a second, CPU seconds of the server per request and per GB sent, and our ratio to nginx. Nothing is
//! asserted: figures are for people. Needs `nginx`, `wrk` and `taskset`.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

use crate::{
    load::{self, By, Figures, Target},
    servers::{self, Ncore, Nginx, Server},
    slicing::Slicing,
};

/// What to measure, and for how long.
#[derive(Args)]
pub(crate) struct DataPlane {
    #[command(flatten)]
    slicing: Slicing,
}

/// Name and size in bytes of the files that are served.
const FILES: [(&str, usize); 3] = [("1KB", 1_000), ("100KB", 100_000), ("10MB", 10_000_000)];

/// Measures, and prints the figures.
pub(crate) async fn run(bench: &DataPlane) -> Result<()> {
    let Slicing { ncore: binary, seconds, connections, rounds } = &bench.slicing;
    bench.slicing.check()?;
    let dir = TempDir::new()?;
    let files = dir.path().join("www/assets/bench");
    fs::create_dir_all(&files)?;
    let mut random = SmallRng::seed_from_u64(1);
    for (name, size) in FILES {
        let mut content = vec![0; size];
        random.fill_bytes(&mut content);
        fs::write(files.join(name), content)?;
    }
    servers::certificate(dir.path())?;
    let nginx = Nginx::start(dir.path()).context("cannot start nginx; is it installed?")?;
    let ncore = Ncore::start(binary, dir.path(), "").await.context("cannot start ncore")?;
    ncore.push(&files).await?;

    println!("one core for the server, one for the load; wrk -t1 -c{connections} -d{seconds}s; median of {rounds}");
    println!(
        "{:<6} {:<6} {:>12} {:>12} {:>7}   {:>21} {:>7}   {:>19} {:>7}",
        "proto", "file", "ncore req/s", "nginx req/s", "ratio", "CPU µs/req (us/nginx)", "ratio", "CPU s/GB (us/nginx)", "ratio"
    );
    for tls in [false, true] {
        for (name, _) in FILES {
            let ours = bench.median(&ncore, tls, name)?;
            let theirs = bench.median(&nginx, tls, name)?;
            print(if tls { "TLS" } else { "HTTP" }, name, ours, theirs);
        }
    }
    Ok(())
}

impl DataPlane {
    fn median(&self, server: &impl Server, tls: bool, file: &str) -> Result<Figures> {
        let path = format!("/assets/bench/{file}");
        let target = Target { tls, port: server.port(tls), host: None, path: &path };
        let load = self.slicing.load(By::Wrk(None));
        let mut rounds = Vec::with_capacity(self.slicing.rounds);
        for _ in 0..self.slicing.rounds {
            load::warm_up(target, load)?;
            rounds.push(load::measure(&server.processes()?, target, load)?);
        }
        load::median(rounds)
    }
}

fn print(proto: &str, file: &str, ours: Figures, theirs: Figures) {
    let [our_us, their_us] = [ours, theirs].map(|figures| figures.cpu_s_per_request * 1e6);
    println!(
        "{proto:<6} {file:<6} {:>12.0} {:>12.0} {:>7.2}   {our_us:>10.1}/{their_us:<10.1} {:>7.2}   {:>9.2}/{:<9.2} {:>7.2}",
        ours.requests_s,
        theirs.requests_s,
        ours.requests_s / theirs.requests_s,
        our_us / their_us,
        ours.cpu_s_per_gb,
        theirs.cpu_s_per_gb,
        ours.cpu_s_per_gb / theirs.cpu_s_per_gb,
    );
}
