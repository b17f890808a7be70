//! `GET /api/v1/zones/{uuid}/explain?url=&header=&node=`: why a request would be answered as it would, at each node.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request, State, rejection::PathRejection},
};
use http::{StatusCode, request::Parts};
use ncore_domain::{AskedNodes, Domain, ExplainError, Explains, Seen, ZoneExplained, ZoneQuestion};
use ncore_model::{Scope, Zone, ZoneId};
use serde_json::{Value, json};

use super::named;
use crate::{
    front::{Shared, presented},
    v1::{
        auth::authorize,
        page::query,
        refusal::{Answer, Invalid, Refusal, answer},
    },
    v2::{administrator, shows_administrator},
};

pub(crate) async fn explain(
    State(domain): Shared,
    Extension(explains): Extension<Arc<Explains>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Answer {
    let (head, _) = request.into_parts();
    let seen = zone(&domain, &head, id).await?;
    let query = query(&head.uri)?;
    let one = |name: &'static str| query.one(name).map_err(|error| Invalid::one(name, error.to_string()));
    let url = one("url")?.ok_or_else(|| Invalid::one("url", "The url field is required."))?;
    let (host, target) = ZoneQuestion::split(url).map_err(|error| Invalid::one("url", error.to_string()))?;
    let host = host.unwrap_or_else(|| seen.value.cdn_hostname.clone());
    if !seen.value.hosts().any(|own| own == host) {
        return Err(Invalid::one("url", "The host of the url is none of the zone's.").into());
    }
    let fields = ZoneQuestion::fields(query.all("header")).map_err(|error| Invalid::one("header", error.to_string()))?;
    let asked = one("node")?.map_or(AskedNodes::All, |name| AskedNodes::Named(name.to_owned()));
    let question = ZoneQuestion { zone: seen.value.id, host, target, fields };
    let explained = explains.ask(&question, &asked).await;
    if explained.is_empty() {
        return Err(Invalid::one("node", "There is no such node.").into());
    }
    if let Some(what) = explained.iter().find_map(malformed) {
        return Err(Invalid::one("url", format!("No request can have this: {what}.")).into());
    }
    let nodes: Vec<Value> = explained.iter().map(shown).collect();
    Ok(answer(seen.revision, StatusCode::OK, &json!({ "data": { "uuid": question.zone.to_string(), "nodes": nodes } })))
}

/// The zone, if it is the caller's, or the caller an administrator.
async fn zone(domain: &Domain, head: &Parts, id: Result<Path<String>, PathRejection>) -> Result<Seen<Zone>, Refusal> {
    let client = if shows_administrator(&head.headers) {
        administrator(domain, head).await?;
        presented(&head.headers)?;
        None
    } else {
        Some(authorize(domain, head, Scope::ZonesRead).await?.client)
    };
    let id: ZoneId = named(id)?;
    Ok(domain.zones().get(client.as_ref(), id).await?)
}

fn malformed(explained: &ZoneExplained) -> Option<&str> {
    match &explained.said {
        Err(ExplainError::Malformed(what)) => Some(what),
        _ => None,
    }
}

fn shown(explained: &ZoneExplained) -> Value {
    let ZoneExplained { node, said } = explained;
    match said {
        Ok(document) => json!({ "node": &*node.name, "answered": true, "explanation": document }),
        // Where nodes are is not for everybody: the cause stays out.
        Err(error) => json!({ "node": &*node.name, "answered": false, "error": error.to_string() }),
    }
}
