//! The figures, for people.

use anyhow::Result;

use super::{CacheBench, Size, Way};
use crate::{load::Figures, slicing::Slicing};

/// What was measured of one server in one case.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Or why it was not.
    pub(super) measured: Result<Measured>,
}

/// What was measured.
pub(super) struct Measured {
    /// As much as came through.
    pub(super) free: Figures,
    /// At the rate of all.
    pub(super) paced: Option<Figures>,
}

pub(super) fn print_head(settings: &CacheBench) {
    let CacheBench { slicing: Slicing { seconds, connections, rounds, .. }, streams, .. } = settings;
    println!(
        "one core for the server, one for the load and the origin; {connections} requests at a time ({streams} streams a connection over HTTP/2); \
         slices of {seconds} s, the median of {rounds}"
    );
    println!("ratio: how many times as much ncore does. core: of the server and of the load, in per cent; LIMIT: whose is used up");
    println!(
        "{:<14} {:>10} {:>6} {:>8} {:>8} {:>9} {:>8} {:>9} {:<6}   {:>10} {:>8} {:>9} {:>8}",
        "", "req/s", "ratio", "p50 ms", "p99 ms", "CPU µs", "CPU s", "core", "LIMIT", "at req/s", "p99 ms", "CPU µs", "CPU s"
    );
    println!(
        "{:<14} {:>10} {:>6} {:>8} {:>8} {:>9} {:>8} {:>9} {:<6}   {:>10} {:>8} {:>9} {:>8}",
        "", "", "", "", "", "a req", "a GB", "", "", "", "", "a req", "a GB"
    );
}

/// The first of the rows is ours.
pub(super) fn print_case(way: Way, size: Size, rows: &[Row]) {
    println!("{} {}", way.name(), size.name());
    let ours = rows.first().and_then(|row| row.measured.as_ref().ok()).map_or(f64::NAN, |ours| ours.free.requests_s);
    for Row { name, measured } in rows {
        let Measured { free, paced } = match measured {
            Ok(measured) => measured,
            Err(error) => {
                // What generators say has many lines.
                let why = format!("{error:#}");
                println!("  {name:<12} failed: {}", why.split_whitespace().collect::<Vec<_>>().join(" "));
                continue;
            }
        };
        let core = format!("{:.0}/{:.0}", free.server_share * 100.0, free.load_share * 100.0);
        print!(
            "  {name:<12} {:>10.0} {:>6.2} {:>8.3} {:>8.3} {:>9.1} {:>8.2} {core:>9} {:<6}",
            free.requests_s,
            ours / free.requests_s,
            free.p50_ms,
            free.p99_ms,
            free.cpu_s_per_request * 1e6,
            free.cpu_s_per_gb,
            limit(free),
        );
        match paced {
            Some(paced) => println!(
                "   {:>10.0} {:>8.3} {:>9.1} {:>8.2}",
                paced.requests_s,
                paced.p99_ms,
                paced.cpu_s_per_request * 1e6,
                paced.cpu_s_per_gb
            ),
            None => println!(),
        }
    }
}

pub(super) fn print_unable(name: &str, why: &str) {
    println!("  {name:<12} {why}");
}

/// Which core is used up, as nearly as ticks of a hundredth of a second tell.
fn limit(figures: &Figures) -> &'static str {
    match (figures.server_share > USED_UP, figures.load_share > USED_UP) {
        (true, true) => "both",
        (true, false) => "server",
        (false, true) => "load",
        (false, false) => "none",
    }
}

const USED_UP: f64 = 0.93;
