//! The reference of the API, from its OpenAPI document: nothing is said here that the document does not say.
//!
//! With a script, each endpoint can be tried from the page. The token stays in the page: it goes to this node, in the header of the
//! call, and nowhere else.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{Content, guide, scrolling};

pub(super) fn render(content: &Content<'_>) -> Markup {
    let document = content.reference;
    let version = text(&document["info"]["version"]);
    html! {
        section id="api" aria-labelledby="api-heading" {
            h2 id="api-heading" { "API reference, v" (version) }
            p.lead {
                "Authentication required. All endpoints except " code { "/api/v2/status" } " and public asset paths require a valid API token \
                 passed via " code { "Authorization: Bearer <token>" } " header. Tokens are bound to client domain and IP range. The same as an \
                 OpenAPI document: " a href="/api/v2/openapi.json" { "/api/v2/openapi.json" } "."
            }
            (guide::token(&content.node.url))
            h3 { "Endpoints" }
            div.try-token hidden {
                label for="try-token" { "Token for trying calls" }
                input id="try-token" type="password" autocomplete="off" spellcheck="false";
                p.note { "It stays on this page, and goes to this node alone." }
            }
            div.operations { @for (path, method, operation) in ordered(document) { (one(content, path, method, operation)) } }
            div.guide {
                div.step {
                    h3 { "Object schema: Asset" }
                    (scrolling("Object schema", &fields(document, &document["components"]["schemas"]["Asset"], "Fields of an asset")))
                }
                div.step {
                    h3 { "Status codes" }
                    (scrolling("Status codes", &guide::statuses()))
                    p.note { "What else an endpoint may answer, and with which codes, stands with it." }
                }
            }
        }
    }
}

/// The operations: those that clients begin with first, then the others as the document has them.
fn ordered(document: &Value) -> Vec<(&String, &String, &Value)> {
    let operations = members(&document["paths"]);
    let mut operations: Vec<_> =
        operations.flat_map(|(path, methods)| members(methods).map(move |(method, operation)| (path, method, operation))).collect();
    let rank = |id: &str| guide::FIRST.iter().position(|first| *first == id).unwrap_or(guide::FIRST.len());
    operations.sort_by_key(|(_, _, operation)| rank(text(&operation["operationId"])));
    operations
}

fn one(content: &Content<'_>, path: &str, method: &str, operation: &Value) -> Markup {
    let document = content.reference;
    let (node, software) = content.known.status.as_ref().map_or(("", ""), |status| (&status.name, &status.software));
    let id = text(&operation["operationId"]);
    html! {
        details.operation id={ "op-" (id) } {
            summary {
                span.method data-method=(method) { (method.to_uppercase()) }
                code.path { (path) }
                span.about { (text(&operation["summary"])) }
            }
            div.inside {
                @if let Some(description) = operation["description"].as_str() { p { (prose(description)) } }
                @if let Some(example) = guide::example(id, &content.node.url, node, software) { (example) }
                @if operation["parameters"].as_array().is_some_and(|parameters| !parameters.is_empty()) {
                    (scrolling(&format!("Parameters of {id}"), &parameters(operation)))
                }
                @for (media_type, body) in members(&operation["requestBody"]["content"]) {
                    (scrolling(&format!("Body of {id}: {media_type}"), &fields(document, &body["schema"], &format!("Body: {media_type}"))))
                }
                (scrolling(&format!("Responses of {id}"), &responses(operation)))
                (attempt(document, path, method, operation))
            }
        }
    }
}

fn parameters(operation: &Value) -> Markup {
    html! {
        table {
            caption { "Parameters" }
            thead { tr { th scope="col" { "Name" } th scope="col" { "In" } th scope="col" { "What it is" } } }
            tbody {
                @for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    tr { th scope="row" { (text(&parameter["name"])) } td { (text(&parameter["in"])) } td.prose { (prose(text(&parameter["description"]))) } }
                }
            }
        }
    }
}

/// The fields of an object.
fn fields(document: &Value, schema: &Value, caption: &str) -> Markup {
    let schema = resolved(document, schema);
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
    html! {
        table {
            caption { (caption) }
            thead { tr { th scope="col" { "Field" } th scope="col" { "Type" } th scope="col" { "What it is" } } }
            tbody {
                @for (name, field) in members(&schema["properties"]) {
                    tr {
                        th scope="row" { (name) }
                        td { (kind(field)) @if !required(name) { ", optional" } }
                        td.prose { (prose(text(&field["description"]))) }
                    }
                }
            }
        }
    }
}

fn responses(operation: &Value) -> Markup {
    html! {
        table {
            caption { "Responses" }
            thead { tr { th scope="col" { "Status" } th scope="col" { "What it means" } } }
            tbody {
                @for (status, response) in members(&operation["responses"]) {
                    tr { th scope="row" data-class=(&status[..1]) { (status) } td.prose { (lines(text(&response["description"]))) } }
                }
            }
        }
    }
}

/// What stands between backquotes is code.
fn prose(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// What is said of each code on a line of its own, the code first.
fn lines(text: &str) -> Markup {
    html! { @for line in text.split("; ") { span.said-of { (prose(line)) } } }
}

/// The form to try a call with; the script shows it.
fn attempt(document: &Value, path: &str, method: &str, operation: &Value) -> Markup {
    let id = text(&operation["operationId"]);
    let content = &operation["requestBody"]["content"];
    let asked = operation["parameters"].as_array().into_iter().flatten().filter(|parameter| parameter["in"] != "header");
    html! {
        form.try hidden data-method=(method.to_uppercase()) data-path=(path) {
            @for parameter in asked {
                (field(id, text(&parameter["name"]), text(&parameter["in"]), parameter["required"] == true))
            }
            @if !content["multipart/form-data"].is_null() {
                @for (name, _) in members(&content["multipart/form-data"]["schema"]["properties"]) { (field(id, name, "form", name == "file")) }
            } @else if !content["application/json"].is_null() {
                @let input = format!("{id}-body");
                label for=(input) { "Body" }
                textarea id=(input) data-in="body" rows="5" spellcheck="false" {
                    (example(document, &content["application/json"]["schema"]))
                }
            }
            button type="submit" { "Send" span.visually-hidden { " " (method.to_uppercase()) " " (path) } }
            output {}
        }
    }
}

fn field(operation: &str, name: &str, place: &str, required: bool) -> Markup {
    let id = format!("{operation}-{name}");
    let kind = if place == "form" && name == "file" { "file" } else { "text" };
    html! {
        label for=(id) { (name) }
        input id=(id) type=(kind) name=(name) data-in=(place) required[required] autocomplete="off" spellcheck="false";
    }
}

/// An object with every field that there is, empty.
fn example(document: &Value, schema: &Value) -> String {
    let empty = |(name, field): (&String, &Value)| {
        let is_number = field["type"].as_array().map_or(field["type"] == "integer", |types| types.iter().any(|kind| kind == "integer"));
        (name.clone(), if is_number { Value::from(0) } else { Value::from("") })
    };
    let object: Map<String, Value> = members(&resolved(document, schema)["properties"]).map(empty).collect();
    serde_json::to_string_pretty(&object).unwrap_or_default()
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    target.unwrap_or(schema)
}

fn kind(field: &Value) -> String {
    match &field["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect::<Vec<_>>().join(" or "),
        _ => "object".to_owned(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
