//! The endpoints of version 2.

use ncore_model::Scope;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use super::{
    operation::{Access, Body, Operation, Parameter, Place, Success},
    uploads,
};
use crate::{
    problem::Kind,
    v2::{assets, logs, metrics, purge, shape, sign, token, upload, written},
};

type Scheme = fn() -> Value;

/// How callers show who they are.
pub(super) const SCHEMES: [(&str, Scheme); 3] = [
    ("token", || json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "from `/api/v2/auth/token`" })),
    ("administrator", || json!({ "type": "http", "scheme": "bearer", "description": "from `ncore administrator add`" })),
    ("secret", || json!({ "type": "http", "scheme": "basic", "description": "client id and secret; they may be in the body instead" })),
];

/// Every endpoint but those of accounts.
pub(super) fn operations() -> [Operation; 23] {
    let [discover, create, head, append, end] = uploads::operations();
    [
        status(),
        document(),
        issue(),
        revoke(),
        list(),
        upload_(),
        sign_(),
        signing_key(),
        show(),
        patch(),
        move_(),
        delete(),
        delete_all(),
        discover,
        create,
        head,
        append,
        end,
        replication(),
        purge_(),
        metrics_(),
        logs_(),
        follow_logs(),
    ]
}

pub(super) fn oauth_error(schemas: &mut SchemaGenerator) -> Value {
    schema::<token::OauthDocument>(schemas)
}

pub(super) fn schema<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

pub(super) const PLAIN: Operation = Operation {
    method: "GET",
    path: "",
    id: "",
    tag: "node",
    summary: "",
    access: Access::Anybody,
    parameters: &[REVISION],
    bodies: &[],
    needs_a_body: true,
    successes: &[],
    own_problems: &[],
    oauth_errors: &[],
};

pub(super) const fn success(status: u16, description: &'static str, schema: super::operation::Schema) -> Success {
    Success { status, description, schema: Some(schema), media_type: JSON, headers: &[] }
}

pub(super) const fn json_body(schema: super::operation::Schema) -> Body {
    Body { media_type: "application/json", schema }
}

pub(super) const REVISION: Parameter = Parameter {
    name: "X-NCore-Revision",
    place: Place::Header,
    description: "answer from a state that is at least that new",
    schema: || json!({ "type": "string", "pattern": written::REVISION, "examples": ["1.1"] }),
};
const ID: Parameter =
    Parameter { name: "id", place: Place::Path, description: "id of the asset", schema: || json!({ "type": "string", "minLength": 1 }) };
pub(super) const KEY: Parameter = Parameter {
    name: "Idempotency-Key",
    place: Place::Header,
    description: "the caller's own name for this change: it takes place once, however often it is sent",
    schema: || json!({ "type": "string", "pattern": written::KEY }),
};
pub(super) const MATCH: Parameter = Parameter {
    name: "If-Match",
    place: Place::Header,
    description: "only if the content is this",
    schema: || json!({ "type": "string", "pattern": written::TAGS }),
};
pub(super) const ABSENT: Parameter = Parameter {
    name: "If-None-Match",
    place: Place::Header,
    description: "`*`: only if there is nothing at the path",
    schema: || json!({ "type": "string", "enum": ["*"] }),
};
pub(super) const PREFER: Parameter = Parameter {
    name: "Prefer",
    place: Place::Header,
    description: "`ack=all` waits until no node acts on what was before, `ack=committed` does not",
    schema: || json!({ "type": "string", "examples": ["ack=all"] }),
};
/// What most bodies are.
pub(super) const JSON: &str = "application/json";
pub(super) const ACK: (&str, &str) = ("X-NCore-Ack", "how far the change has got: `committed`, `all` or `all_except_serving`");
const TAG: (&str, &str) = ("ETag", "of the description");

fn status() -> Operation {
    Operation {
        path: "/api/v2/status",
        id: "status",
        summary: "Public. Node health check.",
        successes: &const { [success(200, "the node", schema::<shape::Status>)] },
        ..PLAIN
    }
}

fn document() -> Operation {
    Operation {
        path: "/api/v2/openapi.json",
        id: "openapi",
        summary: "Public. This document.",
        successes: &const { [success(200, "an OpenAPI document", |_| json!({ "type": "object" }))] },
        ..PLAIN
    }
}

/// Takes the secret of a client, and is about a token.
pub(super) const SECRET: Operation = Operation {
    method: "POST",
    tag: "credentials",
    access: Access::Secret,
    bodies: &[json_body(|schemas| about_a_token(schemas, JSON)), Body { media_type: FORM, schema: |schemas| about_a_token(schemas, FORM) }],
    oauth_errors: &[400, 401, 403, 413, 429, 500, 503],
    ..PLAIN
};

const FORM: &str = "application/x-www-form-urlencoded";

/// These parameters in a body. A form has no `null`.
fn parameters(schemas: &mut SchemaGenerator, media_type: &str, names: &[&str]) -> Value {
    let mut all = token::Parameters::json_schema(schemas).to_value();
    let Some(properties) = all["properties"].as_object_mut() else { return all };
    properties.retain(|name, _| names.contains(&name.as_str()));
    for property in properties.values_mut().filter(|_| media_type == FORM) {
        property["type"] = json!("string");
        if let Some(values) = property.get_mut("enum").and_then(Value::as_array_mut) {
            values.retain(|value| !value.is_null());
        }
    }
    all
}

fn about_a_token(schemas: &mut SchemaGenerator, media_type: &str) -> Value {
    let token = json!({ "required": ["token"], "properties": { "token": { "type": "string", "minLength": 1 } } });
    json!({ "allOf": [parameters(schemas, media_type, &["client_id", "secret", "token"]), token] })
}

fn for_a_token(schemas: &mut SchemaGenerator, media_type: &str) -> Value {
    let by_secret = json!({ "properties": { "grant_type": { "enum": ["client_credentials", "", null] } } });
    let by_token = json!({ "required": ["refresh_token"], "properties": { "refresh_token": { "type": "string", "minLength": 1 } } });
    let names = ["grant_type", "client_id", "secret", "scope", "refresh_token"];
    json!({ "allOf": [parameters(schemas, media_type, &names), { "anyOf": [by_secret, by_token] }] })
}

fn issue() -> Operation {
    Operation {
        bodies: &const {
            [json_body(|schemas| for_a_token(schemas, JSON)), Body { media_type: FORM, schema: |schemas| for_a_token(schemas, FORM) }]
        },
        needs_a_body: false,
        path: "/api/v2/auth/token",
        id: "issueToken",
        summary: "An access token for a client's secret (RFC 6749, section 4.4), or for a refresh token (section 6).",
        successes: &const { [success(200, "a token", schema::<token::Reply>)] },
        ..SECRET
    }
}

fn revoke() -> Operation {
    Operation {
        path: "/api/v2/auth/revoke",
        id: "revokeToken",
        summary: "The end of an access token, or of a refresh token and all that came of it, before its time (RFC 7009).",
        parameters: &[REVISION, PREFER],
        successes: &[Success { status: 200, description: "no node accepts it any more", schema: None, media_type: JSON, headers: &[ACK] }],
        ..SECRET
    }
}

fn list() -> Operation {
    Operation {
        path: "/api/v2/assets",
        id: "listAssets",
        tag: "assets",
        summary: "List assets. Requires auth.",
        access: Access::Token(Scope::AssetsRead),
        parameters: &const {
            [
                Parameter {
                    name: "prefix",
                    place: Place::Query,
                    description: "what paths begin with",
                    schema: || json!({ "type": "string" }),
                },
                Parameter {
                    name: "mime",
                    place: Place::Query,
                    description: "`type/subtype`, `type/*` or `type`",
                    schema: || json!({ "type": "string" }),
                },
                Parameter {
                    name: "delimiter",
                    place: Place::Query,
                    description: "`/`: what is behind a slash further on is one folder; not together with `mime`",
                    schema: || json!({ "type": "string", "enum": ["/"] }),
                },
                Parameter {
                    name: "limit",
                    place: Place::Query,
                    description: "the most assets and folders of the page; beyond 1000 it is 1000",
                    schema: || json!({ "type": "integer", "minimum": 1, "default": 100 }),
                },
                Parameter {
                    name: "cursor",
                    place: Place::Query,
                    description: "`next_cursor` of the page before",
                    schema: || json!({ "type": "string" }),
                },
                REVISION,
            ]
        },
        successes: &const {
            [Success {
                media_type: JSON,
                status: 200,
                description: "a page",
                schema: Some(schema::<shape::Page>),
                headers: &[("Link", "the next page (RFC 8288)")],
            }]
        },
        own_problems: &[Kind::InvalidQuery, Kind::InvalidCursor],
        ..PLAIN
    }
}

fn upload_() -> Operation {
    Operation {
        method: "POST",
        path: crate::v2::UPLOAD_PATH,
        id: "uploadAsset",
        tag: "assets",
        summary: "Upload new asset. Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        parameters: &const { [KEY, MATCH, ABSENT, REVISION] },
        bodies: &[Body { media_type: "multipart/form-data", schema: |_| upload::form_schema() }],
        successes: &const {
            [Success {
                media_type: JSON,
                status: 201,
                description: "it is durable on enough nodes, also if it replaces other content",
                schema: Some(schema::<shape::Asset>),
                headers: &[TAG, ("Location", "of the description")],
            }]
        },
        own_problems: &[
            Kind::ClientBlocked,
            Kind::StorageQuota,
            Kind::AssetOfOther,
            Kind::VisibilityFixed,
            Kind::InvalidBody,
            Kind::IncompleteBody,
            Kind::InvalidField,
            Kind::UnsupportedMediaType,
            Kind::PreconditionFailed,
            Kind::KeyReused,
            Kind::UploadTooLarge,
            Kind::BodyTooLarge,
            Kind::DiskFull,
            Kind::TooFewCopies,
            Kind::SchemaTooLow,
            Kind::Busy,
            Kind::AnswerLost,
        ],
        ..PLAIN
    }
}

const ONE: Operation = Operation { path: "/api/v2/assets/{id}", tag: "assets", ..PLAIN };

fn show() -> Operation {
    Operation {
        id: "showAsset",
        summary: "Describe an asset. Requires auth.",
        access: Access::Token(Scope::AssetsRead),
        parameters: &const {
            [
                ID,
                Parameter {
                    name: "If-None-Match",
                    place: Place::Header,
                    description: "only if the description is another",
                    schema: || json!({ "type": "string", "pattern": written::TAGS }),
                },
                REVISION,
            ]
        },
        successes: &const {
            [
                Success { status: 200, description: "the asset", schema: Some(schema::<shape::Asset>), media_type: JSON, headers: &[TAG] },
                Success { status: 304, description: "the description is the same", schema: None, media_type: JSON, headers: &[TAG] },
            ]
        },
        own_problems: &[Kind::EndpointNotFound, Kind::AssetNotFound, Kind::AssetOfOther],
        ..ONE
    }
}

fn patch() -> Operation {
    Operation {
        method: "PATCH",
        id: "patchAsset",
        summary: "Change what is said of an asset. Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        parameters: &const { [ID, KEY, MATCH, REVISION] },
        bodies: &const { [json_body(schema::<assets::Changes>)] },
        successes: &const {
            [Success { status: 200, description: "the asset", schema: Some(schema::<shape::Asset>), media_type: JSON, headers: &[TAG] }]
        },
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::AssetNotFound,
            Kind::ClientBlocked,
            Kind::AssetOfOther,
            Kind::VisibilityFixed,
            Kind::InvalidBody,
            Kind::IncompleteBody,
            Kind::InvalidField,
            Kind::UnsupportedMediaType,
            Kind::PreconditionFailed,
            Kind::KeyReused,
            Kind::BodyTooLarge,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}

fn move_() -> Operation {
    Operation {
        method: "POST",
        path: "/api/v2/assets/{id}/move",
        id: "moveAsset",
        summary: "Give an asset another path. Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        parameters: &const { [ID, KEY, MATCH, REVISION] },
        bodies: &const { [json_body(schema::<assets::Target>)] },
        successes: &const {
            [Success { status: 200, description: "the asset", schema: Some(schema::<shape::Asset>), media_type: JSON, headers: &[TAG] }]
        },
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::AssetNotFound,
            Kind::ClientBlocked,
            Kind::AssetOfOther,
            Kind::PathTaken,
            Kind::VisibilityFixed,
            Kind::InvalidBody,
            Kind::IncompleteBody,
            Kind::InvalidField,
            Kind::UnsupportedMediaType,
            Kind::PreconditionFailed,
            Kind::KeyReused,
            Kind::BodyTooLarge,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}

fn sign_() -> Operation {
    Operation {
        method: "POST",
        path: "/api/v2/assets/sign",
        id: "signAddress",
        tag: "assets",
        summary: "An address that lets others read a restricted asset, or those below a prefix, for a time. Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        bodies: &const { [json_body(schema::<sign::Wanted>)] },
        successes: &const { [success(200, "the address", schema::<shape::Signed>)] },
        own_problems: &[Kind::InvalidBody, Kind::IncompleteBody, Kind::InvalidField, Kind::UnsupportedMediaType, Kind::BodyTooLarge],
        ..PLAIN
    }
}

fn signing_key() -> Operation {
    Operation {
        path: "/api/v2/assets/signing-key",
        id: "showSigningKey",
        tag: "assets",
        summary: "What a client signs addresses with itself. Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        successes: &const { [success(200, "the key", schema::<shape::SigningKey>)] },
        ..PLAIN
    }
}

fn metrics_() -> Operation {
    Operation {
        path: "/api/v2/metrics",
        id: "showMetrics",
        tag: "metrics",
        summary: "Per-client bandwidth & hit stats. Requires auth.",
        access: Access::Token(Scope::MetricsRead),
        parameters: &const {
            [
                Parameter {
                    name: "from",
                    place: Place::Query,
                    description: "from when, in Unix seconds",
                    schema: || json!({ "type": "integer", "minimum": 0 }),
                },
                Parameter {
                    name: "to",
                    place: Place::Query,
                    description: "until when, in Unix seconds",
                    schema: || json!({ "type": "integer", "minimum": 0 }),
                },
                Parameter {
                    name: "granularity",
                    place: Place::Query,
                    description: "`hour` or `day`",
                    schema: || json!({ "type": "string", "enum": ["hour", "day"] }),
                },
                REVISION,
            ]
        },
        successes: &const { [success(200, "totals, and a row for each hour or day", schema::<metrics::Metrics>)] },
        own_problems: &[Kind::InvalidQuery],
        ..PLAIN
    }
}

const LOGS: Operation = Operation {
    tag: "logs",
    access: Access::TokenOrAdministrator(Scope::MetricsRead),
    own_problems: &[Kind::InvalidQuery, Kind::InvalidCursor],
    ..PLAIN
};
const LOG_STATUS: Parameter = Parameter {
    name: "status",
    place: Place::Query,
    description: "of those with this status, or of this class",
    schema: || json!({ "type": "string", "pattern": "^([1-5][0-9][0-9]|[1-5]xx)$", "examples": ["404", "5xx"] }),
};
const LOG_PREFIX: Parameter = Parameter {
    name: "prefix",
    place: Place::Query,
    description: "of those whose path, as it was sent, begins so",
    schema: || json!({ "type": "string", "examples": ["/assets/video-bg/"] }),
};

fn logs_() -> Operation {
    Operation {
        path: "/api/v2/logs",
        id: "listLogs",
        summary: "Access log of the client's requests, of all nodes, the newest first. Requires auth.",
        parameters: &const {
            [
                Parameter {
                    name: "from",
                    place: Place::Query,
                    description: "of those that ended then or later, in Unix seconds",
                    schema: || json!({ "type": "integer", "minimum": 0 }),
                },
                Parameter {
                    name: "to",
                    place: Place::Query,
                    description: "of those that ended before then, in Unix seconds",
                    schema: || json!({ "type": "integer", "minimum": 0 }),
                },
                LOG_STATUS,
                LOG_PREFIX,
                Parameter {
                    name: "limit",
                    place: Place::Query,
                    description: "the most records of the page; beyond 1000 it is 1000",
                    schema: || json!({ "type": "integer", "minimum": 1, "default": 100 }),
                },
                Parameter {
                    name: "cursor",
                    place: Place::Query,
                    description: "where the page begins: `next_cursor` of the page before",
                    schema: || json!({ "type": "string" }),
                },
                REVISION,
            ]
        },
        successes: &const { [success(200, "a page, and which nodes did not answer", schema::<logs::Document>)] },
        ..LOGS
    }
}

fn follow_logs() -> Operation {
    Operation {
        path: "/api/v2/logs/stream",
        id: "followLogs",
        summary: "Access log of the client's requests as they end, at whichever node: server-sent events. Requires auth.",
        parameters: &const { [LOG_STATUS, LOG_PREFIX, REVISION] },
        successes: &const {
            [Success {
                status: 200,
                description: "events `log`, each a line of the access log; `node`, when one is not heard any more, or again; `overtaken`, the last of a reader that is too slow",
                schema: Some(an_event),
                media_type: "text/event-stream",
                headers: &[],
            }]
        },
        own_problems: &[Kind::InvalidQuery, Kind::Busy],
        ..LOGS
    }
}

/// One of a stream: a record, or how many the reader missed.
fn an_event(_: &mut SchemaGenerator) -> Value {
    let data = json!({ "type": "string", "contentMediaType": "application/json" });
    json!({ "type": "object", "required": ["event", "data"], "properties": { "event": { "enum": ["log", "node", "overtaken"] }, "data": data } })
}

fn delete() -> Operation {
    Operation {
        method: "DELETE",
        id: "deleteAsset",
        summary: "Delete asset by ID. Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        parameters: &const { [ID, KEY, MATCH, PREFER, REVISION] },
        successes: &[Success { status: 204, description: "it is gone", schema: None, media_type: JSON, headers: &[ACK] }],
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::AssetNotFound,
            Kind::ClientBlocked,
            Kind::AssetOfOther,
            Kind::PreconditionFailed,
            Kind::KeyReused,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}

fn delete_all() -> Operation {
    Operation {
        method: "POST",
        path: "/api/v2/assets/delete",
        id: "deleteAssets",
        tag: "assets",
        summary: "Delete many assets in one change. Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        parameters: &const { [KEY, PREFER, REVISION] },
        bodies: &const { [json_body(schema::<assets::BulkDelete>)] },
        successes: &const {
            [Success {
                status: 200,
                description: "what became of each; one that is not deleted keeps none of the others",
                schema: Some(schema::<assets::BulkDeleted>),
                media_type: JSON,
                headers: &[ACK],
            }]
        },
        own_problems: &[
            Kind::ClientBlocked,
            Kind::InvalidBody,
            Kind::IncompleteBody,
            Kind::InvalidField,
            Kind::UnsupportedMediaType,
            Kind::KeyReused,
            Kind::BodyTooLarge,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..PLAIN
    }
}

fn replication() -> Operation {
    Operation {
        path: "/api/v2/assets/{id}/replication",
        id: "showReplication",
        summary: "Which node holds an asset, verified when. Requires auth.",
        access: Access::Token(Scope::AssetsRead),
        parameters: &const { [ID, REVISION] },
        successes: &const { [success(200, "every node", schema::<shape::Replicas>)] },
        own_problems: &[Kind::EndpointNotFound, Kind::AssetNotFound, Kind::AssetOfOther],
        ..ONE
    }
}

fn purge_() -> Operation {
    Operation {
        method: "POST",
        path: "/api/v2/cache/purge",
        id: "purgeCache",
        tag: "cache",
        summary: "Purge cache for path pattern. Requires auth.",
        access: Access::Token(Scope::CachePurge),
        parameters: &const { [KEY, PREFER, REVISION] },
        bodies: &const { [json_body(schema::<purge::Wanted>)] },
        successes: &const {
            [Success { status: 200, description: "done", schema: Some(schema::<shape::Purged>), media_type: JSON, headers: &[ACK] }]
        },
        own_problems: &[
            Kind::ClientBlocked,
            Kind::InvalidBody,
            Kind::IncompleteBody,
            Kind::InvalidField,
            Kind::UnsupportedMediaType,
            Kind::KeyReused,
            Kind::BodyTooLarge,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..PLAIN
    }
}
