//! `GET /api/v2/logs` and `GET /api/v2/logs/stream`: the access log. A client sees its own requests, at whichever node they were made; an
//! administrator sees all.

mod cursor;
mod stream;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderValue, StatusCode, Uri, header::LINK, request::Parts};
use ncore_domain::{Domain, LogEntry, LogPage, Logs, NodeAnswer, Viewer, percent};
use ncore_model::Scope;
use ncore_telemetry::{AccessLine, AccessQuery};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    auth,
    message::{form, json},
};
use crate::{
    front::{Shared, presented},
    problem::{Kind, Problem},
};

pub(super) use stream::follow;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// Who wants to see the log.
///
/// # Errors
/// Whatever is wrong with the credentials.
async fn viewer(domain: &Domain, head: &Parts) -> Result<Viewer, Problem> {
    if auth::shows_administrator(&head.headers) {
        auth::administrator(domain, head).await?;
        presented(&head.headers)?;
        return Ok(Viewer::Operator);
    }
    let caller = auth::authorize(domain, head, Scope::MetricsRead).await?;
    Ok(Viewer::Client(caller.client))
}

/// Whether who was let in as this viewer still is one.
async fn is_still(viewer: &Viewer, domain: &Domain, head: &Parts) -> bool {
    match viewer {
        Viewer::Operator => auth::administrator(domain, head).await.is_ok(),
        Viewer::Client(client) => auth::still(domain, head, Scope::MetricsRead).await.is_ok_and(|caller| caller.client == *client),
    }
}

/// `GET /api/v2/logs?from=&to=&status=&prefix=&limit=&cursor=`
pub(super) async fn list(State(domain): Shared, Extension(logs): Extension<Arc<Logs>>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let viewer = viewer(&domain, &head).await?;
    let wanted = LogQuery::parse(&head.uri)?;
    let list = cursor::List { viewer: &viewer, query: &wanted.query };
    let mut query = wanted.query.clone();
    if let Some(cursor) = &wanted.cursor {
        let damaged = || Problem::new(Kind::InvalidCursor, "the cursor is damaged, or of another list");
        query.before = Some(list.position(cursor).ok_or_else(damaged)?);
    }
    let page = logs.find(&viewer, query, wanted.limit).await;
    let next_cursor = page.entries.last().filter(|_| page.has_more).map(|entry| list.cursor(entry.position()));
    let link = next_cursor.as_deref().map(|cursor| wanted.next(cursor));
    let mut response = json::respond(StatusCode::OK, &Document::new(&page, next_cursor));
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// A page of the log.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Document {
    /// The newest first.
    logs: Vec<AccessLine>,
    next_cursor: Option<String>,
    has_more: bool,
    /// Every node of the cluster. What those have that did not answer is not in `logs`.
    nodes: Vec<Answered>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Answered {
    node: String,
    node_id: u64,
    /// Whether it answered in time.
    answered: bool,
    /// How far back its log goes, in Unix seconds; `null` if it has no record, or did not answer.
    since: Option<u64>,
}

impl Document {
    fn new(page: &LogPage, next_cursor: Option<String>) -> Self {
        let line = |entry: &LogEntry| AccessLine::new(&entry.record, &entry.node.name);
        let answered = |answer: &NodeAnswer| Answered {
            node: answer.node.name.to_string(),
            node_id: answer.node.id.0,
            answered: answer.answered,
            since: answer.oldest_us.map(|us| us / US_PER_S),
        };
        Self {
            logs: page.entries.iter().map(line).collect(),
            next_cursor,
            has_more: page.has_more,
            nodes: page.nodes.iter().map(answered).collect(),
        }
    }
}

/// What a page is asked for.
struct LogQuery {
    query: AccessQuery,
    limit: usize,
    cursor: Option<String>,
    /// The filters, as they stand in the address of the next page.
    filters: String,
}

impl LogQuery {
    fn parse(uri: &Uri) -> Result<Self, Problem> {
        let query = form::parse(uri.query().unwrap_or_default()).map_err(|error| invalid(format!("the query: {error}")))?;
        let one = |name| query.one(name).map_err(|error| invalid(error.to_string()));
        let mut filters = String::new();
        for name in ["from", "to", "status", "prefix"] {
            if let Some(value) = one(name)? {
                filters.push_str(&format!("&{name}={}", percent::query(value)));
            }
        }
        let seconds = |name| query.number(name).map_err(|error| invalid(error.to_string()));
        let (from, until) = (seconds("from")?, seconds("to")?);
        if let (Some(from), Some(until)) = (from, until)
            && from >= until
        {
            return Err(invalid("from must be before to"));
        }
        let limit = query.limit(LIMIT_DEFAULT, LIMIT_MAX).map_err(|error| invalid(error.to_string()))?;
        Ok(Self {
            query: AccessQuery {
                from_us: from.map(|seconds| seconds.saturating_mul(US_PER_S)),
                until_us: until.map(|seconds| seconds.saturating_mul(US_PER_S)),
                statuses: one("status")?.map(statuses).transpose()?,
                prefix: one("prefix")?.map(str::to_owned),
                ..AccessQuery::default()
            },
            limit,
            cursor: one("cursor")?.map(str::to_owned),
            filters,
        })
    }

    /// Where the next page is (RFC 8288).
    fn next(&self, cursor: &str) -> String {
        format!("</api/v2/logs?limit={}{}&cursor={cursor}>; rel=\"next\"", self.limit, self.filters)
    }
}

/// A status, or the hundreds of one: `404`, `4xx`.
fn statuses(text: &str) -> Result<(u16, u16), Problem> {
    let wrong = || invalid("status is a status such as 404, or a class of them such as 4xx");
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class)).ok_or_else(wrong)?;
        return Ok((class * 100, class * 100 + 99));
    }
    let status: u16 = text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(wrong)?;
    Ok((status, status))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::InvalidQuery, detail)
}

const US_PER_S: u64 = 1_000_000;
