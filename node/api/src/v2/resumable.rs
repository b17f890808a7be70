//! `/api/v2/uploads`: uploads that come in pieces, by tus 1.0.0 with creation, creation-with-upload, checksum, expiration and termination.
//!
//! Any node takes any piece: what was acknowledged is in the replicated state, and its bytes are on more than one node. Errors are
//! problem documents as everywhere; the statuses are those of tus where it has one.

mod checksum;
mod metadata;
mod protocol;
mod receive;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ALLOW, CACHE_CONTROL, LOCATION},
};
use ncore_domain::{NewUpload, Received, ResumableError, Uploaded};
use ncore_model::{AssetId, Scope, Upload, UploadId};

use super::{
    UPLOADS_PATH,
    auth::authorize,
    message::{
        headers::{idempotency_key, one, upload_precondition},
        json,
    },
};
use crate::{
    front::{Shared, at},
    problem::{Kind, Problem},
};
use checksum::Checksum;
use protocol::{
    UPLOAD_EXPIRES, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET, X_HTTP_METHOD_OVERRIDE, X_NCORE_ASSET, announced, date, number,
    speaks_tus,
};
use receive::{Refused, receive};

pub(super) use protocol::{discover, introduced};

/// The type of the bytes of a piece.
pub(super) const PIECE_TYPE: &str = "application/offset+octet-stream";
/// `POST /api/v2/uploads`
pub(super) async fn create(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    speaks_tus(&head.headers)?;
    let once = idempotency_key(&head.headers)?;
    let precondition = upload_precondition(&head.headers)?;
    let length = number(&head.headers, &UPLOAD_LENGTH)?;
    let note = one(&head.headers, &UPLOAD_METADATA)?.unwrap_or_default().to_owned();
    let target = metadata::target(&note, precondition)?;
    let has_content = json::media_type(&head.headers).as_deref() == Some(PIECE_TYPE);
    let checksum = Checksum::announced(&head.headers)?.filter(|_| has_content);
    if has_content && announced(&head.headers).is_some_and(|bytes| bytes > length) {
        return Err(ResumableError::TooLong { length }.into());
    }
    let created = domain.uploads().create(&caller.client, NewUpload { length, target, note }, once.as_ref()).await?;
    let upload = created.value;
    let mut response = at(created.revision, StatusCode::CREATED);
    if has_content || length == 0 {
        let found = domain.uploads().find(&caller.client, &upload.id).await?;
        response = match receive(&domain, found, 0, body, checksum).await {
            Ok(received) => taken(StatusCode::CREATED, &received),
            // The same request came before, and some of it is there.
            Err(Refused { problem, there: Some(there) }) if problem.kind() == Kind::UploadOffset => with_offset(response, there),
            Err(Refused { problem, .. }) => {
                // Nobody was told where it is.
                let ended = domain.uploads().end(&caller.client, &upload.id).await;
                if let Err(error) = ended {
                    tracing::debug!(error = &error as &dyn std::error::Error, "an upload that failed at once stays until it expires");
                }
                return Err(problem);
            }
        };
    }
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::try_from(format!("{UPLOADS_PATH}/{}", upload.id)) {
        headers.insert(LOCATION, location);
    }
    headers.entry(UPLOAD_EXPIRES).or_insert(date(upload.expires_at_ms));
    Ok(response)
}

/// `HEAD /api/v2/uploads/{id}`
pub(super) async fn show(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    speaks_tus(&head.headers)?;
    let seen = domain.uploads().find(&caller.client, &upload_id(id)?).await?;
    let Upload { length, note, asset, expires_at_ms, .. } = &seen.value;
    let mut response = with_offset(at(seen.revision, StatusCode::OK), seen.value.offset());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UPLOAD_LENGTH, HeaderValue::from(*length));
    if let Some(note) = HeaderValue::try_from(note).ok().filter(|note| !note.is_empty()) {
        headers.insert(UPLOAD_METADATA, note);
    }
    match asset {
        Some(asset) => name_asset(headers, asset),
        None => drop(headers.insert(UPLOAD_EXPIRES, date(*expires_at_ms))),
    }
    Ok(response)
}

/// `PATCH /api/v2/uploads/{id}`
pub(super) async fn append(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    speaks_tus(&head.headers)?;
    let seen = domain.uploads().find(&caller.client, &upload_id(id)?).await?;
    if json::media_type(&head.headers).as_deref() != Some(PIECE_TYPE) {
        return Err(Problem::new(Kind::UnsupportedMediaType, format!("a piece of an upload is {PIECE_TYPE}")));
    }
    let offset = number(&head.headers, &UPLOAD_OFFSET)?;
    let checksum = Checksum::announced(&head.headers)?;
    let (there, length) = (seen.value.offset(), seen.value.length);
    if offset == there && announced(&head.headers).is_some_and(|bytes| bytes > length - offset) {
        return Err(ResumableError::TooLong { length }.into());
    }
    let received = receive(&domain, seen, offset, body, checksum).await.map_err(|refused| refused.problem)?;
    Ok(taken(StatusCode::NO_CONTENT, &received))
}

/// `DELETE /api/v2/uploads/{id}`
pub(super) async fn end(State(domain): Shared, id: Result<Path<String>, PathRejection>, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    speaks_tus(&head.headers)?;
    let revision = domain.uploads().end(&caller.client, &upload_id(id)?).await?;
    Ok(at(revision, StatusCode::NO_CONTENT))
}

/// `POST /api/v2/uploads/{id}` with `X-HTTP-Method-Override`, for clients in environments that have no other methods.
pub(super) async fn by_another_name(
    domain: Shared,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let meant = request.headers().get(X_HTTP_METHOD_OVERRIDE).and_then(|value| Method::from_bytes(value.as_bytes()).ok());
    match meant {
        Some(Method::HEAD) => show(domain, id, request).await,
        Some(Method::PATCH) => append(domain, id, request).await,
        Some(Method::DELETE) => end(domain, id, request).await,
        _ => {
            let mut response = Problem::new(Kind::MethodNotAllowed, "a piece is sent with PATCH").into_response();
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("HEAD,PATCH,DELETE,OPTIONS"));
            Ok(response)
        }
    }
}

/// The answer to bytes that count.
fn taken(status: StatusCode, received: &Received) -> Response {
    let mut response = with_offset(at(received.revision, status), received.offset);
    let headers = response.headers_mut();
    match &received.asset {
        Some(Uploaded { asset, .. }) => name_asset(headers, &asset.value.asset.id),
        None => drop(headers.insert(UPLOAD_EXPIRES, date(received.expires_at_ms))),
    }
    response
}

fn with_offset(mut response: Response, offset: u64) -> Response {
    response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(offset));
    response
}

fn name_asset(headers: &mut HeaderMap, asset: &AssetId) {
    if let Ok(id) = HeaderValue::try_from(asset.as_str()) {
        headers.insert(X_NCORE_ASSET, id);
    }
}

/// The id in the path of a request. One that is not text names nothing.
fn upload_id(id: Result<Path<String>, PathRejection>) -> Result<UploadId, Problem> {
    id.map(|Path(id)| UploadId::from_text(&id)).map_err(|_| ResumableError::Unknown.into())
}
