//! `/api/v1/zones/{uuid}/purge`.

use axum::extract::{Path, Request, State, rejection::PathRejection};
use http::StatusCode;
use ncore_domain::{AckLevel, purge_target};
use ncore_model::{MAX_PURGE_TARGETS, Scope, ZonePurgeTarget};
use serde_json::{Value, json};

use super::{body, named, shape, zone};
use crate::{
    front::Shared,
    v1::{
        auth::authorize,
        page::{Page, query},
        refusal::{Answer, Invalid, answer, not_found},
    },
    v2::{ack, idempotency_key},
};

/// `POST`: everything, or some paths.
pub(crate) async fn purge(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::CachePurge).await?;
    let id = named(id)?;
    let once = idempotency_key(&head.headers)?;
    zone(&domain, &caller.client, id).await?;
    let targets = targets(&body::object(&head.headers, body).await?)?;
    let level = ack::level(&head.headers, AckLevel::Committed);
    let purged = domain.zones().purge(&caller.client, id, targets, once.as_ref(), level).await?;
    let response = answer(purged.revision, StatusCode::ACCEPTED, &json!({ "data": shape::purge(&purged.state) }));
    Ok(ack::say(&purged.acknowledged, response))
}

/// `GET`, with `page`, `per_page` and `status`.
pub(crate) async fn list(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Answer {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::ZonesRead).await?;
    let id = named(id)?;
    zone(&domain, &caller.client, id).await?;
    let query = query(&head.uri)?;
    let page = Page::of(&query)?;
    let status = query.one("status").map_err(|error| Invalid::one("status", error.to_string()))?;
    if status.is_some_and(|status| !["pending", "processing", "completed", "failed"].contains(&status)) {
        return Err(Invalid::one("status", "The selected status is invalid.").into());
    }
    let url = format!("{}/api/v1/zones/{id}/purge", domain.public_url());
    let Some(status) = status else {
        let seen = domain.zones().purges(&caller.client, id, page.skip(), page.limit()).await?;
        let rows: Vec<Value> = seen.value.purges.iter().map(shape::purge).collect();
        return Ok(answer(seen.revision, StatusCode::OK, &page.document(&url, "", seen.value.total, &rows)));
    };
    let seen = domain.zones().purges(&caller.client, id, 0, usize::MAX).await?;
    let rows: Vec<Value> = seen.value.purges.iter().filter(|state| shape::status(state) == status).map(shape::purge).collect();
    let total = rows.len();
    let rows: Vec<Value> = rows.into_iter().skip(page.skip()).take(page.limit()).collect();
    Ok(answer(seen.revision, StatusCode::OK, &page.document(&url, &format!("status={status}&"), total, &rows)))
}

pub(crate) async fn show(State(domain): Shared, ids: Result<Path<(String, String)>, PathRejection>, request: Request) -> Answer {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::ZonesRead).await?;
    let Path((zone, purge)) = ids.map_err(|_| not_found())?;
    let zone = zone.parse().map_err(|()| not_found())?;
    let index = purge.strip_prefix("purge_").and_then(|index| index.parse().ok()).ok_or_else(not_found)?;
    let seen = domain.zones().purge_state(&caller.client, zone, index).await?;
    Ok(answer(seen.revision, StatusCode::OK, &json!({ "data": shape::purge(&seen.value) })))
}

/// What a purge is about.
fn targets(wanted: &serde_json::Map<String, Value>) -> Result<Vec<ZonePurgeTarget>, Invalid> {
    match wanted.get("type").and_then(Value::as_str) {
        Some("all") => return Ok(vec![ZonePurgeTarget::Zone]),
        Some("path") => {}
        Some(_) => return Err(Invalid::one("type", "The selected type is invalid.")),
        None => return Err(Invalid::one("type", "The type field is required.")),
    }
    let Some(paths) = wanted.get("paths").and_then(Value::as_array).filter(|paths| !paths.is_empty()) else {
        return Err(Invalid::one("paths", "The paths field is required when type is path."));
    };
    if paths.len() > MAX_PURGE_TARGETS {
        return Err(Invalid::one("paths", format!("The paths may not have more than {MAX_PURGE_TARGETS} items.")));
    }
    let mut invalid = Invalid::default();
    let mut targets = Vec::with_capacity(paths.len());
    for (at, path) in paths.iter().enumerate() {
        let target = path.as_str().map(purge_target);
        match target.filter(ZonePurgeTarget::is_valid) {
            Some(target) => targets.push(target),
            None => invalid.add(&format!("paths.{at}"), "A path begins with a slash and has at most 1024 bytes."),
        }
    }
    invalid.none()?;
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use ncore_model::ZonePurgeTarget;
    use serde_json::json;

    use super::targets;

    #[test]
    fn what_is_purged() {
        let of = |wanted: serde_json::Value| targets(wanted.as_object().expect("an object")).ok();
        let url = |path: &str| ZonePurgeTarget::Url(path.to_owned());
        let prefix = |path: &str| ZonePurgeTarget::Prefix(path.to_owned());
        assert_eq!(of(json!({ "type": "all", "paths": ["x"] })), Some(vec![ZonePurgeTarget::Zone]));
        let paths = json!({ "type": "path", "paths": ["/a.png", "/img/*", "/products/*/x/*", "/a?b=1"] });
        assert_eq!(of(paths), Some(vec![url("/a.png"), prefix("/img/"), prefix("/products/"), url("/a?b=1")]));
        for bad in [
            json!({}),
            json!({ "type": "some" }),
            json!({ "type": "path" }),
            json!({ "type": "path", "paths": [] }),
            json!({ "type": "path", "paths": "/a" }),
            json!({ "type": "path", "paths": [1] }),
            json!({ "type": "path", "paths": ["a"] }),
            json!({ "type": "path", "paths": ["/a#b"] }),
            json!({ "type": "path", "paths": vec!["/a"; 101] }),
        ] {
            assert_eq!(of(bad.clone()), None, "{bad}");
        }
    }
}
