//! Putting load on a server, and reading what it cost.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::servers::Server;
use crate::process::{LOAD_CORE, cpu_seconds};

/// What a measurement gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) requests_s: f64,
    pub(crate) cpu_s_per_request: f64,
    pub(crate) cpu_s_per_gb: f64,
}

/// Runs `wrk` against `url`, pinned to its own core.
pub(crate) fn measure(server: &impl Server, url: &str, connections: u32, duration: Duration) -> Result<Figures> {
    // A short run first: files in the page cache, slices in memory, connections made.
    wrk(url, connections, Duration::from_secs(1))?;
    let cpu_before = cpu_seconds(&server.processes()?)?;
    let report = wrk(url, connections, duration)?;
    let cpu = cpu_seconds(&server.processes()?)? - cpu_before;
    ensure!(!report.contains("Non-2xx"), "{url} was not answered with 200:\n{report}");
    let requests: f64 = before(&report, " requests in ")?.parse().context("wrk's count of requests")?;
    let requests_s: f64 = after(&report, "Requests/sec:")?.parse().context("wrk's rate")?;
    let bytes = bytes_read(&report)?;
    ensure!(requests > 0.0, "{url} gave nothing:\n{report}");
    Ok(Figures { requests_s, cpu_s_per_request: cpu / requests, cpu_s_per_gb: cpu / (bytes / 1e9) })
}

fn wrk(url: &str, connections: u32, duration: Duration) -> Result<String> {
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE, "wrk", "-t1", &format!("-c{connections}"), &format!("-d{}s", duration.as_secs()), url])
        .output()
        .context("cannot run wrk under taskset; are both installed?")?;
    ensure!(output.status.success(), "wrk failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `12 requests in 5.00s, 1.23MB read`.
fn bytes_read(report: &str) -> Result<f64> {
    let text = report.split(" requests in ").nth(1).and_then(|rest| rest.split(", ").nth(1)).and_then(|rest| rest.split(" read").next());
    let text = text.context("wrk did not say how much it read")?;
    let split = text.find(|c: char| c.is_ascii_alphabetic()).context("wrk's amount has no unit")?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "B" => 1.0,
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        other => anyhow::bail!("wrk's unit {other}"),
    };
    Ok(number.parse::<f64>()? * factor)
}

fn before<'a>(report: &'a str, marker: &str) -> Result<&'a str> {
    let head = report.split(marker).next().filter(|head| head.len() < report.len());
    head.and_then(|head| head.split_whitespace().last()).with_context(|| format!("wrk did not say {marker:?}"))
}

fn after<'a>(report: &'a str, marker: &str) -> Result<&'a str> {
    let tail = report.split(marker).nth(1);
    tail.and_then(|tail| tail.split_whitespace().next()).with_context(|| format!("wrk did not say {marker:?}"))
}
