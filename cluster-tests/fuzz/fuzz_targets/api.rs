//! Requests of every kind at every endpoint of the API document: forms, JSON, cursors, tokens, header fields. None may be answered by a
//! fault of the node, and every refusal is one in the shape of this family, with the id of the request.
#![no_main]

mod node;
#[allow(dead_code, unused, reason = "the tests of the domain use more of it")]
#[path = "../../../node/domain/tests/rig/mod.rs"]
mod rig;
#[allow(dead_code, unused, reason = "the tests of the API use more of it")]
#[path = "../../../node/api/tests/it/site.rs"]
mod site;

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use axum::body::Body;
use http::{HeaderName, Request, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use crate::node::Node;


#[derive(Debug, Arbitrary)]
struct Input<'a> {
    operation: u8,
    /// What stands for the parameters in the path.
    segment: &'a str,
    query: Vec<(u8, &'a str)>,
    fields: Vec<(u8, &'a [u8])>,
    credentials: Credentials<'a>,
    body: Content<'a>,
}

#[derive(Debug, Arbitrary)]
enum Credentials<'a> {
    None,
    Good,
    /// The good token with a byte of it changed.
    Changed(u8, u8),
    Token(&'a str),
    Field(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
enum Content<'a> {
    None,
    Raw(&'a [u8]),
    Json(&'a str),
    Members(Vec<(u8, Member<'a>)>),
    Form(&'a str),
    Parts(Vec<Part<'a>>),
    Multipart(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
enum Member<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Text(&'a str),
    Texts(Vec<&'a str>),
}

#[derive(Debug, Arbitrary)]
struct Part<'a> {
    name: u8,
    file_name: Option<&'a str>,
    head: &'a [u8],
    content: &'a [u8],
}

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    query: Vec<String>,
}

/// Fields that requests may have, and names of members and parts.
const FIELDS: &[&str] = &[
    "content-type", "if-match", "if-none-match", "if-modified-since", "idempotency-key", "prefer", "x-ncore-revision", "x-request-id",
    "content-digest", "repr-digest", "range", "accept", "content-length", "cookie", "origin", "forwarded", "x-forwarded-for",
    "tus-resumable", "upload-length", "upload-offset", "upload-metadata", "upload-checksum", "upload-defer-length", "upload-concat",
];
const NAMES: &[&str] = &[
    "path", "file", "cache_ttl", "mime", "visibility", "client_id", "client_secret", "grant_type", "scope", "token", "refresh_token",
    "paths", "pattern", "mode", "expires_in", "network", "prefix", "ids", "assets", "to", "name", "domains", "plan", "status", "url",
];

static NODE: LazyLock<Node> = LazyLock::new(Node::new);
static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(operations);

fuzz_target!(|input: Input<'_>| {
    let operation = &OPERATIONS[usize::from(input.operation) % OPERATIONS.len()];
    if let Some(request) = request(operation, &input) {
        judge(NODE.send(request), operation);
    }
});

fn operations() -> Vec<Operation> {
    let document = ncore_api::openapi();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("an object") {
        for (method, operation) in item.as_object().expect("an object") {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            let query = query.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect();
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), query });
        }
    }
    operations
}

/// `None` if it is no request of HTTP.
fn request(operation: &Operation, input: &Input<'_>) -> Option<Request<Body>> {
    let mut uri = String::new();
    for (at, segment) in operation.path.split('/').enumerate() {
        if at > 0 {
            uri.push('/');
        }
        uri.push_str(if segment.starts_with('{') { input.segment } else { segment });
    }
    for (at, (name, value)) in input.query.iter().enumerate() {
        let known = operation.query.get(usize::from(*name)).map_or("x", String::as_str);
        uri.push_str(&format!("{}{known}={value}", if at == 0 { '?' } else { '&' }));
    }
    let mut request = Request::builder().method(operation.method.as_str()).uri(uri);
    for (name, value) in &input.fields {
        let name = HeaderName::from_static(FIELDS[usize::from(*name) % FIELDS.len()]);
        request = request.header(name, *value);
    }
    request = match &input.credentials {
        Credentials::None => request,
        Credentials::Good => request.header(header::AUTHORIZATION, format!("Bearer {}", NODE.token)),
        Credentials::Changed(at, by) => {
            let mut token = NODE.token.clone().into_bytes();
            let at = usize::from(*at) * token.len() / 256;
            token[at] = token[at].wrapping_add(*by);
            request.header(header::AUTHORIZATION, [b"Bearer ", token.as_slice()].concat())
        }
        Credentials::Token(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        Credentials::Field(field) => request.header(header::AUTHORIZATION, *field),
    };
    let (kind, body) = content(&input.body);
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    request.body(Body::from(body)).ok()
}

fn content(content: &Content<'_>) -> (Option<&'static str>, Vec<u8>) {
    match content {
        Content::None => (None, Vec::new()),
        Content::Raw(bytes) => (None, bytes.to_vec()),
        Content::Json(text) => (Some("application/json"), text.as_bytes().to_vec()),
        Content::Members(members) => {
            let members = members.iter().map(|(name, member)| (NAMES[usize::from(*name) % NAMES.len()].to_owned(), value(member)));
            (Some("application/json"), Value::Object(members.collect()).to_string().into_bytes())
        }
        Content::Form(text) => (Some("application/x-www-form-urlencoded"), text.as_bytes().to_vec()),
        Content::Parts(parts) => (Some("multipart/form-data; boundary=B"), parts.iter().flat_map(part).chain(*b"--B--\r\n").collect()),
        Content::Multipart(bytes) => (Some("multipart/form-data; boundary=B"), bytes.to_vec()),
    }
}

fn value(member: &Member<'_>) -> Value {
    match member {
        Member::Null => Value::Null,
        Member::Bool(value) => (*value).into(),
        Member::Integer(value) => (*value).into(),
        Member::Text(text) => (*text).into(),
        Member::Texts(texts) => texts.clone().into(),
    }
}

fn part(part: &Part<'_>) -> Vec<u8> {
    let name = NAMES[usize::from(part.name) % NAMES.len()];
    let file_name = part.file_name.map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
    let head = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file_name}\r\n");
    [head.as_bytes(), part.head, b"\r\n\r\n", part.content, b"\r\n"].concat()
}

fn judge(response: http::Response<bytes::Bytes>, operation: &Operation) {
    let (method, path, status) = (&operation.method, &operation.path, response.status());
    let text = String::from_utf8_lossy(response.body());
    assert!(status.as_u16() < 500 || status == StatusCode::SERVICE_UNAVAILABLE, "{method} {path}: {status} {text}");
    assert!(response.headers().contains_key("x-request-id"), "{method} {path}: {status}");
    if status.is_client_error() && method != "HEAD" && !text.is_empty() {
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {status} {text}"));
        assert!(document.is_object(), "{method} {path}: {status} {text}");
    }
    assert!(!text.contains(&NODE.token) || status.is_success(), "{method} {path} gives the token back: {text}");
}
