//! `/api/v1/zones`.

mod body;
pub(super) mod explain;
pub(super) mod purges;
mod shape;

use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ETAG, IF_MATCH, LOCATION},
};
use ncore_domain::{AckLevel, Domain, Seen, ShownZone};
use ncore_model::{Scope, Zone, ZoneId};
use serde_json::json;

use super::{
    auth::authorize,
    page::{Page, query},
    refusal::{Answer, Invalid, Refusal, answer, not_found},
};
use crate::{
    front::{Shared, at},
    problem::Problem,
    v2::{ack, idempotency_key},
};
use body::Wanted;

/// `GET /api/v1/zones?page=&per_page=&type=`
pub(super) async fn list(State(domain): Shared, request: Request) -> Answer {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::ZonesRead).await?;
    let query = query(&head.uri)?;
    let page = Page::of(&query)?;
    let kind = query.one("type").map_err(|error| Invalid::one("type", error.to_string()))?;
    let url = format!("{}/api/v1/zones", domain.public_url());
    let filter = kind.map(|kind| format!("type={kind}&")).unwrap_or_default();
    match kind {
        None | Some("cdn") => {
            let seen = domain.zones().list(&caller.client, page.skip(), page.limit()).await.map_err(Problem::from)?;
            let rows: Vec<_> = seen.value.zones.iter().map(|shown| shape::listed(&shown.zone)).collect();
            Ok(answer(seen.revision, StatusCode::OK, &page.document(&url, &filter, seen.value.total, &rows)))
        }
        // There are none of these yet.
        Some("accelerator") => Ok(answer(domain.revision(), StatusCode::OK, &page.document(&url, &filter, 0, &[]))),
        Some(_) => Err(Invalid::one("type", "The selected type is invalid.").into()),
    }
}

pub(super) async fn show(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Answer {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::ZonesRead).await?;
    let seen = domain.zones().show(Some(&caller.client), named(id)?).await?;
    Ok(shown(StatusCode::OK, &seen))
}

pub(super) async fn create(State(domain): Shared, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::ZonesWrite).await?;
    let once = idempotency_key(&head.headers)?;
    let new = Wanted::read(&head.headers, body).await?.zone()?;
    let seen = domain.zones().create(&caller.client, new, once.as_ref()).await?;
    let mut response = shown(StatusCode::CREATED, &seen);
    if let Ok(location) = HeaderValue::try_from(format!("/api/v1/zones/{}", seen.value.zone.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `PUT` and `PATCH`: what is left out stays.
pub(super) async fn update(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::ZonesWrite).await?;
    let id = named(id)?;
    let once = idempotency_key(&head.headers)?;
    domain.zones().get(Some(&caller.client), id).await?;
    let mut change = Wanted::read(&head.headers, body).await?.change(caller.client, id);
    change.update.versions = versions(&head.headers);
    let seen = domain.zones().update(change, once.as_ref()).await?;
    Ok(shown(StatusCode::OK, &seen))
}

pub(super) async fn remove(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Answer {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::ZonesWrite).await?;
    let id = named(id)?;
    let once = idempotency_key(&head.headers)?;
    let level = ack::level(&head.headers, AckLevel::Committed);
    let removed = domain.zones().remove(&caller.client, id, versions(&head.headers), once.as_ref(), level).await;
    let (revision, acknowledged) = removed?;
    Ok(at(revision, ack::say(&acknowledged, StatusCode::NO_CONTENT)))
}

fn shown(status: StatusCode, seen: &Seen<ShownZone>) -> axum::response::Response {
    let mut response = answer(seen.revision, status, &json!({ "data": shape::whole(&seen.value) }));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", seen.value.zone.version)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The id in the path.
fn named(id: Result<Path<String>, PathRejection>) -> Result<ZoneId, Problem> {
    id.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(not_found)
}

/// The versions that `If-Match` names, of which the zone must have one. A tag that no zone of ours ever had is none of them.
fn versions(headers: &HeaderMap) -> Option<Vec<u64>> {
    let mut values = headers.get_all(IF_MATCH).into_iter().peekable();
    values.peek()?;
    let tags: Vec<&str> = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim).collect();
    if tags.contains(&"*") {
        return None;
    }
    let version = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    Some(tags.into_iter().filter_map(version).collect())
}

/// The zone of the caller's that a purge is about.
async fn zone(domain: &Domain, client: &ncore_model::ClientId, id: ZoneId) -> Result<Seen<Zone>, Refusal> {
    domain.zones().get(Some(client), id).await.map_err(Refusal::from)
}
