//! `/api/v2/assets` and `/api/v2/assets/{id}`: list, show, patch, move, delete.

mod bulk;
mod cursor;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode, Uri,
    header::{ETAG, IF_NONE_MATCH, LINK},
};
use ncore_domain::{AckLevel, AssetChanges, AssetDetails, AssetError, Domain, ListRequest, MediaType, Seen, percent};
use ncore_model::{AssetId, AssetPath, ClientId, Scope, Visibility};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    auth::authorize,
    message::{
        ack, etag, form,
        headers::{idempotency_key, precondition},
        json,
    },
    shape, written,
};
use crate::{
    front::{Shared, at},
    problem::{Kind, Problem},
};

pub(super) use bulk::{BulkDelete, BulkDeleted, delete_all};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// What an asset takes of a page, if its path is not long.
const ASSET_BYTES: usize = 640;
/// The longest that others may be told to cache an asset: a year, in seconds.
pub(super) const CACHE_TTL_MAX_S: u32 = 31_536_000;

/// `GET /api/v2/assets?prefix=&mime=&delimiter=&limit=&cursor=`
pub(super) async fn list(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsRead).await?;
    let query = ListQuery::parse(&head.uri, &caller.client)?;
    let wanted = ListRequest {
        prefix: query.prefix.clone(),
        mime: query.mime.clone(),
        folders: query.folders,
        after: query.after.clone(),
        limit: query.limit,
    };
    let Seen { revision, value: list } = domain.assets().list(&caller.client, wanted).await?;
    let next_cursor = list.last().filter(|_| list.has_more).map(|path| query.list(&caller.client).cursor(path));
    let link = next_cursor.as_deref().map(|cursor| query.next(cursor));
    let page = shape::Page {
        next_cursor,
        has_more: list.has_more,
        folders: query.folders.then_some(list.folders),
        assets: list.assets.into_iter().map(shape::Asset::from).collect(),
    };
    let about = ASSET_BYTES * (1 + page.assets.len());
    let mut response = at(revision, json::respond_long(StatusCode::OK, &page, about));
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// `GET /api/v2/assets/{id}`
pub(super) async fn show(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsRead).await?;
    let asset = domain.assets().get(&caller.client, &asset_id(id)?).await?;
    let conditions = etag::list(&head.headers, &IF_NONE_MATCH)?;
    let response = respond(StatusCode::OK, asset);
    let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
    if conditions.is_none_or(|conditions| !conditions.include(tag)) {
        return Ok(response);
    }
    let (head, _) = response.into_parts();
    let mut not_modified = StatusCode::NOT_MODIFIED.into_response();
    *not_modified.headers_mut() = head.headers;
    not_modified.headers_mut().remove(http::header::CONTENT_TYPE);
    Ok(not_modified)
}

/// What is to be changed: at least one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    { "required": ["cache_ttl"], "properties": { "cache_ttl": { "type": "integer" } } },
    { "required": ["mime"], "properties": { "mime": { "type": "string" } } },
    { "required": ["visibility"], "properties": { "visibility": { "type": "string" } } },
]))]
pub(super) struct Changes {
    #[schemars(range(min = 0, max = CACHE_TTL_MAX_S))]
    cache_ttl: Option<u32>,
    #[schemars(regex(pattern = written::MEDIA_TYPE), length(max = written::MEDIA_TYPE_MAX))]
    mime: Option<String>,
    #[schemars(extend("enum" = ["public", "restricted", null]))]
    visibility: Option<String>,
}

/// `PATCH /api/v2/assets/{id}`
pub(super) async fn patch(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    let id = asset_id(id)?;
    let wanted = async {
        let (once, precondition) = (idempotency_key(&head.headers)?, precondition(&head.headers)?);
        Ok((once, precondition, changes(json::parse(&head.headers, body).await?)?))
    };
    let (once, precondition, changes) = match wanted.await {
        Ok(wanted) => wanted,
        Err(problem) => return Err(after_the_asset(&domain, &caller.client, &id, problem).await),
    };
    let patched = domain.assets().patch(&caller.client, &id, changes, precondition, once.as_ref()).await?;
    Ok(respond(StatusCode::OK, patched))
}

/// Where an asset is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    #[schemars(regex(pattern = written::PATH), length(max = written::PATH_MAX))]
    path: String,
}

/// `POST /api/v2/assets/{id}/move`
pub(super) async fn move_to(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    let id = asset_id(id)?;
    let wanted = async {
        let (once, precondition) = (idempotency_key(&head.headers)?, precondition(&head.headers)?);
        let Target { path } = json::parse(&head.headers, body).await?;
        let path = AssetPath::parse(&path).map_err(|error| Problem::new(Kind::InvalidField, error.to_string()))?;
        Ok((once, precondition, path))
    };
    let (once, precondition, path) = match wanted.await {
        Ok(wanted) => wanted,
        Err(problem) => return Err(after_the_asset(&domain, &caller.client, &id, problem).await),
    };
    let moved = domain.assets().move_to(&caller.client, &id, &path, precondition, once.as_ref()).await?;
    Ok(respond(StatusCode::OK, moved))
}

/// `DELETE /api/v2/assets/{id}`
pub(super) async fn delete(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    let id = asset_id(id)?;
    let wanted = || Ok((idempotency_key(&head.headers)?, precondition(&head.headers)?));
    let (once, precondition) = match wanted() {
        Ok(wanted) => wanted,
        Err(problem) => return Err(after_the_asset(&domain, &caller.client, &id, problem).await),
    };
    let level = ack::level(&head.headers, AckLevel::Committed);
    let (revision, acknowledged) = domain.assets().delete(&caller.client, &id, precondition, once.as_ref(), level).await?;
    Ok(at(revision, ack::say(&acknowledged, StatusCode::NO_CONTENT)))
}

/// An asset, with its tag.
pub(super) fn respond(status: StatusCode, asset: Seen<AssetDetails>) -> Response {
    let sha256 = asset.value.asset.sha256;
    let text = match serde_json::to_vec(&shape::Asset::from(asset.value)) {
        Ok(text) => text,
        Err(error) => return Problem::internal(&error).into_response(),
    };
    let tag = HeaderValue::try_from(etag::of(&sha256, &text));
    let mut response = at(asset.revision, json::respond_text(status, text));
    if let Ok(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The id in the path of a request. One that is not text names nothing.
pub(super) fn asset_id(id: Result<Path<String>, PathRejection>) -> Result<AssetId, Problem> {
    id.map(|Path(id)| AssetId::from_text(&id)).map_err(|_| AssetError::Unknown.into())
}

/// What is wrong with a request comes after what is wrong with its asset: that it is not there, or not the caller's.
async fn after_the_asset(domain: &Domain, client: &ClientId, id: &AssetId, problem: Problem) -> Problem {
    domain.assets().get(client, id).await.err().map_or(problem, Problem::from)
}

fn changes(changes: Changes) -> Result<AssetChanges, Problem> {
    let Changes { cache_ttl, mime, visibility } = changes;
    if cache_ttl.is_none() && mime.is_none() && visibility.is_none() {
        return Err(Problem::new(Kind::InvalidBody, "there is nothing to change: give cache_ttl, mime or visibility"));
    }
    if cache_ttl.is_some_and(|seconds| seconds > CACHE_TTL_MAX_S) {
        return Err(Problem::new(Kind::InvalidField, format!("cache_ttl is at most {CACHE_TTL_MAX_S} seconds")));
    }
    let mime = mime.as_deref().map(MediaType::parse).transpose();
    Ok(AssetChanges {
        mime: mime.map_err(|error| Problem::new(Kind::InvalidField, error.to_string()))?,
        cache_ttl_s: cache_ttl,
        visibility: visibility.as_deref().map(self::visibility).transpose()?,
    })
}

/// Who may read an asset, as a field of a request says it.
pub(super) fn visibility(text: &str) -> Result<Visibility, Problem> {
    text.parse().map_err(|()| Problem::new(Kind::InvalidField, "visibility is public or restricted"))
}

/// What a list is asked for.
struct ListQuery {
    prefix: String,
    mime: Option<String>,
    folders: bool,
    limit: usize,
    after: Option<String>,
}

impl ListQuery {
    fn parse(uri: &Uri, client: &ClientId) -> Result<Self, Problem> {
        let invalid = |error: form::FormError| Problem::new(Kind::InvalidQuery, format!("the query is not valid: {error}"));
        let query = form::parse(uri.query().unwrap_or_default()).map_err(invalid)?;
        let one = |name| query.one(name).map_err(invalid);
        let prefix = one("prefix")?.unwrap_or_default();
        let mut wanted = Self {
            // As in the paths of uploads, one slash at the start means nothing.
            prefix: prefix.strip_prefix('/').unwrap_or(prefix).to_owned(),
            mime: one("mime")?.map(str::to_owned),
            folders: match one("delimiter")? {
                None => false,
                Some("/") => true,
                Some(_) => return Err(Problem::new(Kind::InvalidQuery, "the delimiter is /")),
            },
            limit: query.limit(LIMIT_DEFAULT, LIMIT_MAX).map_err(invalid)?,
            after: None,
        };
        if wanted.folders && wanted.mime.is_some() {
            return Err(Problem::new(Kind::InvalidQuery, "mime and delimiter do not go together: a folder has no type"));
        }
        if let Some(cursor) = one("cursor")? {
            let path = wanted.list(client).path(cursor);
            wanted.after = Some(path.ok_or_else(|| Problem::new(Kind::InvalidCursor, "the cursor is damaged, or of another list"))?);
        }
        Ok(wanted)
    }

    fn list<'a>(&'a self, client: &'a ClientId) -> cursor::List<'a> {
        cursor::List { client, prefix: &self.prefix, mime: self.mime.as_deref(), folders: self.folders }
    }

    /// Where the next page is (RFC 8288).
    fn next(&self, cursor: &str) -> String {
        let mut link = format!("</api/v2/assets?limit={}", self.limit);
        let delimiter = self.folders.then_some("/");
        let filters = [
            ("delimiter", delimiter),
            ("prefix", Some(self.prefix.as_str()).filter(|prefix| !prefix.is_empty())),
            ("mime", self.mime.as_deref()),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                link.push_str(&format!("&{name}={}", percent::query(value)));
            }
        }
        link.push_str(&format!("&cursor={cursor}>; rel=\"next\""));
        link
    }
}
