//! The HTTP API, as far as the properties use it.

use crate::truth::{self, Asset, Truth};
use crate::{Fault, Node, wire};
use anyhow::Result;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cluster_tests::client::sha256;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Shared = State<Arc<Node>>;
type Answer = Result<Response, Refusal>;

pub(crate) async fn serve(node: Arc<Node>) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(&node.config.http).await?;
    let router = Router::new()
        .route("/readyz", get(ready))
        .route("/healthz", get("ok"))
        .route("/api/v2/status", get(|| async { Json(json!({"status": "operational"})) }))
        .route("/api/v2/auth/token", post(token))
        .route("/api/v2/assets/upload", post(upload))
        .route("/api/v2/assets", get(list))
        .route("/api/v2/assets/{id}", get(show).delete(delete))
        .route("/api/v2/assets/{id}/replication", get(replication))
        .route("/assets/{*path}", get(content))
        .layer(map_response_with_state(Arc::clone(&node), with_revision))
        .with_state(node);
    Ok(axum::serve(listener, router).await?)
}

async fn ready(State(node): Shared) -> Answer {
    let truth = truth(&node)?;
    let reached = wire::reachable(&node, &truth).await;
    if truth.is_member(node.id) && truth.is_majority(&reached) { Ok("ready".into_response()) } else { Err(unavailable("not ready")) }
}

async fn token(State(node): Shared, Json(body): Json<Value>) -> Answer {
    let (id, secret) = (body["client_id"].as_str().unwrap_or_default(), body["secret"].as_str());
    if truth(&node)?.clients.get(id).map(String::as_str) != secret {
        return Err(problem(StatusCode::UNAUTHORIZED, "invalid_client", None));
    }
    let token = change(&node, |truth| {
        let token = format!("token-{}", truth.index);
        truth.bearers.insert(token.clone());
        token
    })?;
    Ok(Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": 86400})).into_response())
}

async fn upload(State(node): Shared, headers: HeaderMap, request: Request) -> Answer {
    authorize(&node, &headers)?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let boundary =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| multer::parse_boundary(value).ok());
    let mut form = multer::Multipart::new(request.into_body().into_data_stream(), boundary.unwrap_or_default());
    let (mut path, mut file) = (String::new(), Vec::new());
    while let Some(field) = form.next_field().await.map_err(|_| problem(StatusCode::BAD_REQUEST, "invalid_body", None))? {
        let name = field.name().map(str::to_owned);
        let bytes = field.bytes().await.map_err(|_| problem(StatusCode::BAD_REQUEST, "incomplete_body", None))?;
        match name.as_deref() {
            Some("path") => path = String::from_utf8_lossy(&bytes).into_owned(),
            _ => file = bytes.to_vec(),
        }
    }
    let digest = sha256(&file);
    if node.blobs.store(&digest, &file).is_err() {
        let vague = problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", None);
        return Err(if Fault::VagueErrors.is_on() { vague } else { problem(StatusCode::INSUFFICIENT_STORAGE, "disk_full", None) });
    }
    let seen = truth(&node)?;
    let may_write =
        seen.is_member(node.id) && seen.is_majority(&wire::reachable(&node, &seen).await) && wire::give(&node, &seen, &digest, &file).await;
    if !may_write && !Fault::NoQuorum.is_on() {
        return Err(unavailable("unavailable"));
    }
    let asset = change(&node, |truth| put(truth, key, &path, &digest, file.len()))?;
    Ok((StatusCode::CREATED, Json(as_json(&asset))).into_response())
}

fn put(truth: &mut Truth, key: Option<String>, path: &str, digest: &str, size: usize) -> Asset {
    if let Some(done) = key.as_ref().and_then(|key| truth.outcomes.get(key))
        && !Fault::NoDedupe.is_on()
    {
        return done.clone();
    }
    let asset = truth.put(path, digest, size);
    if let Some(key) = key {
        truth.outcomes.insert(key, asset.clone());
    }
    if Fault::LostWrites.is_on() && digest.starts_with('0') {
        truth.assets.remove(path);
    }
    asset
}

async fn list(State(node): Shared, headers: HeaderMap, Query(query): Query<BTreeMap<String, String>>) -> Answer {
    authorize(&node, &headers)?;
    let truth = if Fault::StaleReads.is_on() { a_while_ago(&node)? } else { truth(&node)? };
    let prefix = query.get("prefix").map_or("", String::as_str);
    let assets: Vec<Value> = truth.assets.values().filter(|asset| asset.path.starts_with(prefix)).map(as_json).collect();
    Ok(Json(json!({"assets": assets, "next_cursor": null, "has_more": false})).into_response())
}

/// The truth as it was up to a fifth of a second ago.
fn a_while_ago(node: &Node) -> Result<Truth, Refusal> {
    static KEPT: Mutex<Option<(Instant, Truth)>> = Mutex::new(None);
    let mut kept = KEPT.lock().map_err(|_| unavailable("poisoned"))?;
    if let Some((since, truth)) = &*kept
        && since.elapsed() < Duration::from_millis(200)
    {
        return Ok(truth.clone());
    }
    let fresh = truth(node)?;
    *kept = Some((Instant::now(), fresh.clone()));
    Ok(fresh)
}

async fn show(State(node): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    authorize(&node, &headers)?;
    let truth = truth(&node)?;
    let asset = truth.by_id(&id).ok_or_else(not_found)?;
    let mut shown = as_json(asset);
    shown["replicated"] = json!(holdings(&node, &truth, asset).await.iter().all(|holding| holding["state"] == "verified"));
    Ok(Json(shown).into_response())
}

async fn delete(State(node): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    authorize(&node, &headers)?;
    let seen = truth(&node)?;
    let may_write = seen.is_member(node.id) && seen.is_majority(&wire::reachable(&node, &seen).await);
    if !may_write && !Fault::NoQuorum.is_on() {
        return Err(unavailable("unavailable"));
    }
    let deleted = change(&node, |truth| {
        let path = truth.by_id(&id)?.path.clone();
        truth.assets.remove(&path)
    })?;
    if deleted.is_some() { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(not_found()) }
}

async fn replication(State(node): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    authorize(&node, &headers)?;
    let truth = truth(&node)?;
    let asset = truth.by_id(&id).ok_or_else(not_found)?;
    let nodes = holdings(&node, &truth, asset).await;
    let replicated = nodes.iter().all(|holding| holding["state"] == "verified");
    Ok(Json(json!({"asset_id": id, "replicated": replicated, "nodes": nodes})).into_response())
}

async fn holdings(node: &Node, truth: &Truth, asset: &Asset) -> Vec<Value> {
    let mut holdings = Vec::new();
    for (id, member) in truth.members.iter().filter(|(id, _)| truth.is_member(**id)) {
        let has = if *id == node.id {
            Some(node.blobs.load(&asset.sha256).is_some())
        } else {
            wire::has(node, &member.cluster, &asset.sha256).await
        };
        let state = has.map_or("unknown", |has| if has { "verified" } else { "pending" });
        holdings.push(json!({"node": member.name, "region": member.region, "state": state}));
    }
    holdings
}

async fn content(State(node): Shared, headers: HeaderMap, Path(path): Path<String>) -> Answer {
    let truth = truth(&node)?;
    let asset = truth.assets.get(&path).ok_or_else(not_found)?;
    let bytes = match node.blobs.load(&asset.sha256) {
        Some(bytes) => bytes,
        None if truth.is_member(node.id) => wire::fetch(&node, &truth, &asset.sha256).await.map_err(|_| unavailable("no_copy"))?,
        None => return Err(not_found()),
    };
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range.and_then(|(first, last)| Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))) else {
        return Ok(Body::from(bytes).into_response());
    };
    let part = bytes.get(first..=last.min(bytes.len().saturating_sub(1))).unwrap_or_default().to_vec();
    Ok((StatusCode::PARTIAL_CONTENT, part).into_response())
}

fn as_json(asset: &Asset) -> Value {
    json!({"id": asset.id, "path": asset.path, "size": asset.size, "sha256": asset.sha256, "mime": "application/octet-stream"})
}

fn truth(node: &Node) -> Result<Truth, Refusal> {
    truth::read(&node.config).map_err(|_| unavailable("no_cluster"))
}

fn change<T>(node: &Node, change: impl FnOnce(&mut Truth) -> T) -> Result<T, Refusal> {
    truth::update(&node.config, change).map_err(|_| unavailable("no_cluster"))
}

fn authorize(node: &Node, headers: &HeaderMap) -> Result<(), Refusal> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let truth = truth(node)?;
    let known = bearer.is_some_and(|bearer| truth.bearers.contains(bearer));
    known.then_some(()).ok_or_else(|| problem(StatusCode::UNAUTHORIZED, "token_invalid", None))
}

/// Every answer tells from which state it was given: the present one.
async fn with_revision(State(node): Shared, mut response: Response) -> Response {
    let index = truth(&node).map_or(0, |truth| truth.index);
    let is_old = Fault::OldRevisions.is_on() && response.status().is_client_error();
    let index = if is_old { index.saturating_sub(3) } else { index };
    if let Ok(revision) = format!("0.{index}").parse() {
        response.headers_mut().insert("X-NCore-Revision", revision);
    }
    response
}

fn not_found() -> Refusal {
    problem(StatusCode::NOT_FOUND, "asset_not_found", None)
}

fn unavailable(code: &'static str) -> Refusal {
    problem(StatusCode::SERVICE_UNAVAILABLE, code, Some("unavailable"))
}

fn problem(status: StatusCode, code: &'static str, outcome: Option<&'static str>) -> Refusal {
    Refusal { status, code, outcome }
}

/// An error answer.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    outcome: Option<&'static str>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"status": self.status.as_u16(), "code": self.code, "outcome": self.outcome, "request_id": "stand-in"});
        let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::RETRY_AFTER, "1")];
        (self.status, headers, body.to_string()).into_response()
    }
}
