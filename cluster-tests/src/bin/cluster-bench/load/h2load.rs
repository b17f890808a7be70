//! `h2load`, what it prints, and what it writes of each request.

use std::fs;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Load, Report, Target, before, output};

/// Runs it for as long as `load` says: over HTTP/2 with `streams` at a time on each connection, or over HTTP/1.1; as fast as it can, or at a
/// rate over all connections.
pub(super) fn run(target: Target<'_>, load: Load<'_>, streams: Option<u32>, requests_s: Option<f64>) -> Result<Report> {
    let Target { tls, port, host, path } = target;
    let scheme = if tls { "https" } else { "http" };
    let (address, dir) = (format!("127.0.0.1:{port}"), TempDir::new()?);
    let (url, log) = (format!("{scheme}://{}{path}", host.unwrap_or(&address)), dir.path().join("requests"));
    let connections = (load.connections / streams.unwrap_or(1)).max(1);
    let said = output("h2load", load.duration, |h2load| {
        h2load.args(["-t1", "-D", &load.duration.as_secs().to_string(), "-c", &connections.to_string(), "--connect-to", &address]);
        match streams {
            Some(streams) => h2load.args(["-m", &streams.to_string()]),
            None => h2load.arg("--h1"),
        };
        if let Some(requests_s) = requests_s {
            h2load.args(["--rps", &format!("{:.3}", requests_s / f64::from(connections))]);
        }
        h2load.arg(format!("--log-file={}", log.display())).arg(&url);
    })?;
    let failed: f64 = before(&said, " failed,")?.parse().context("h2load's failures")?;
    ensure!(failed == 0.0 && said.contains(" 0 3xx, 0 4xx, 0 5xx"), "{url} was not answered with 200:\n{said}");
    let mut took_us = fs::read_to_string(&log)
        .context("what h2load writes of each request")?
        .lines()
        .map(|line| line.split('\t').nth(2).and_then(|took| took.parse().ok()).with_context(|| format!("h2load's line {line:?}")))
        .collect::<Result<Vec<f64>>>()?;
    took_us.sort_by(f64::total_cmp);
    Ok(Report {
        requests: before(&said, " succeeded,")?.parse().context("h2load's count of requests")?,
        requests_s: before(&said, " req/s,")?.parse().context("h2load's rate")?,
        bytes: before(&said, ") total,")?.trim_start_matches('(').parse().context("what h2load read")?,
        p50_ms: quantile_ms(&took_us, 50),
        p99_ms: quantile_ms(&took_us, 99),
    })
}

/// Of times in microseconds, the shortest first.
fn quantile_ms(took_us: &[f64], percent: usize) -> f64 {
    took_us.get(took_us.len() * percent / 100).copied().unwrap_or(f64::NAN) / 1e3
}
