//! `POST /api/v2/assets/delete`: many assets in one change.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use ncore_domain::AckLevel;
use ncore_model::{AssetId, AssetPath, AssetRef, Deletion, MAX_DELETED_ASSETS, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    front::{Shared, at},
    problem::{Kind, Problem, kind_of},
    v2::{
        auth::authorize,
        message::{ack, headers::idempotency_key, json},
        written,
    },
};

/// The longest body, in bytes: a thousand ids, or as many paths of common length.
const BODY_BYTES_MAX: usize = 512 << 10;

/// What is to be deleted: 1 to 1,000 assets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::v2) struct BulkDelete {
    #[schemars(length(min = 1, max = 1_000))]
    assets: Vec<Named>,
}

/// An asset, by its id or by its path.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["id"], "properties": { "id": { "type": "string" }, "path": { "type": "null" } } },
    { "required": ["path"], "properties": { "path": { "type": "string" }, "id": { "type": "null" } } },
]))]
struct Named {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = written::PATH), length(max = written::PATH_MAX))]
    path: Option<String>,
}

/// What became of all of them.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::v2) struct BulkDeleted {
    /// How many are gone.
    deleted: usize,
    /// Each, in the order of the request.
    results: Vec<Row>,
    revision: String,
}

/// What became of one.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    #[serde(flatten)]
    named: Named,
    /// What a request for this one alone would have been answered with.
    status: u16,
    /// The code of the problem, if it was not deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

pub(in crate::v2) async fn delete_all(State(domain): Shared, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let caller = authorize(&domain, &head, Scope::AssetsWrite).await?;
    let once = idempotency_key(&head.headers)?;
    let level = ack::level(&head.headers, AckLevel::Committed);
    let BulkDelete { assets } = json::parse_up_to(&head.headers, body, BODY_BYTES_MAX).await?;
    if !(1..=MAX_DELETED_ASSETS).contains(&assets.len()) {
        return Err(Problem::new(Kind::InvalidBody, format!("1 to {MAX_DELETED_ASSETS} assets are deleted at a time")));
    }
    let named = assets.iter().map(name).collect::<Result<_, _>>()?;
    let deleted = domain.assets().delete_all(&caller.client, named, once.as_ref(), level).await?;
    let results = assets.into_iter().zip(&deleted.deletions).map(row).collect::<Vec<_>>();
    let answer = BulkDeleted {
        deleted: deleted.deletions.iter().filter(|deletion| matches!(deletion, Deletion::Deleted(_))).count(),
        results,
        revision: deleted.revision.to_string(),
    };
    Ok(at(deleted.revision, ack::say(&deleted.acknowledged, json::respond(StatusCode::OK, &answer))))
}

fn name(named: &Named) -> Result<AssetRef, Problem> {
    match (&named.id, &named.path) {
        (Some(id), None) => Ok(AssetRef::Id(AssetId::from_text(id))),
        (None, Some(path)) => {
            let path = AssetPath::parse(path).map_err(|error| Problem::new(Kind::InvalidField, error.to_string()))?;
            Ok(AssetRef::Path(path.as_str().to_owned()))
        }
        _ => Err(Problem::new(Kind::InvalidBody, "an asset is named by its id or by its path")),
    }
}

fn row((named, deletion): (Named, &Deletion)) -> Row {
    match deletion {
        Deletion::Deleted(_) => Row { named, status: StatusCode::NO_CONTENT.as_u16(), code: None },
        Deletion::Rejected(rejection) => {
            let row = kind_of(rejection).unwrap_or(Kind::Internal).row();
            Row { named, status: row.status.as_u16(), code: Some(row.code) }
        }
    }
}
