//! The document says what the router does: each operation that it has is there, and nothing else is.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::Value;

use crate::site::Site;

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

async fn document(site: &Site) -> Value {
    let answer = site.get("/api/v2/openapi.json").await;
    assert_eq!(answer.status, StatusCode::OK);
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn each_path_has_the_methods_that_the_document_gives_it() {
    let site = Site::new().await;
    let document = document(&site).await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in METHODS {
            let documented = operations.get(method.as_str().to_lowercase()).is_some();
            let request = site.request(method.clone(), &path.replace("{id}", "as_none")).body(Body::empty());
            let answer = site.send(request).await;
            let code = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| body["code"].as_str().map(str::to_owned));
            assert_eq!(answer.status != StatusCode::METHOD_NOT_ALLOWED, documented, "{method} {path}");
            assert_ne!(code.as_deref(), Some("endpoint_not_found"), "{method} {path}");
            if documented {
                let status = answer.status.as_u16().to_string();
                assert!(operations[method.as_str().to_lowercase()]["responses"].get(&status).is_some(), "{method} {path}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_limited_says_so() {
    let document = document(&Site::new().await).await;
    let mut limited = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let is_limited = path != "/api/v2/status";
            assert_eq!(operation["responses"].get("429").is_some(), is_limited, "{method} {path}");
            for (status, response) in operation["responses"].as_object().expect("responses") {
                for header in ["RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"] {
                    assert_eq!(response["headers"].get(header).is_some(), is_limited, "{header} of {status} of {method} {path}");
                }
            }
            limited += usize::from(is_limited);
        }
    }
    assert!(limited > 10, "{limited}");
}

/// A router does not tell its routes, so they are read where they are written.
#[tokio::test]
async fn each_route_is_in_the_document() {
    let source = concat!(include_str!("../../src/v2.rs"), include_str!("../../src/v2/admin.rs"));
    let constant = |name: &str| source.split(&format!("{name}: &str = \"")).nth(1).and_then(|rest| rest.split('"').next());
    let routes: BTreeSet<&str> = source
        .split(".route(")
        .skip(1)
        .map(|route| match route.split(',').next().expect("an argument") {
            name if name.ends_with("_PATH") => constant(name).expect("a path with a name"),
            path => path.trim().trim_matches('"'),
        })
        .collect();
    let document = document(&Site::new().await).await;
    let documented: BTreeSet<&str> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    assert!(routes.len() > 5, "{routes:?}");
    assert_eq!(routes, documented);
}

#[tokio::test]
async fn every_reference_within_the_document_leads_somewhere() {
    fn check(value: &Value, document: &Value, seen: &mut usize) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("within the document");
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    *seen += 1;
                }
                members.values().for_each(|value| check(value, document, seen));
            }
            Value::Array(values) => values.iter().for_each(|value| check(value, document, seen)),
            _ => {}
        }
    }
    let document = document(&Site::new().await).await;
    let mut seen = 0;
    check(&document, &document, &mut seen);
    assert!(seen > 20, "{seen}");
}
