//! What administrators see: the whole cluster, from one node, with the others up or down; and that nobody else does.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use cluster_tests::{
    Cluster, Node,
    client::{Api, Upload},
    run::{Limit, Run, property},
    wait,
    workload::Content,
};
use reqwest::header::SET_COOKIE;
use serde::Deserialize;
use serde_json::Value;

use crate::browser::{Browser, key_of, leads_to};

/// The schema level that administrators need.
const LEVEL: u32 = 6;
/// How long a healthy cluster may take.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a page may take, with a node that does not answer: its patience, and what else there is to do.
const PAGE_WITHIN: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Administrator {
    id: String,
    token: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_the_whole_cluster_and_nobody_else_does() -> Result<()> {
    property("cluster_page", Limit::minutes(4, 4), cluster_page).await
}

async fn cluster_page(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    wait::until(SETTLE, "the schema level to be raised", || async {
        let level = cluster.status().await?.schema_level;
        ensure!(level >= LEVEL, "it is {level}");
        Ok(())
    })
    .await?;
    let api = cluster.api("cluster-page").await?;
    let upload = Upload::new("pub/seen.bin", Content::new(run.seed(), 1 << 20).bytes());
    api.at(cluster.node(0)).upload(&upload).await.done().context("an upload")?;
    let (ada, bob) = (administrator(cluster.node(0), "ada").await?, administrator(cluster.node(0), "bob").await?);
    let here = cluster.node(0);
    let mut browser = Browser::at(here)?;
    wait::until(SETTLE, "the node to know the administrators", || async {
        for administrator in [&ada, &bob] {
            let answer = browser.get("/api/v2/admin/clients").bearer_auth(&administrator.token).send().await?;
            ensure!(answer.status() == 200, "{}", answer.status());
        }
        Ok(())
    })
    .await?;

    nothing_without_signing_in(&cluster, &api, &ada).await?;
    run.say("nobody else is let in");
    browser.sign_in(&ada.token).await?;
    whole_cluster(&cluster, &api, &browser).await?;
    run.say("the page is of the whole cluster");
    no_script_and_no_other_node(&cluster, &browser).await?;
    run.say("a cookie alone, at another node, or for a script, is not enough");
    one_is_away(&cluster, &browser).await?;
    run.say("a node that is away is shown as that");
    sessions_end(here, browser, &ada, &bob).await?;
    run.say("sessions end");
    guessing_is_slow(here).await?;

    for node in cluster.nodes() {
        let said = fs::read_to_string(node.log_path())?;
        for secret in [ada.token.as_str(), bob.token.as_str(), "nca_", "ncw_"] {
            ensure!(!said.contains(secret), "{} says a secret in its log", node.name());
        }
    }
    cluster.shutdown().await?;
    Ok(())
}

async fn administrator(node: &Node, name: &str) -> Result<Administrator> {
    Ok(node.operator().json(&["administrator", "add"], &["--name", name, "--json"]).await?)
}

/// Not without a session, not with what is no administrator's token, not from the page of another site.
async fn nothing_without_signing_in(cluster: &Cluster, api: &Api, ada: &Administrator) -> Result<()> {
    let browser = Browser::at(cluster.node(0))?;
    for cookie in [None, Some("ncore_session_1=ncw_forged".to_owned())] {
        let stranger = Browser::showing(cluster.node(0), cookie)?;
        ensure!(!stranger.is_signed_in().await?, "a stranger is let in");
        let page = stranger.get("/cluster").send().await?.text().await?;
        ensure!(cluster.nodes().iter().all(|node| !page.contains(node.name())), "{page}");
        ensure!(stranger.get("/cluster/live").send().await?.status() == 401, "a stranger has the stream");
        let out = stranger.form("/cluster/sign-out", &[("key", "x")]).send().await?;
        ensure!(out.status() == 303 && leads_to(&out) == Some("/"), "{out:?}");
    }
    let client = api.bearer(cluster.node(0)).await?;
    for token in [client.token(), ada.id.as_str(), "nca_guess", ""] {
        let answer = browser.form("/cluster/sign-in", &[("token", token)]).send().await?;
        ensure!(answer.status() == 401, "{token:?}: {}", answer.status());
        ensure!(answer.headers().get(SET_COOKIE).is_none(), "{token:?} got a session");
    }
    for origin in ["http://evil.example", "null", &cluster.node(1).url()] {
        let answer = browser.form_from(origin, "/cluster/sign-in", &[("token", &ada.token)]).send().await?;
        ensure!(answer.status() == 403 && answer.headers().get(SET_COOKIE).is_none(), "from {origin}: {answer:?}");
    }
    ensure!(cluster.node(0).figure("ncore_administrator_sessions").await? == 0, "there is a session");
    Ok(())
}

/// Every node is there, and what each was asked for, and whom the clients are.
async fn whole_cluster(cluster: &Cluster, api: &Api, browser: &Browser) -> Result<()> {
    let mut stream = browser.stream().await?;
    wait::until(SETTLE, "each node to have the asset", || async {
        for node in cluster.nodes() {
            api.at(node).get("pub/seen.bin").await.done().context("a viewer")?;
        }
        anyhow::Ok(())
    })
    .await?;
    let names: Vec<_> = cluster.nodes().iter().map(Node::name).collect();
    let news = stream.until(SETTLE, "all nodes answer, and have been asked for the asset", |news| {
        let all_answer = news["voices"] == "All 3 nodes answer." && news["unheard"] == "";
        let seen = |list: &str, field: &str, holds: &dyn Fn(&Value) -> bool| {
            let rows = news[list].as_array().map(Vec::as_slice).unwrap_or_default();
            names.iter().all(|name| rows.iter().any(|row| row[field] == **name && holds(row)))
        };
        all_answer
            && seen("nodes", "name", &|row| row["status"] == "operational" && row["lag"] == "")
            && seen("access", "node", &|row| row["path"].as_str().is_some_and(|path| path.ends_with("/pub/seen.bin")))
    });
    let news = news.await?;
    let roles: Vec<_> = news["nodes"].as_array().context("nodes")?.iter().map(|row| row["role"].as_str().unwrap_or_default()).collect();
    ensure!(roles.iter().filter(|role| **role == "leader").count() == 1, "{roles:?}");
    // The limits of all nodes together.
    let mut limit = 0;
    for node in cluster.nodes() {
        limit += node.figure("ncore_connections_max").await?;
    }
    let note = news["cards"][2]["note"].as_str().context("a note")?;
    ensure!(note.chars().filter(char::is_ascii_digit).collect::<String>() == limit.to_string(), "{note} of {limit}");
    let page = browser.page().await?;
    for wanted in [names.as_slice(), &["cluster-page", "/pub/seen.bin", "operational"]].concat() {
        ensure!(page.contains(wanted), "{wanted} is not on the page, which is to be whole without a script");
    }
    Ok(())
}

/// What clients upload is served from the same origin: a script there has the cookie, and must get nothing for it.
async fn no_script_and_no_other_node(cluster: &Cluster, browser: &Browser) -> Result<()> {
    for dest in ["empty", "iframe", "script"] {
        ensure!(browser.get("/cluster").header("sec-fetch-dest", dest).send().await?.status() == 403, "the page for {dest}");
    }
    ensure!(browser.get("/cluster").header("sec-fetch-dest", "document").send().await?.status() == 200, "the page for a visit");
    ensure!(browser.get("/cluster/live").send().await?.status() == 403, "the stream without the key of the page");
    ensure!(browser.get("/cluster/live").header("x-ncore-page", "0".repeat(32)).send().await?.status() == 403, "with another key");
    for (origin, key) in [("http://evil.example", key_of(&browser.page().await?)?), (&cluster.node(0).url(), "x")] {
        ensure!(browser.form_from(origin, "/cluster/sign-out", &[("key", key)]).send().await?.status() == 403, "signing out for {origin}");
    }
    ensure!(browser.is_signed_in().await?, "signed out by somebody else");
    let other = Browser::showing(cluster.node(1), browser.cookie.clone())?;
    ensure!(!other.is_signed_in().await?, "a session is of one node");
    Ok(())
}

/// Its last figures stay with their age, the others go on, and the page is as quick as before.
async fn one_is_away(cluster: &Cluster, browser: &Browser) -> Result<()> {
    let away = cluster.node(2);
    let mut stream = browser.stream().await?;
    away.kill_9().await?;
    let is_away = |row: &Value| {
        row["name"] == away.name() && row["status"] == "not answering" && row["age"].as_str().is_some_and(|age| age.starts_with("as of "))
    };
    // Another that is slow may be missing for a moment.
    let news = stream.until(SETTLE, "a node does not answer, and the others do", |news| {
        let is_unheard = news["unheard"].as_str().is_some_and(|names| names.contains(away.name()));
        let others_answer = news["voices"] == format!("2 of 3 nodes answer. Not heard: {}.", away.name());
        is_unheard && others_answer && news["nodes"].as_array().is_some_and(|rows| rows.iter().any(is_away))
    });
    news.await?;
    let start = std::time::Instant::now();
    let page = browser.page().await?;
    ensure!(start.elapsed() < PAGE_WITHIN, "the page took {:?}", start.elapsed());
    ensure!(page.contains("not answering") && page.contains("as of "), "the page does not say that a node is away");
    away.restart().await?;
    let heard = stream.until(SETTLE, "all nodes answer again", |news| news["voices"] == "All 3 nodes answer." && news["unheard"] == "");
    heard.await?;
    Ok(())
}

/// With the one who signs out, and with the administrator who is removed; not with another.
async fn sessions_end(here: &Node, browser: Browser, ada: &Administrator, bob: &Administrator) -> Result<()> {
    let mut of_bob = Browser::at(here)?;
    of_bob.sign_in(&bob.token).await?;
    let mut stream = browser.stream().await?;
    stream.next().await?.context("the stream goes on")?;
    let _: Value = here.operator().json(&["administrator", "remove"], &[&ada.id, "--json"]).await?;
    ensure!(!browser.is_signed_in().await?, "the token is gone and the session is not");
    let ended = tokio::time::timeout(PAGE_WITHIN, async {
        // What was on its way when the token went may come.
        while stream.next().await?.is_some() {}
        anyhow::Ok(())
    });
    ended.await.context("the token is gone and its stream goes on")??;
    ensure!(browser.form("/cluster/sign-in", &[("token", &ada.token)]).send().await?.status() == 401, "the token is gone and lets in");

    let page = of_bob.page().await.context("the other administrator")?;
    let out = of_bob.form("/cluster/sign-out", &[("key", key_of(&page)?)]).send().await?;
    let gone = out.headers().get(SET_COOKIE).context("the cookie is taken away")?.to_str()?.to_owned();
    ensure!(out.status() == 303 && gone.contains("Max-Age=0"), "{gone}");
    ensure!(!of_bob.is_signed_in().await?, "the cookie is still good after signing out");
    ensure!(here.figure("ncore_administrator_sessions").await? == 0, "a session is left");
    Ok(())
}

async fn guessing_is_slow(here: &Node) -> Result<()> {
    let browser = Browser::at(here)?;
    let mut slowed = None;
    for number in 0..10 {
        let answer = browser.form("/cluster/sign-in", &[("token", &format!("nca_guess{number}"))]).send().await?;
        if answer.status() == 429 {
            slowed = Some(answer);
            break;
        }
    }
    let slowed = slowed.context("ten wrong tokens, and nobody waits")?;
    ensure!(slowed.headers().get("retry-after").is_some(), "for how long?");
    Ok(())
}
