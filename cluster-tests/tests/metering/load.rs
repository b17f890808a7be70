//! The load: requests of two customers at every node, at a steady rate, of every kind that is counted in a way of its own; and each answer,
//! the load's own questions included, noted as what it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use cluster_tests::run::Run;
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::join_all;
use rand::RngExt as _;
use rand::rngs::StdRng;
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, StatusCode};

use super::truth::{Answer, At, Document, Figures, HOUR_S, Truth, unix_now};

/// A client of the cluster, with assets of its own.
struct Customer {
    token: String,
    assets: Vec<Target>,
}

struct Target {
    id: String,
    path: String,
    size: u64,
    etag: String,
}

/// What was answered.
struct Seen {
    status: StatusCode,
    etag: Option<String>,
    body: Bytes,
}

/// By what a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plane {
    /// By the asset: what is at no asset's path counts for nobody.
    Assets,
    /// By the token: where it is not known to be good, for nobody.
    Api,
}

pub(crate) struct Load {
    http: reqwest::Client,
    customers: Vec<Customer>,
    pub(crate) truth: Truth,
}

impl Load {
    /// Makes the customers and their assets: some at every node, some in one region only, so that the other nodes miss.
    pub(crate) async fn prepare(run: &Run, cluster: &Cluster) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(2)).timeout(ANSWER).build()?;
        let mut load = Self { http, customers: Vec::new(), truth: Truth::default() };
        let (operator, url) = (cluster.node(0).operator(), cluster.node(0).url());
        for number in 0..CUSTOMERS {
            let name = format!("metered-{number}");
            let credentials = wait::until(PATIENCE, "a client", || operator.add_client(&name)).await?;
            let place = [credentials.client_id.as_str(), "--prefix", "far/", "--region", "us-nyc"];
            // The level of the state rises by itself, once every node can apply it.
            wait::until(PATIENCE, "a rule to be set", || operator.run(&["placement", "set"], &place)).await?;
            let body = serde_json::json!({"client_id": credentials.client_id, "secret": credentials.secret});
            let token = wait::until(PATIENCE, "a token", || async {
                let answer = load.http.post(format!("{url}/api/v2/auth/token")).json(&body).send().await?.error_for_status()?;
                let answer: serde_json::Value = answer.json().await?;
                answer["access_token"].as_str().map(str::to_owned).context("a token")
            })
            .await?;
            load.customers.push(Customer { token, assets: Vec::new() });
        }
        counted_from_now_on(cluster).await?;
        for customer in 0..CUSTOMERS {
            let near = SIZES.iter().enumerate().map(|(number, size)| (format!("near/{customer}-{number}"), *size));
            for (path, size) in near.chain((0..run.scaled(20, 200)).map(|number| (format!("far/{customer}-{number}"), 5_000 + number))) {
                let content = Content::new(run.seed().derive(&path), size);
                load.upload(cluster.node(0), customer, &path, content.bytes()).await?;
            }
        }
        for node in cluster.nodes() {
            wait::until(PATIENCE, "the assets to be known everywhere", || load.knows_all(node)).await?;
        }
        Ok(load)
    }

    async fn upload(&mut self, node: &Node, customer: usize, path: &str, content: Bytes) -> Result<()> {
        let size = content.len() as u64;
        let file = Part::stream_with_length(content, size).file_name("content");
        let form = Form::new().text("path", path.to_owned()).part("file", file);
        let request = self.http.post(format!("{}/api/v2/assets/upload", node.url())).multipart(form);
        let seen = self.api(node, customer, request).await.context("an answer to an upload")?;
        ensure!(seen.status.is_success(), "an upload was answered with {}", seen.status);
        let document: serde_json::Value = serde_json::from_slice(&seen.body)?;
        let text = |name: &str| document[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {document}"));
        self.customers[customer].assets.push(Target { id: text("id")?, path: text("path")?, size, etag: String::new() });
        // Its entity tag, as readers see it.
        let url = format!("{}/assets/{path}", node.url());
        let seen = self.observe(node, customer, Plane::Assets, size, self.http.get(url)).await.context("the first answer")?;
        let asset = self.customers[customer].assets.last_mut().context("it was added")?;
        asset.etag = seen.etag.with_context(|| format!("an entity tag, with {}", seen.status))?;
        Ok(())
    }

    async fn knows_all(&self, node: &Node) -> Result<()> {
        for (number, customer) in self.customers.iter().enumerate() {
            let last = customer.assets.last().context("there are assets")?;
            let request = self.http.get(format!("{}/api/v2/assets/{}", node.url(), last.id));
            let seen = self.api(node, number, request).await.context("no answer")?;
            ensure!(seen.status == 200, "{} says {}", node.name(), seen.status);
        }
        Ok(())
    }

    /// Asks at all nodes until it is `over`. A node that is away is asked again and again.
    pub(crate) async fn run(&self, run: &Run, nodes: &[Node], over: &AtomicBool) {
        let streams = nodes.iter().flat_map(|node| (0..CUSTOMERS).map(move |customer| (node, customer)));
        join_all(streams.map(|(node, customer)| async move {
            let name = format!("load {} of {customer} at {}", self.truth.len(), node.slot());
            let mut choice = run.seed().derive(&name).rng("asks");
            while !over.load(Ordering::Relaxed) {
                self.ask(node, customer, &mut choice).await;
                tokio::time::sleep(PACE).await;
            }
        }))
        .await;
    }

    /// One request of the load.
    async fn ask(&self, node: &Node, customer: usize, choice: &mut StdRng) {
        let assets = &self.customers[customer].assets;
        // Half of all requests are for what is everywhere.
        let asset =
            if choice.random() { &assets[choice.random_range(0..SIZES.len())] } else { &assets[choice.random_range(0..assets.len())] };
        let url = format!("{}/assets/{}", node.url(), asset.path);
        let get = self.http.get(url.as_str());
        let request = match choice.random_range(0..20) {
            0..8 => get,
            8..11 => get.header("Range", format!("bytes=100-{}", choice.random_range(100..asset.size))),
            11..13 => get.header("Range", format!("bytes={}-", asset.size + 7)),
            13..16 => get.header("If-None-Match", &asset.etag),
            16 => self.http.head(url.as_str()),
            17 => self.http.get(format!("{url}/and-nothing")),
            18 => {
                self.api(node, customer, self.http.get(format!("{}/api/v2/assets/{}", node.url(), asset.id))).await;
                return;
            }
            _ => return self.nudge(node, customer).await,
        };
        self.observe(node, customer, Plane::Assets, asset.size + PROBLEM_BYTES_MAX, request).await;
    }

    /// Asks for what is not there, with a token: so that the node has something to report.
    pub(crate) async fn nudge(&self, node: &Node, customer: usize) {
        self.api(node, customer, self.http.get(format!("{}/api/v2/assets/as_0000000000000000", node.url()))).await;
    }

    /// The counts of a customer, as a node gives them.
    pub(crate) async fn counts(&self, node: &Node, customer: usize, granularity: &str) -> Result<Document> {
        let request = self.http.get(format!("{}/api/v2/metrics", node.url())).query(&[("granularity", granularity)]);
        let seen = self.api(node, customer, request).await.with_context(|| format!("no counts at {}", node.name()))?;
        ensure!(seen.status == 200, "{} for the counts at {}", seen.status, node.name());
        Ok(serde_json::from_slice(&seen.body)?)
    }

    async fn api(&self, node: &Node, customer: usize, request: RequestBuilder) -> Option<Seen> {
        let request = request.bearer_auth(&self.customers[customer].token);
        self.observe(node, customer, Plane::Api, API_BYTES_MAX, request).await
    }

    /// Sends a request and notes what came of it. `None` if there is no whole answer.
    async fn observe(&self, node: &Node, customer: usize, plane: Plane, bytes_max: u64, request: RequestBuilder) -> Option<Seen> {
        away_from_the_end_of_an_hour().await;
        let sent = At::now();
        let note = |least, most| self.truth.note(Answer { customer, node: node.slot(), sent, over: At::now(), least, most });
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                // Without a connection nothing was asked.
                if !error.is_connect() {
                    note(Figures::default(), Figures::whatever(bytes_max));
                }
                return None;
            }
        };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (etag, cache) = (header("etag"), header("x-cache"));
        let (status, announced) = (response.status(), response.content_length());
        let mut body = Vec::new();
        let is_whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let received = body.len() as u64;
        let is_content = plane == Plane::Assets && matches!(status.as_u16(), 200 | 206) && (received > 0 || !is_whole);
        let head = Figures {
            hits: u64::from(is_content && cache.as_deref() == Some("HIT")),
            misses: u64::from(is_content && cache.as_deref() == Some("MISS")),
            ..Figures::answer(status.as_u16())
        };
        let (least, most) = (
            Figures { bytes: received, ..head },
            Figures { bytes: if is_whole { received } else { announced.unwrap_or(bytes_max) }, ..head },
        );
        match (plane, status.as_u16()) {
            (Plane::Assets, 404) | (Plane::Api, 401) => note(Figures::default(), Figures::default()),
            (_, 500..) => note(Figures::default(), most),
            _ => note(least, most),
        }
        is_whole.then(|| Seen { status, etag, body: body.into() })
    }
}

/// So that it is certain in which hour a request came.
async fn away_from_the_end_of_an_hour() {
    let into = Duration::from_nanos(u64::try_from(unix_now().as_nanos() % (u128::from(HOUR_S) * 1_000_000_000)).unwrap_or(0));
    let left = Duration::from_secs(HOUR_S).saturating_sub(into);
    if left < Duration::from_secs(3) {
        tokio::time::sleep(left + Duration::from_millis(50)).await;
    }
}

/// Requests are counted from this level on.
async fn counted_from_now_on(cluster: &Cluster) -> Result<()> {
    wait::until(PATIENCE, "schema level 5 at every node", || async {
        let status = cluster.status().await?;
        ensure!(status.schema_level >= 5, "at level {}", status.schema_level);
        Ok(())
    })
    .await?;
    Ok(())
}

pub(crate) const CUSTOMERS: usize = 2;
/// Of the assets that every node holds; one of them has several slices.
const SIZES: [usize; 4] = [300, 3_000, 70_000, 1_300_000];
const PACE: Duration = Duration::from_millis(70);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// No problem is longer,
const PROBLEM_BYTES_MAX: u64 = 4_000;
/// and no other answer of the API that the load asks for.
const API_BYTES_MAX: u64 = 200_000;
const PATIENCE: Duration = Duration::from_secs(60);
