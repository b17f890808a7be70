//! `GET /api/v2/metrics?from=&to=&granularity=`: what a client used.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{StatusCode, Uri};
use ncore_domain::{Seen, UsageRange, UsageStep};
use ncore_model::{ClientId, Scope, UsageCounts, UsageUnit};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    auth::authorize,
    message::{form, json},
};
use crate::{
    front::{Shared, at},
    problem::{Kind, Problem},
};

pub(super) async fn show(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::MetricsRead).await?;
    let range = range(&head.uri, domain.now_s())?;
    let Seen { revision, value: steps } = domain.usage().of(&caller.client, range).await?;
    Ok(at(revision, json::respond(StatusCode::OK, &Metrics::new(caller.client, range, &steps))))
}

fn range(uri: &Uri, now_s: u64) -> Result<UsageRange, Problem> {
    let invalid = |detail: String| Problem::new(Kind::InvalidQuery, detail);
    let query = form::parse(uri.query().unwrap_or_default()).map_err(|error| invalid(format!("the query: {error}")))?;
    let one = |name| query.one(name).map_err(|error| invalid(error.to_string()));
    let seconds = |name| query.number(name).map_err(|error| invalid(error.to_string()));
    let unit = match one("granularity")? {
        None | Some("hour") => UsageUnit::Hour,
        Some("day") => UsageUnit::Day,
        Some(_) => return Err(invalid("granularity is hour or day".to_owned())),
    };
    UsageRange::new(unit, seconds("from")?, seconds("to")?, now_s).map_err(|error| invalid(error.to_string()))
}

/// The document.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Metrics {
    #[schemars(with = "String")]
    client_id: ClientId,
    from: u64,
    to: u64,
    granularity: &'static str,
    totals: Figures,
    series: Vec<Step>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Step {
    ts: u64,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Figures {
    requests: u64,
    bytes_out: u64,
    hits: u64,
    misses: u64,
    /// Of those that hit or missed; `null` if there were none.
    hit_rate: Option<f64>,
    status: Statuses,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Statuses {
    #[serde(rename = "2xx")]
    successes: u64,
    #[serde(rename = "3xx")]
    redirections: u64,
    #[serde(rename = "4xx")]
    client_errors: u64,
    #[serde(rename = "5xx")]
    server_errors: u64,
}

impl Metrics {
    fn new(client_id: ClientId, range: UsageRange, steps: &[UsageStep]) -> Self {
        let mut totals = UsageCounts::default();
        for step in steps {
            totals.add(&step.counts);
        }
        let series = steps.iter().map(|step| Step { ts: step.began_s, figures: Figures::from(step.counts) });
        let (from, to, granularity) = (range.from_s(), range.until_s(), range.unit().as_str());
        Self { client_id, from, to, granularity, totals: totals.into(), series: series.collect() }
    }
}

impl From<UsageCounts> for Figures {
    fn from(counts: UsageCounts) -> Self {
        let UsageCounts { statuses, bytes_out, hits, misses } = counts;
        let [successes, redirections, client_errors, server_errors] = statuses;
        Self {
            requests: counts.requests(),
            bytes_out,
            hits,
            misses,
            hit_rate: hit_rate(hits, misses),
            status: Statuses { successes, redirections, client_errors, server_errors },
        }
    }
}

/// To four digits: more would say what nobody counted.
fn hit_rate(hits: u64, misses: u64) -> Option<f64> {
    let all = u128::from(hits) + u128::from(misses);
    let ten_thousandths = (u128::from(hits) * 10_000).checked_div(all)?;
    u32::try_from(ten_thousandths).ok().map(|rate| f64::from(rate) / 10_000.0)
}
