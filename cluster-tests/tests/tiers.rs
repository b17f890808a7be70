//! Nodes ask each other before the origin: together they ask it once, a node that is gone is passed by, and what was purged is never handed
//! down, however the owner of a key stands: in the middle of asking, stopped, or back from having been stopped.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Router, routing};
use cluster_tests::client::Answer;
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::site::{SETTLE, Site};
use cluster_tests::{Cluster, Node, wait};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::json;
use tokio::sync::Semaphore;

/// The schema level that regions of shields need.
const LEVEL: u32 = 9;
const SCOPES: &str = "zones:read zones:write cache:purge metrics:read";
/// Where the nodes are, each in a region of its own.
const REGIONS: [&str; 3] = ["eu-ams", "us-nyc", "ap-sin"];
const ZONES: &str = "/api/v1/zones";
const HOST: &str = "tiers.test";
/// How long a viewer may wait for what a node has to ask for, whichever of the others is gone.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn tiers_ask_once_and_hand_down_nothing_that_was_purged() -> Result<()> {
    property("tiers", Limit::minutes(4, 8), tiers).await
}

async fn tiers(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).setting("origins", "allow", &["127.0.0.0/8"][..]).start().await?;
    let origin = Arc::<Origin>::default();
    let scene = Scene::set(Site::of(cluster).await?, Arc::clone(&origin)).await?;

    run.say("one request for three viewers");
    for path in paths("once", 12) {
        for node in scene.nodes() {
            ensure!(scene.get(node, &path).await?.body == "1", "{path}");
        }
        ensure!(origin.asked(&path) == 1, "{path} was asked for {} times", origin.asked(&path));
    }

    run.say("the shield in each region in turn");
    for (node, region) in scene.nodes().iter().zip(REGIONS) {
        scene.shield_in(node, region).await?;
    }
    scene.no_shield_where_nobody_is().await?;

    run.say("a purge");
    scene.change_and_purge().await?;
    scene.all_new("once", 12).await?;

    run.say("a purge while the origin is being asked");
    let early = scene.ask_for_gated(8).await?;
    scene.change_and_purge().await?;
    let new = scene.all_new("gated", 8).await;
    origin.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    new?;
    for early in early {
        early.await?.context("the early viewer gets an answer")?;
    }
    scene.all_new("gated", 8).await?;

    for victim in scene.nodes() {
        run.say(format_args!("a purge while {} stands still", victim.name()));
        victim.pause()?;
        scene.change_and_purge_beside(victim).await?;
        let others: Vec<&Node> = scene.nodes().iter().filter(|node| node.name() != victim.name()).collect();
        for node in &others {
            scene.new_at(node, "once", 12).await?;
        }
        victim.resume()?;
        for node in scene.nodes() {
            scene.new_at(node, "once", 12).await?;
        }
        victim.ready(SETTLE).await?;
        scene.all_new("once", 12).await?;
    }

    let victim = scene.site.cluster.follower().await?;
    run.say(format_args!("{} dies", victim.name()));
    victim.kill_9().await?;
    for path in paths("dead", 12) {
        for node in scene.nodes().iter().filter(|node| node.name() != victim.name()) {
            scene.get(node, &path).await?.expect(200, "the others go on")?;
        }
        // Who finds out that a node is gone goes on without it.
        ensure!((1..=2).contains(&origin.asked(&path)), "{path} was asked for {} times", origin.asked(&path));
    }
    victim.start()?;
    victim.ready(SETTLE).await?;
    scene.site.cluster.shutdown().await
}

fn paths(name: &str, count: usize) -> impl Iterator<Item = String> {
    let name = name.to_owned();
    (0..count).map(move |number| format!("/{name}/{number}"))
}

/// Answers with how often it was changed. What begins with `gated` waits until the gate is opened, and is then answered with what was there
/// before.
struct Origin {
    version: AtomicU64,
    asked: Mutex<HashMap<String, usize>>,
    gate: Semaphore,
}

impl Default for Origin {
    fn default() -> Self {
        Self { version: AtomicU64::new(1), asked: Mutex::default(), gate: Semaphore::new(0) }
    }
}

impl Origin {
    async fn start(self: Arc<Self>) -> Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/{*path}", routing::get(answer)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(address)
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().get(path).copied().unwrap_or_default()
    }

    fn version(&self) -> String {
        self.version.load(Ordering::SeqCst).to_string()
    }
}

async fn answer(State(origin): State<Arc<Origin>>, Path(path): Path<String>) -> impl IntoResponse {
    let is_first = {
        let mut asked = origin.asked.lock();
        let asked = asked.entry(format!("/{path}")).or_default();
        *asked += 1;
        *asked == 1
    };
    let version = origin.version();
    if is_first && path.starts_with("gated") {
        let _open = origin.gate.acquire().await;
    }
    ([("cache-control", "max-age=3600")], version)
}

/// A zone in front of the origin.
struct Scene {
    site: Site,
    origin: Arc<Origin>,
    token: String,
    zone: String,
}

impl Scene {
    async fn set(site: Site, origin: Arc<Origin>) -> Result<Self> {
        wait::until(SETTLE, "the schema level of zones", || async {
            let level = site.cluster.status().await?.schema_level;
            ensure!(level >= LEVEL, "it is {level}");
            Ok(())
        })
        .await?;
        let address = Arc::clone(&origin).start().await?;
        let scopes: Vec<&str> = SCOPES.split(' ').collect();
        let client = site.register(&json!({ "name": "owner", "scopes": scopes, "plan": { "name": "small", "zones": 1 } })).await?;
        let token = site.token(&client, SCOPES).await?;
        let wanted = json!({ "origin_url": format!("http://{address}"), "custom_domains": [HOST] });
        let made = site.send(site.ask(Method::POST, ZONES, &token).json(&wanted)).await?.expect(201, "a zone")?;
        let zone = format!("{ZONES}/{}", made.json()["data"]["uuid"].as_str().context("an id")?);
        for answer in site.everywhere(&zone, &token).await? {
            answer.expect(200, "the zone at every node")?;
        }
        Ok(Self { site, origin, token, zone })
    }

    fn nodes(&self) -> &[Node] {
        self.site.cluster.nodes()
    }

    async fn get(&self, node: &Node, path: &str) -> Result<Answer> {
        let start = Instant::now();
        let answer = Answer::to(self.site.bare(node, Method::GET, path).header("Host", HOST)).await?;
        ensure!(start.elapsed() < PATIENCE, "{} took {:?} for {path}", node.name(), start.elapsed());
        Ok(answer)
    }

    /// The node of a region asks the origin for all others, as the log and `explain` say.
    async fn shield_in(&self, node: &Node, region: &str) -> Result<()> {
        let change = self.site.ask(Method::PATCH, &self.zone, &self.token).json(&json!({ "shield_region": region }));
        let changed = self.site.send(change).await?.expect(200, "a shield")?;
        ensure!(changed.json()["data"]["shield_region"] == region, "{changed:?}");
        for answer in self.site.everywhere(&self.zone, &self.token).await? {
            answer.expect(200, "the zone at every node")?;
        }
        let path = format!("/shield/{region}");
        for viewer in self.nodes() {
            ensure!(self.get(viewer, &path).await?.body == self.origin.version(), "{path}");
        }
        ensure!(self.origin.asked(&path) == 1, "{path} was asked for {} times", self.origin.asked(&path));
        let id = node.id()?;
        wait::until(SETTLE, "what the log says", || async {
            let logs = self.site.get(&format!("/api/v2/logs?prefix={path}"), &self.token).await?.expect(200, "the log")?.json();
            let lines = logs["logs"].as_array().context("no log")?;
            let by = |tier: &str| lines.iter().filter(|line| line["zone"]["tier"] == tier && line["zone"]["tier_node"] == id).count();
            // Who came first through another node, or at the shield itself; and the two others.
            let at_shield = usize::from(self.nodes()[0].name() == node.name());
            ensure!((by("origin"), by("own"), by("shield")) == (1, 1 - at_shield, 1 + at_shield), "{logs}");
            Ok(())
        })
        .await?;
        let url = format!("http://{HOST}/shield/next");
        let told: serde_json::Value = node.operator().json(&["zone", "explain"], &[&url, "--all", "--json"]).await?;
        let told = told.as_array().context("no nodes")?;
        let shields: Vec<_> = told.iter().map(|told| &told["explanation"]["tiers"]["shield"]["node"]).collect();
        ensure!(shields.len() == 3 && shields.iter().all(|shield| **shield == id), "{shields:?}");
        let shown = node.operator().run(&["zone", "explain"], &[&url]).await?;
        ensure!(shown.contains(&format!("node {id} in {region}, this node")) && shown.contains("shield region"), "{shown}");
        Ok(())
    }

    async fn no_shield_where_nobody_is(&self) -> Result<()> {
        let change = |region| self.site.ask(Method::PATCH, &self.zone, &self.token).json(&json!({ "shield_region": region }));
        let refused = self.site.send(change(Some("nowhere"))).await?.expect(422, "a region without a node")?;
        ensure!(refused.body.contains("shield_region"), "{refused:?}");
        self.site.send(change(None)).await?.expect(200, "any node")?;
        self.site.followed().await
    }

    /// The origin has something new, and no node has what was before.
    async fn change_and_purge(&self) -> Result<()> {
        self.purge_at(&self.nodes()[0]).await
    }

    async fn change_and_purge_beside(&self, victim: &Node) -> Result<()> {
        let other = self.nodes().iter().find(|node| node.name() != victim.name()).context("another node")?;
        // It may have led: then the others have to find that out first.
        wait::until(SETTLE, "a purge that the others carry out", || self.purge_at(other)).await?;
        Ok(())
    }

    async fn purge_at(&self, node: &Node) -> Result<()> {
        self.origin.version.fetch_add(1, Ordering::SeqCst);
        let purge = self.site.bare(node, Method::POST, &format!("{}/purge", self.zone)).bearer_auth(&self.token);
        let purge = Answer::to(purge.header("Prefer", "ack=all").json(&json!({ "type": "all" }))).await?.expect(202, "a purge")?;
        ensure!(purge.header("x-ncore-ack") == "all", "{purge:?}");
        Ok(())
    }

    async fn all_new(&self, name: &str, count: usize) -> Result<()> {
        for node in self.nodes() {
            self.new_at(node, name, count).await?;
        }
        Ok(())
    }

    async fn new_at(&self, node: &Node, name: &str, count: usize) -> Result<()> {
        for path in paths(name, count) {
            let answer = self.get(node, &path).await?.expect(200, "an answer")?;
            ensure!(answer.body == self.origin.version(), "{} gives out what was purged: {path} {answer:?}", node.name());
        }
        Ok(())
    }

    /// Viewers at one node, for whom the owners are asking the origin.
    async fn ask_for_gated(&self, count: usize) -> Result<Vec<tokio::task::JoinHandle<Result<Answer>>>> {
        let early = paths("gated", count).map(|path| {
            let request = self.site.bare(&self.nodes()[0], Method::GET, &path).header("Host", HOST);
            tokio::spawn(Answer::to(request))
        });
        let early = early.collect();
        for path in paths("gated", count) {
            wait::until(SETTLE, "the origin to be asked", || async {
                ensure!(self.origin.asked(&path) >= 1, "{path} was not asked for");
                Ok(())
            })
            .await?;
        }
        Ok(early)
    }
}
