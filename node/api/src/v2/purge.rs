//! `POST /api/v2/cache/purge`: what is cached of some assets is dropped.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use ncore_domain::{AckLevel, ChangeError};
use ncore_model::{AssetGlob, Rejection, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    auth::authorize,
    message::{ack, headers::idempotency_key, json},
    shape, written,
};
use crate::{
    front::{Shared, Turnstile, at},
    problem::{Kind, Problem},
};

/// What is to be purged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[schemars(regex(pattern = written::GLOB), length(max = written::PATH_MAX))]
    pattern: String,
}

pub(super) async fn purge(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::CachePurge).await?;
    let once = idempotency_key(&head.headers)?;
    let Wanted { pattern } = json::parse(&head.headers, body).await?;
    let glob = AssetGlob::parse(&pattern).map_err(|error| Problem::new(Kind::InvalidField, error.to_string()))?;
    let level = ack::level(&head.headers, AckLevel::Committed);
    let turnstile = head.extensions.get::<Turnstile>();
    let limit = turnstile.and_then(|turnstile| turnstile.purge_limit(&caller));
    let purged = domain.assets().purge(&caller.client, &pattern, glob, once.as_ref(), level, limit).await;
    let purged = purged.map_err(|error| match (turnstile, limit, &error) {
        (Some(turnstile), Some(limit), ChangeError::Rejected { rejection: Rejection::TooManyPurges { after_ms }, .. }) => {
            turnstile.purge_refused(&limit, *after_ms)
        }
        _ => error.into(),
    })?;
    let document = shape::Purged { purged: purged.assets, revision: purged.revision.to_string() };
    Ok(at(purged.revision, ack::say(&purged.acknowledged, json::respond(StatusCode::OK, &document))))
}
