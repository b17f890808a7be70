//! `POST /api/v2/assets/upload`: the parts `file`, `path`, `cache_ttl`, `mime` and `visibility` of a form, in any order; `file` goes to the
//! store as it comes, whatever follows it.
//!
//! An answer of success is 201, also if the path had other content: to the caller it is a new version, and 201 is what the
//! contract has.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, LOCATION},
};
use ncore_domain::{Domain, MediaType, UploadError, UploadMeta, UploadSession, UploadStart};
use ncore_model::{AssetPath, ClientId, Scope, Visibility};
use serde_json::{Value, json};

use super::{
    assets::{self, CACHE_TTL_MAX_S},
    auth::authorize,
    message::{
        headers::{idempotency_key, upload_precondition},
        multipart::{Part, Parts},
    },
    written,
};
use crate::{
    front::Shared,
    problem::{Kind, Problem},
};

pub(super) async fn upload(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    let once = idempotency_key(&head.headers)?;
    let precondition = upload_precondition(&head.headers)?;
    let length = announced_length(&head.headers);
    let limit = domain.uploads().max_bytes();
    if length.is_some_and(|length| length > limit.saturating_add(FORM_BYTES)) {
        return Err(UploadError::TooLarge { limit }.into());
    }
    let mut parts = Parts::new(&head.headers, body)?;
    let mut form = UploadForm { size_hint: length, ..UploadForm::empty(&domain, &caller.client) };
    while let Some(part) = parts.next().await? {
        form.take(part).await?;
    }
    let UploadForm { file, file_name, path, cache_ttl_s, mime, visibility, .. } = form;
    let file = file.ok_or_else(|| Problem::new(Kind::InvalidBody, "the part file is missing"))?;
    let path = match path {
        Some(path) => path,
        None => path_of(file_name.as_deref())?,
    };
    let meta = UploadMeta { path, cache_ttl_s, mime, visibility, precondition, once };
    let uploaded = file.finish(meta).await?;
    let location = format!("/api/v2/assets/{}", uploaded.asset.value.asset.id);
    let mut response = assets::respond(StatusCode::CREATED, uploaded.asset);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The form, for the reference.
pub(super) fn form_schema() -> Value {
    json!({
        "type": "object",
        "required": ["file"],
        "additionalProperties": false,
        "properties": {
            "file": { "type": "string", "contentMediaType": "application/octet-stream" },
            "path": {
                "type": "string", "pattern": written::PATH, "maxLength": written::PATH_MAX, "description": "by default the name of the file",
            },
            "cache_ttl": { "type": "integer", "minimum": 0, "maximum": CACHE_TTL_MAX_S, "description": "in seconds" },
            "mime": {
                "type": "string", "pattern": written::MEDIA_TYPE, "maxLength": written::MEDIA_TYPE_MAX,
                "description": "by default by the extension of the path, then by the content",
            },
            "visibility": { "enum": ["public", "restricted"], "description": "by default by the path" },
        },
    })
}

/// What came of an upload so far.
struct UploadForm<'a> {
    domain: &'a Domain,
    client: &'a ClientId,
    size_hint: Option<u64>,
    file: Option<UploadSession>,
    file_name: Option<String>,
    path: Option<AssetPath>,
    cache_ttl_s: Option<u32>,
    mime: Option<MediaType>,
    visibility: Option<Visibility>,
}

impl<'a> UploadForm<'a> {
    fn empty(domain: &'a Domain, client: &'a ClientId) -> Self {
        Self { domain, client, size_hint: None, file: None, file_name: None, path: None, cache_ttl_s: None, mime: None, visibility: None }
    }

    /// Takes one part, to its end. What is wrong with it is said at once, and not after all of the content has come.
    async fn take(&mut self, part: Part) -> Result<(), Problem> {
        let name = part.name().unwrap_or_default().to_owned();
        let is_there = match name.as_str() {
            "file" => self.file.is_some(),
            "path" => self.path.is_some(),
            "cache_ttl" => self.cache_ttl_s.is_some(),
            "mime" => self.mime.is_some(),
            "visibility" => self.visibility.is_some(),
            _ => return Err(Problem::new(Kind::InvalidBody, "the parts of an upload are file, path, cache_ttl, mime and visibility")),
        };
        if is_there {
            return Err(Problem::new(Kind::InvalidBody, format!("the part {name} comes more than once")));
        }
        if name == "file" {
            return self.take_file(part).await;
        }
        let text = part.text(TEXT_BYTES_MAX).await?;
        match name.as_str() {
            "path" => self.path = Some(AssetPath::parse(&text).map_err(invalid)?),
            "cache_ttl" => self.cache_ttl_s = Some(cache_ttl(&text)?),
            "visibility" => self.visibility = Some(assets::visibility(text.trim())?),
            _ => self.mime = Some(MediaType::parse(&text).map_err(invalid)?),
        }
        Ok(())
    }

    async fn take_file(&mut self, mut part: Part) -> Result<(), Problem> {
        self.file_name = part.file_name().map(str::to_owned);
        let mut session = self.domain.uploads().begin(self.client, UploadStart { size_hint: self.size_hint }).await?;
        while let Some(chunk) = part.chunk().await? {
            session.write(chunk).await?;
        }
        self.file = Some(session);
        Ok(())
    }
}

/// How long the body is, if the client says so.
fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The path of a file that comes without one: its name, without the folders of the client's machine (RFC 7578, section 4.2).
pub(super) fn path_of(file_name: Option<&str>) -> Result<AssetPath, Problem> {
    let name = file_name.and_then(|name| name.rsplit(['/', '\\']).next()).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Problem::new(Kind::InvalidBody, "neither a path nor the name of the file is given"))?;
    AssetPath::parse(name).map_err(invalid)
}

pub(super) fn cache_ttl(text: &str) -> Result<u32, Problem> {
    let seconds = text.trim().parse().ok().filter(|seconds| *seconds <= CACHE_TTL_MAX_S);
    seconds.ok_or_else(|| Problem::new(Kind::InvalidField, format!("cache_ttl is a whole number of seconds, at most {CACHE_TTL_MAX_S}")))
}

pub(super) fn invalid(error: impl std::error::Error) -> Problem {
    Problem::new(Kind::InvalidField, error.to_string())
}

/// What a form may have besides its file, in bytes: heads of parts, boundaries, and the other parts.
const FORM_BYTES: u64 = 64 << 10;
/// The longest part that is not a file, in bytes: more than the longest path.
const TEXT_BYTES_MAX: usize = 4 << 10;
