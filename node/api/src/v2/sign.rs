//! `POST /api/v2/assets/sign` and `GET /api/v2/assets/signing-key`: addresses that let others read restricted assets.
//!
//! Both take `assets:write`: to let others read is to decide about an asset.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use ncore_domain::{Reach, SIGNED_LIFETIME_MAX_S, Seen, SignedAddress, parse_network};
use ncore_model::{AssetPath, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{auth::authorize, message::json, shape, written};
use crate::{
    front::{Shared, at},
    problem::{Kind, Problem},
};

/// How long an address is good for if the request does not say, in seconds.
const LIFETIME_DEFAULT_S: u64 = 3_600;

/// What the address is to be good for: either `path` or `prefix`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["path"], "properties": { "path": { "type": "string" }, "prefix": { "type": "null" } } },
    { "required": ["prefix"], "properties": { "prefix": { "type": "string" }, "path": { "type": "null" } } },
]))]
pub(super) struct Wanted {
    #[schemars(regex(pattern = written::PATH), length(max = written::PATH_MAX))]
    path: Option<String>,
    #[schemars(regex(pattern = written::FOLDER), length(max = written::PATH_MAX))]
    prefix: Option<String>,
    /// For how many seconds; an hour if it is left out.
    #[schemars(range(min = 1, max = SIGNED_LIFETIME_MAX_S))]
    expires_in: Option<u64>,
    /// An address, or a network as `203.0.113.0/24`.
    #[schemars(extend("format" = "ip-range"))]
    ip: Option<String>,
}

pub(super) async fn sign(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    let Wanted { path, prefix, expires_in, ip } = json::parse(&head.headers, body).await?;
    let invalid = |detail: String| Problem::new(Kind::InvalidField, detail);
    let reach = match (path, prefix) {
        (Some(path), None) => Reach::Path(AssetPath::parse(&path).map_err(|error| invalid(error.to_string()))?.as_str().to_owned()),
        (None, Some(prefix)) => Reach::prefix(prefix.strip_prefix('/').unwrap_or(&prefix))
            .ok_or_else(|| invalid("a prefix is empty or a path with a slash at its end".to_owned()))?,
        _ => return Err(Problem::new(Kind::InvalidBody, "give either path or prefix")),
    };
    let network = ip.map(|ip| parse_network(&ip).ok_or_else(|| invalid("ip is an address, or a network as 203.0.113.0/24".to_owned())));
    let lifetime_s = expires_in.unwrap_or(LIFETIME_DEFAULT_S);
    let Seen { revision, value } = domain.signer().sign(&caller.client, reach, lifetime_s, network.transpose()?).await?;
    let SignedAddress { url, query, expires_at_s } = value;
    let signed = shape::Signed { url, query, expires_at: expires_at_s };
    Ok(at(revision, unstored(json::respond(StatusCode::OK, &signed))))
}

pub(super) async fn key(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    let Seen { revision, value: key } = domain.signer().key(&caller.client).await?;
    let key = shape::SigningKey { client_id: caller.client, algorithm: "HMAC-SHA256", key: hex::encode(*key) };
    Ok(at(revision, unstored(json::respond(StatusCode::OK, &key))))
}

fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
