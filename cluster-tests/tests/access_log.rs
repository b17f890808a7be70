//! The access log: what a client asked for at whichever node, it finds at any other; of another client's requests it finds nothing; and no
//! secret that stood in an address is in an answer, in a file, or in what a node says of itself.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::{Tenant, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_finds_its_own_requests_everywhere_and_no_others() -> Result<()> {
    property("access_log", Limit::minutes(3, 3), access_log).await
}

async fn access_log(run: Run) -> Result<()> {
    let files = TempDir::new()?;
    let dir = files.path().to_str().context("a path")?;
    let cluster = Cluster::builder().seed(run.seed()).setting("access_log", "dir", dir).start().await?;
    let (one, two) = (Tenant::add(&cluster, "one", &[]).await?, Tenant::add(&cluster, "two", &[]).await?);
    for (tenant, path) in [(&one, "restricted/one.bin"), (&two, "restricted/two.bin")] {
        tenant.api.at(cluster.node(0)).upload(&Upload::new(path, Content::new(run.seed(), 50_000).bytes())).await.done()?;
    }
    let signed = sign(&one, cluster.node(1), "restricted/one.bin").await?;
    let signature = signed.split("nc_signature=").nth(1).and_then(|rest| rest.split('&').next()).context("a signature")?.to_owned();

    // At each node: by a signed address, by token, with a token where none belongs, and not at all.
    let (mut of_one, mut of_two) = (BTreeSet::new(), BTreeSet::new());
    for node in cluster.nodes() {
        let name = node.name();
        let cases = [
            (format!("/restricted/one.bin?{signed}"), "one-signed", 200),
            (format!("/restricted/one.bin?{signed}x"), "one-forged", 401),
            (format!("/restricted/one.bin?access_token={}", one.token), "one-in-query", 401),
            ("/restricted/one.bin".to_owned(), "one-without", 401),
        ];
        for (path, id, status) in cases {
            let id = format!("{id}-{name}");
            wait::until(SETTLE, "a node to have the asset", || async {
                let answer = one.http.get(format!("{}{path}", node.url())).header("x-request-id", &id).send().await?;
                ensure!(answer.status() == status, "{id}: {}", answer.status());
                ensure!(answer.headers()["x-request-id"] == id.as_str(), "the answer has another id");
                answer.bytes().await?;
                Ok(())
            })
            .await?;
            of_one.insert((id, name.to_owned(), status));
        }
        let id = format!("two-{name}");
        wait::until(SETTLE, "a node to have the other asset", || async {
            let get = two.http.get(format!("{}/restricted/two.bin", node.url())).bearer_auth(&two.token);
            let answer = get.header("x-request-id", &id).send().await?;
            ensure!(answer.status() == 200, "{}", answer.status());
            answer.bytes().await?;
            Ok(())
        })
        .await?;
        of_two.insert((id, name.to_owned(), 200));
    }

    let mut answers = String::new();
    for node in cluster.nodes() {
        for (tenant, expected, others) in [(&one, &of_one, "two-"), (&two, &of_two, "one-")] {
            wait::until(SETTLE, "the log to be whole", || async {
                let (found, text) = all(tenant, node).await?;
                let missing: Vec<_> = expected.difference(&found).collect();
                ensure!(missing.is_empty(), "not at {}: {missing:?}", node.name());
                ensure!(!text.contains(&format!("\"request_id\":\"{others}")), "another client's requests at {}", node.name());
                ensure!(!text.contains("\"answered\":false"), "a node did not answer: {text}");
                Ok(())
            })
            .await?;
            answers.push_str(&all(tenant, node).await?.1);
        }
    }
    run.say(format_args!("{} requests of one client and {} of another are found at each node", of_one.len(), of_two.len()));

    // A node that is away is named, and what the others have is there.
    let away = cluster.node(2);
    away.stop().await?;
    let (found, text) = all(&one, cluster.node(0)).await?;
    let page: Value = serde_json::from_str(text.lines().next().context("a page")?)?;
    let silent: Vec<_> = page["nodes"].as_array().context("nodes")?.iter().filter(|node| node["answered"] == false).collect();
    ensure!(silent.len() == 1 && silent[0]["node"] == away.name(), "{silent:?}");
    let there = of_one.iter().filter(|(_, node, _)| node != away.name());
    ensure!(there.clone().count() > 0 && there.clone().all(|request| found.contains(request)), "{found:?}");

    // Files are whole: they were written at the latest when a node stopped.
    for node in cluster.nodes() {
        if node.slot() != away.slot() {
            let (taken, dropped) = (
                node.figure("ncore_access_records_total{result=\"taken\"}").await?,
                node.figure("ncore_access_records_total{result=\"dropped\"}").await?,
            );
            ensure!(taken > 5 && dropped == 0, "{taken} taken, {dropped} dropped");
        }
    }
    let logs: Vec<_> = cluster.nodes().iter().map(Node::log_path).collect();
    away.restart().await?;
    cluster.shutdown().await?;
    let file = fs::read_to_string(files.path().join("access.jsonl"))?;
    for (id, node, _) in of_one.iter().chain(&of_two) {
        let line =
            file.lines().find(|line| line.contains(&format!("\"request_id\":\"{id}\""))).with_context(|| format!("{id} in the file"))?;
        ensure!(serde_json::from_str::<Value>(line)?["node"] == node.as_str(), "{line}");
    }
    let said = logs.iter().filter_map(|path| fs::read_to_string(path).ok()).collect::<String>();
    for (what, text) in [("an answer", &answers), ("a file", &file), ("what a node says", &said)] {
        for secret in [&signature, &one.token, &two.token] {
            ensure!(!text.contains(secret.as_str()), "a secret is in {what}");
        }
        ensure!(!text.contains("nc_signature") && !text.contains("access_token="), "a query is in {what}");
    }
    Ok(())
}

/// The query of a signed address.
async fn sign(tenant: &Tenant, node: &Node, path: &str) -> Result<String> {
    let sign = || async {
        let post = tenant.ask(Method::POST, node, "/api/v2/assets/sign").bearer_auth(&tenant.token);
        let signed: Value = post.json(&json!({ "path": path, "expires_in": 3_600 })).send().await?.json().await?;
        signed["query"].as_str().map(str::to_owned).with_context(|| format!("a query: {signed}"))
    };
    wait::until(SETTLE, "a signed address", sign).await.map_err(Into::into)
}

/// Every request in the log, in pages of a few, by id, node and status; and the pages as they came, one a line.
async fn all(tenant: &Tenant, node: &Node) -> Result<(BTreeSet<(String, String, u16)>, String)> {
    let (mut found, mut text, mut cursor) = (BTreeSet::new(), String::new(), String::new());
    loop {
        let get = tenant.ask(Method::GET, node, &format!("/api/v2/logs?limit=7&prefix=/restricted/{cursor}")).bearer_auth(&tenant.token);
        let body = get.send().await?.error_for_status()?.text().await?;
        let page: Value = serde_json::from_str(&body)?;
        for line in page["logs"].as_array().context("logs")? {
            let field = |name: &str| line[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {line}"));
            let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok()).context("a status")?;
            found.insert((field("request_id")?, field("node")?, status));
        }
        text.push_str(&body);
        text.push('\n');
        match page["next_cursor"].as_str() {
            None => return Ok((found, text)),
            Some(next) => cursor = format!("&cursor={next}"),
        }
    }
}

/// Longer than a node takes to follow, and than a record takes to be there.
const SETTLE: Duration = Duration::from_secs(60);
