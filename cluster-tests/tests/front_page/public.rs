//! What anybody sees of a node: its page is there on every node, without a login, and its figures are those of `/metrics`.

use anyhow::{Context as _, Result, ensure};
use cluster_tests::client::Upload;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use serde_json::Value;
use std::time::Duration;

/// Longer than a node keeps what it has read for its page, and than it takes to its next sample.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_node_says_what_the_node_does() -> Result<()> {
    property("front_page", Limit::minutes(2, 2), front_page).await
}

async fn front_page(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("front-page").await?;
    let public = Upload::new("pub/<b>bold</b>.txt", Content::new(run.seed(), 4 << 20).bytes());
    let private = Upload::new("private/plan.txt", Content::new(run.seed(), 100).bytes());
    for upload in [&public, &private] {
        api.at(cluster.node(0)).upload(upload).await.done().context("an upload")?;
    }
    for node in cluster.nodes() {
        wait::until(SOON, "the asset is in the public index", || async {
            let page = text(node, "/").await?;
            ensure!(page.contains("pub/&lt;b&gt;bold&lt;/b&gt;.txt"), "it is not listed at {}", node.name());
            ensure!(!page.contains("<b>bold"), "markup got into the page");
            ensure!(!page.contains("plan.txt"), "what is not below pub/ is nobody else's to know");
            ensure!(page.contains(&format!("<h1>{}</h1>", node.name())), "whose page is it?");
            Ok(())
        })
        .await?;
    }
    run.say("the page is there on each node");

    let node = cluster.node(1);
    for _ in 0..3 {
        api.at(node).get(public.path()).await.done().context("a viewer")?;
    }
    wait::until(SOON, "the stream says what /metrics says", || async {
        let news = first_news(node).await?;
        let metrics = text(node, "/metrics").await?;
        let figure = |name: &str| figure(&metrics, name).with_context(|| name.to_owned());
        let (hits, misses) = (figure("ncore_asset_hits_total")?, figure("ncore_asset_misses_total")?);
        let rate = (hits * 1_000).checked_div(hits + misses).context("no asset was asked for yet")?;
        ensure!(card(&news, "hits")? == format!("{}.{}", rate / 10, rate % 10), "{news}");
        ensure!(card(&news, "errors")? == figure("ncore_responses_total{class=\"5xx\"}")?.to_string(), "{news}");
        let sent: u64 =
            news["log"].as_array().context("a log")?.iter().filter_map(|row| row["cells"][0].as_str()?.parse::<u64>().ok()).sum();
        ensure!(sent > 0, "requests were counted and the log has none: {news}");
        let limit = figure("ncore_connections_max")?;
        ensure!(news["cards"][2]["note"].as_str().is_some_and(|note| digits(note) == limit.to_string()), "{news}");
        Ok(())
    })
    .await?;
    run.say("its figures are those of /metrics");

    let events = first_news(node).await?["events"].to_string();
    for kind in ["started", "leader_changed"] {
        ensure!(events.contains(kind), "{kind} in {events}");
    }
    // Open streams do not keep a node from stopping.
    let open = reqwest::get(format!("{}/live", node.url())).await?;
    cluster.shutdown().await?;
    drop(open);
    Ok(())
}

async fn text(node: &Node, path: &str) -> Result<String> {
    Ok(reqwest::get(format!("{}{path}", node.url())).await?.error_for_status()?.text().await?)
}

/// The first message of a new stream.
async fn first_news(node: &Node) -> Result<Value> {
    let mut response = reqwest::get(format!("{}/live", node.url())).await?.error_for_status()?;
    let mut seen = String::new();
    while let Some(chunk) = response.chunk().await? {
        seen.push_str(std::str::from_utf8(&chunk)?);
        let message = seen.split_once("data: ").and_then(|(_, rest)| rest.split_once("\n\n"));
        if let Some((json, _)) = message {
            return serde_json::from_str(json).context("not JSON");
        }
    }
    anyhow::bail!("the stream ended: {seen}")
}

fn card(news: &Value, id: &str) -> Result<String> {
    let cards = news["cards"].as_array().context("cards")?;
    let card = cards.iter().find(|card| card["id"] == id).context("a card")?;
    Ok(card["value"].as_str().context("a value")?.to_owned())
}

fn figure(metrics: &str, name: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}
