//! `wrk`, and what it prints.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{Load, Report, Target, after, before, output};

/// Runs it for as long as `load` says.
pub(super) fn run(target: Target<'_>, load: Load<'_>, script: Option<&Path>) -> Result<Report> {
    let Target { tls, port, host, path } = target;
    let url = format!("{}://127.0.0.1:{port}{path}", if tls { "https" } else { "http" });
    let said = output("wrk", load.duration, |wrk| {
        wrk.args(["-t1", "--latency", &format!("-c{}", load.connections), &format!("-d{}s", load.duration.as_secs())]);
        if let Some(host) = host {
            wrk.args(["-H", &format!("Host: {host}")]);
        }
        if let Some(script) = script {
            wrk.arg("-s").arg(script);
        }
        wrk.arg(&url);
    })?;
    ensure!(!said.contains("Non-2xx"), "{url} was not answered with 200:\n{said}");
    Ok(Report {
        requests: before(&said, " requests in ")?.parse().context("wrk's count of requests")?,
        requests_s: after(&said, "Requests/sec:")?.parse().context("wrk's rate")?,
        bytes: bytes_read(&said)?,
        p50_ms: milliseconds(after(&said, " 50%")?)?,
        p99_ms: milliseconds(after(&said, " 99%")?)?,
    })
}

/// `12 requests in 5.00s, 1.23MB read`.
fn bytes_read(report: &str) -> Result<f64> {
    let text = report.split(" requests in ").nth(1).and_then(|rest| rest.split(", ").nth(1)).and_then(|rest| rest.split(" read").next());
    let (number, unit) = number_and_unit(text.context("wrk did not say how much it read")?)?;
    let factor = match unit {
        "B" => 1.0,
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        other => bail!("wrk's unit {other}"),
    };
    Ok(number * factor)
}

/// `12.34ms`.
fn milliseconds(text: &str) -> Result<f64> {
    let (number, unit) = number_and_unit(text)?;
    let factor = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        other => bail!("wrk's unit {other}"),
    };
    Ok(number * factor)
}

fn number_and_unit(text: &str) -> Result<(f64, &str)> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).with_context(|| format!("wrk's amount {text} has no unit"))?;
    let (number, unit) = text.split_at(split);
    Ok((number.parse()?, unit))
}
