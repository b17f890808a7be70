//! `GET /api/v2/openapi.json`: what version 2 is, as an OpenAPI document, made from the code.
//!
//! Schemas are derived from the types that are sent and parsed. OpenAPI 3.1 takes JSON Schema 2020-12 as it is, so nothing translates them.
//! Errors come from the table in `problem`: an [operation](operation) names the kinds that it may answer with, and their statuses, codes
//! and titles are those of the table. A test holds the document against the router, both ways.

mod accounts;
mod operation;
mod table;
mod uploads;

use std::{collections::BTreeMap, sync::OnceLock};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    front::{LIMIT_HEADERS, presented},
    problem::{Kind, Problem, Retry},
};
use operation::{Access, Operation, Place};
use table::{SCHEMES, operations};

pub(super) async fn show(headers: HeaderMap) -> Result<Response, Problem> {
    presented(&headers)?;
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| Bytes::from(document().to_string()));
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.clone()).into_response())
}

/// The document.
pub(crate) fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations().into_iter().chain(accounts::operations()) {
        let described = describe(&operation, &mut schemas);
        paths.entry(operation.path).or_default().insert(operation.method.to_lowercase(), described);
    }
    let mut schemas: Map<String, Value> = schemas.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem_schema());
    let schemes: Map<_, _> = SCHEMES.iter().map(|(name, scheme)| ((*name).to_owned(), scheme())).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "NCore API",
            "version": "2",
            "description": "Every request may go to any node and means the same there. A response says in `X-NCore-Revision` which state \
                            it was answered from; a request that presents one is answered from a state at least that new.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": schemes },
    })
}

fn describe(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses(operation, schemas),
    });
    let security = match operation.access {
        Access::Anybody => json!([]),
        Access::Token(scope) => json!([{ "token": [scope.as_str()] }]),
        Access::AnyToken => json!([{ "token": [] }]),
        Access::TokenOrAdministrator(scope) => json!([{ "token": [scope.as_str()] }, { "administrator": [] }]),
        Access::Administrator => json!([{ "administrator": [] }]),
        Access::Secret => json!([{ "secret": [] }, {}]),
        Access::SecretOrAdministrator => json!([{ "secret": [] }, { "administrator": [] }, {}]),
    };
    described["security"] = security;
    if let Access::Token(scope) = operation.access {
        described["description"] = json!(format!("Needs a token with the scope `{}`.", scope.as_str()));
    }
    if let Access::TokenOrAdministrator(scope) = operation.access {
        described["description"] =
            json!(format!("Needs a token with the scope `{}`, or that of an administrator, who sees all.", scope.as_str()));
    }
    if !operation.bodies.is_empty() {
        let content = operation.bodies.iter().map(|body| ((*body.media_type).to_owned(), json!({ "schema": (body.schema)(schemas) })));
        described["requestBody"] = json!({ "required": operation.needs_a_body, "content": content.collect::<Map<_, _>>() });
    }
    described
}

fn parameters(operation: &Operation) -> Value {
    let parameter = |parameter: &operation::Parameter| {
        let mut described = json!({
            "name": parameter.name,
            "in": parameter.place.as_str(),
            "required": parameter.place.is_required(),
            "description": parameter.description,
            "schema": (parameter.schema)(),
        });
        if parameter.place == Place::Query {
            // What is sent without a value counts as not sent.
            described["allowEmptyValue"] = json!(true);
        }
        described
    };
    operation.parameters.iter().map(parameter).collect()
}

/// Success as the operation has it; errors by status, with the codes that each may have.
fn responses(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for success in operation.successes {
        let mut response = json!({ "description": success.description, "headers": headers(operation, success.headers) });
        if let Some(schema) = success.schema {
            response["content"] = json!({ success.media_type: { "schema": schema(schemas) } });
        }
        responses.insert(success.status.to_string(), response);
    }
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in operation.problems() {
        by_status.entry(kind.row().status.as_u16()).or_default().push(kind);
    }
    for status in operation.oauth_errors {
        by_status.entry(*status).or_default();
    }
    for (status, kinds) in by_status {
        let is_of_oauth = operation.oauth_errors.contains(&status);
        let may_come_again = kinds.iter().any(|kind| kind.row().retry != Retry::Never) || (is_of_oauth && matches!(status, 429 | 503));
        let mut more = Vec::new();
        if may_come_again {
            more.push(("Retry-After", "after how many seconds another try may succeed"));
        }
        if status == 401 {
            more.push(("WWW-Authenticate", "what credentials are asked for (RFC 6750, RFC 7617)"));
        }
        let lines = kinds.iter().map(|kind| {
            let row = kind.row();
            let again = if row.retry == Retry::Never { "" } else { " (try again)" };
            format!("`{}`: {}{again}", row.code, row.title)
        });
        let mut lines: Vec<_> = lines.collect();
        let mut content = Map::new();
        if !kinds.is_empty() {
            content.insert("application/problem+json".to_owned(), json!({ "schema": { "$ref": "#/components/schemas/Problem" } }));
        }
        if is_of_oauth {
            lines.push("an error of OAuth (RFC 6749, section 5.2)".to_owned());
            content.insert("application/json".to_owned(), json!({ "schema": table::oauth_error(schemas) }));
        }
        responses.insert(
            status.to_string(),
            json!({ "description": lines.join("; "), "content": content, "headers": headers(operation, &more) }),
        );
    }
    Value::Object(responses)
}

/// What every response has, and what this one has besides.
fn headers(operation: &Operation, others: &[(&str, &str)]) -> Value {
    let all = [
        ("X-Request-Id", "the request's own id, or a new one"),
        ("X-NCore-Revision", "the state that the answer is from is at least that new"),
    ];
    let header = |(name, description): &(&str, &str)| {
        let is_always_there = *name == "X-Request-Id";
        let header = json!({ "description": description, "required": is_always_there, "schema": { "type": "string" } });
        ((*name).to_owned(), header)
    };
    let limits: &[_] = if operation.is_limited() { &LIMIT_HEADERS } else { &[] };
    all.iter().chain(limits).chain(others).map(header).collect::<Map<_, _>>().into()
}

/// The problem document, with every code that there is.
fn problem_schema() -> Value {
    let text = json!({ "type": "string" });
    let codes: Vec<_> = Kind::ALL.iter().map(|kind| kind.row().code).collect();
    json!({
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "required": ["type", "title", "status", "detail", "instance", "code", "message", "request_id"],
        "properties": {
            "type": text, "title": text, "status": { "type": "integer" }, "detail": text, "instance": text,
            // The listener refuses some requests before the API sees them, and has codes of its own.
            "code": { "type": "string", "examples": codes },
            "message": text, "request_id": text,
            "violated-policies": { "type": "array", "items": text, "description": "of 429: the limit that was reached, by its name in `RateLimit-Policy`" },
            "outcome": { "enum": ["unavailable", "unknown"], "description": "of changes: it did not take place, or may have" },
        },
    })
}
