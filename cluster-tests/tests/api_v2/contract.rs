//! The node's own document, calls by the names that it gives them, and what of it was called.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::Answer;
use cluster_tests::site::{Site, index};
use parking_lot::Mutex;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::shape;

/// Headers of the document that answers have only if there is a reason for them.
const ONLY_IF_THERE_IS_REASON: [&str; 10] = [
    "Link",
    "X-NCore-Asset",
    "Upload-Offset",
    "Upload-Expires",
    "Upload-Metadata",
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
];

/// What a node says that there is.
pub(crate) struct Contract<'a> {
    pub(crate) site: &'a Site,
    document: Value,
    /// Operations with the statuses of success that were seen, `listAssets 200`.
    seen: Mutex<BTreeSet<String>>,
    calls: Mutex<usize>,
}

/// A call, by the name of its operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    operation: &'a str,
    id: &'a str,
    query: &'a str,
    token: &'a str,
}

pub(crate) const fn call(operation: &str) -> Call<'_> {
    Call { operation, id: "", query: "", token: "" }
}

impl<'a> Call<'a> {
    /// What stands for `{id}` in the path.
    pub(crate) const fn of(self, id: &'a str) -> Self {
        Self { id, ..self }
    }

    /// What follows the `?`.
    pub(crate) const fn query(self, query: &'a str) -> Self {
        Self { query, ..self }
    }

    pub(crate) const fn by(self, token: &'a str) -> Self {
        Self { token, ..self }
    }
}

impl<'a> Contract<'a> {
    /// The document of the next node, which is that of every node.
    pub(crate) async fn read(site: &'a Site) -> Result<Self> {
        let documents = site.everywhere("/api/v2/openapi.json", "").await?;
        ensure!(documents.iter().all(|answer| answer.status == 200 && answer.body == documents[0].body), "the nodes differ");
        let document = documents[0].json();
        ensure!(document["openapi"] == "3.1.0", "{document}");
        Ok(Self { site, document, seen: Mutex::default(), calls: Mutex::default() })
    }

    /// Calls it at the next node. The answer has the status, and headers and body as the document says of it.
    pub(crate) async fn call(&self, call: Call<'_>, status: u16, fill: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Result<Answer> {
        let request = self.request(call)?;
        let (number, presented) = (self.count(), self.site.revision());
        // Every other request has an id of its own.
        let own = (number % 2 == 0).then(|| format!("call-{number}"));
        let request = match &own {
            Some(id) => request.header("X-Request-Id", id),
            None => request,
        };
        let answer = self.site.send(fill(request)).await?;
        let what = format!("{call:?}, which is {number}");
        let answer = answer.expect(status, &what)?;
        self.check(call.operation, &answer, own.as_deref(), &presented).with_context(|| format!("{what}: {answer:?}"))?;
        Ok(answer)
    }

    /// A request at the next node.
    pub(crate) fn request(&self, call: Call<'_>) -> Result<RequestBuilder> {
        let (path, method, _) = self.operation(call.operation)?;
        let path = path.replace("{id}", call.id);
        let path = if call.query.is_empty() { path } else { format!("{path}?{}", call.query) };
        Ok(self.site.ask(Method::from_bytes(method.to_uppercase().as_bytes())?, &path, call.token))
    }

    /// Notes a success of an operation whose answer has no end.
    pub(crate) fn saw(&self, operation: &str, status: u16) {
        self.seen.lock().insert(format!("{operation} {status}"));
    }

    /// Every operation of the document, with each status of success that it may have, was seen.
    pub(crate) fn is_whole(&self) -> Result<usize> {
        let mut documented = BTreeSet::new();
        for (_, _, operation) in self.operations() {
            let id = operation["operationId"].as_str().context("an operation has an id")?;
            let statuses = operation["responses"].as_object().context("responses")?.keys();
            documented.extend(statuses.filter(|status| status.as_str() < "400").map(|status| format!("{id} {status}")));
        }
        let seen = self.seen.lock();
        let forgotten: Vec<_> = documented.difference(&seen).collect();
        ensure!(forgotten.is_empty(), "in the document, and not called here: {forgotten:?}");
        Ok(documented.len())
    }

    /// Every status that some operation may answer with.
    pub(crate) fn statuses(&self) -> BTreeSet<u16> {
        let responses = self.operations().filter_map(|(_, _, operation)| operation["responses"].as_object());
        responses.flat_map(|responses| responses.keys()).filter_map(|status| status.parse().ok()).collect()
    }

    fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    fn operation(&self, id: &str) -> Result<(&str, &str, &Value)> {
        self.operations().find(|(_, _, operation)| operation["operationId"] == id).with_context(|| format!("no operation {id}"))
    }

    fn count(&self) -> usize {
        let mut calls = self.calls.lock();
        *calls += 1;
        *calls
    }

    fn check(&self, id: &str, answer: &Answer, own_id: Option<&str>, presented: &str) -> Result<()> {
        let (_, method, operation) = self.operation(id)?;
        let response = &operation["responses"][answer.status.to_string()];
        ensure!(response.is_object(), "the document has no such status");
        for name in response["headers"].as_object().context("headers")?.keys() {
            ensure!(ONLY_IF_THERE_IS_REASON.contains(&name.as_str()) || !answer.header(name).is_empty(), "the header {name} is missing");
        }
        let request_id = answer.header("x-request-id");
        ensure!(own_id.map_or(!request_id.is_empty(), |own| request_id == own), "another request id");
        ensure!(index(answer.header("x-ncore-revision")) >= index(presented), "older than {presented}");
        let Some(content) = response["content"].as_object().filter(|_| method != "head") else {
            ensure!(answer.body.is_empty(), "there is a body, and none in the document");
            self.saw(id, answer.status);
            return Ok(());
        };
        let media_type = answer.header("content-type").split(';').next().unwrap_or_default();
        let schema = &content.get(media_type).with_context(|| format!("the document has no {media_type} here"))?["schema"];
        shape::check(&answer.json(), schema, &self.document)?;
        self.saw(id, answer.status);
        Ok(())
    }
}
