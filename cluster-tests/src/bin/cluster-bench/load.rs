//! Putting load on a server, and reading what it cost: `wrk` for as many requests as come through over HTTP/1.1, `h2load` over HTTP/2
//! and wherever a rate is given, and readers of our own where copying what comes would be most of the work. All run on the core of the
//! load, and end by themselves.

mod discard;
mod h2load;
mod wrk;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::process::{LOAD_CORE, cpu_seconds, cpu_seconds_of_load};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) tls: bool,
    /// Of loopback.
    pub(crate) port: u16,
    /// The host that is named, if it is another than the address.
    pub(crate) host: Option<&'a str>,
    pub(crate) path: &'a str,
}

/// How it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) by: By<'a>,
    pub(crate) connections: u32,
    pub(crate) duration: Duration,
}

/// What asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    /// `wrk`, over HTTP/1.1, with a script that makes the requests if there is one.
    Wrk(Option<&'a Path>),
    /// Readers that throw away what comes, over HTTP/1.1 without TLS.
    Discard,
    /// `h2load`, over HTTP/2, with so many streams at a time on each connection.
    H2load { streams: u32 },
    /// `h2load`, so many requests a second over all connections, over HTTP/1.1 or with so many streams over HTTP/2.
    Paced { streams: Option<u32>, requests_s: f64 },
}

/// What a measurement gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) requests_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_s_per_request: f64,
    pub(crate) cpu_s_per_gb: f64,
    /// How much of its core each side used, from 0 to 1.
    pub(crate) server_share: f64,
    pub(crate) load_share: f64,
    pub(crate) requests: f64,
}

/// What a generator says of its run.
#[derive(Debug, Clone, Copy)]
struct Report {
    requests: f64,
    requests_s: f64,
    bytes: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Puts `load` on a server, all of whose processes are given.
pub(crate) fn measure(processes: &[u32], target: Target<'_>, load: Load<'_>) -> Result<Figures> {
    // A server may have a process that ends by itself, as nginx has for a minute.
    let of_each: Vec<(u32, f64)> = processes.iter().filter_map(|process| Some((*process, cpu_seconds(*process).ok()?))).collect();
    let before = (Instant::now(), cpu_seconds_of_load()?);
    let report = run(target, load)?;
    let elapsed_s = before.0.elapsed().as_secs_f64();
    let cpu_s: f64 = of_each.iter().filter_map(|(process, before)| Some(cpu_seconds(*process).ok()? - before)).sum();
    let load_cpu_s = cpu_seconds_of_load()? - before.1;
    let Report { requests, requests_s, bytes, p50_ms, p99_ms } = report;
    ensure!(requests > 0.0, "{target:?} gave nothing");
    Ok(Figures {
        requests_s,
        p50_ms,
        p99_ms,
        cpu_s_per_request: cpu_s / requests,
        cpu_s_per_gb: cpu_s / (bytes / 1e9),
        server_share: cpu_s / elapsed_s,
        load_share: load_cpu_s / elapsed_s,
        requests,
    })
}

/// Puts load on a server for a moment: files in the page cache, slices in memory, code in the processor's.
pub(crate) fn warm_up(target: Target<'_>, load: Load<'_>) -> Result<()> {
    run(target, Load { duration: Duration::from_secs(1), ..load }).map(drop)
}

/// The figures whose rate is the median of all.
pub(crate) fn median(mut rounds: Vec<Figures>) -> Result<Figures> {
    rounds.sort_by(|a, b| a.requests_s.total_cmp(&b.requests_s));
    rounds.get(rounds.len() / 2).copied().context("nothing was measured")
}

fn run(target: Target<'_>, load: Load<'_>) -> Result<Report> {
    match load.by {
        By::Wrk(script) => wrk::run(target, load, script),
        By::Discard => discard::run(target, load),
        By::H2load { streams } => h2load::run(target, load, Some(streams), None),
        By::Paced { streams, requests_s } => h2load::run(target, load, streams, Some(requests_s)),
    }
}

/// What `program` prints, on the core of the load. It is ended if it is not done long after it should be.
fn output(program: &str, duration: Duration, arguments: impl FnOnce(&mut Command)) -> Result<String> {
    let end = (duration + PATIENCE).as_secs().to_string();
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "timeout", "-k", "5", &end, program]);
    arguments(&mut command);
    let output = command.output().with_context(|| format!("cannot run {program} under taskset; are both installed?"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{program} failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// The word before `marker`.
fn before<'a>(report: &'a str, marker: &str) -> Result<&'a str> {
    let head = report.split(marker).next().filter(|head| head.len() < report.len());
    head.and_then(|head| head.split_whitespace().last()).with_context(|| format!("the load did not say {marker:?}: {report}"))
}

/// The word after `marker`.
fn after<'a>(report: &'a str, marker: &str) -> Result<&'a str> {
    let tail = report.split(marker).nth(1);
    tail.and_then(|tail| tail.split_whitespace().next()).with_context(|| format!("the load did not say {marker:?}: {report}"))
}

/// How long a generator may take beyond the time that it was given.
const PATIENCE: Duration = Duration::from_secs(30);
