//! What every answer has, and every problem document besides.

use anyhow::{Result, ensure};
use cluster_tests::client::Answer;
use cluster_tests::site::index;

/// An answer with the id that its request had. Of a refusal, the document of RFC 9457 with our own members, and no byte for caches to keep.
pub(crate) fn check(answer: &Answer, request_id: &str, path: &str, code: &str, title: &str) -> Result<()> {
    ensure!(answer.header("x-request-id") == request_id, "another request id");
    if code.is_empty() {
        return Ok(());
    }
    ensure!(answer.header("content-type") == "application/problem+json" && answer.header("cache-control") == "no-store", "headers");
    let document = answer.json();
    let kind = match code {
        "rate_limited" => "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned(),
        code => format!("urn:ncore:problem:{code}"),
    };
    ensure!(document["type"] == *kind && document["code"] == code && document["title"] == title, "what it is");
    ensure!(
        document["status"] == answer.status && document["instance"] == path && document["request_id"] == request_id,
        "what it is about"
    );
    let detail = answer.text("detail");
    ensure!(!detail.is_empty() && document["message"] == *detail, "what it says");
    if answer.status == 503 || answer.status == 429 {
        ensure!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "when to try again");
    }
    if answer.status == 503 {
        ensure!(document["outcome"] == "unavailable", "whether it took place");
    }
    Ok(())
}

/// As above, for what the API answers: from which state it is.
pub(crate) fn has_revision(answer: &Answer) -> Result<()> {
    ensure!(index(answer.header("x-ncore-revision")) > 0, "no revision");
    Ok(())
}
