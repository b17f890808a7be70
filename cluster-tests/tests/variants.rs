//! Assets in gzip, br and zstd: made by each node for itself, told apart by their tags, and gone with their asset.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::Bytes;
use cluster_tests::client::{Api, Asset, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::{Cluster, Node, wait};
use futures_util::future::try_join_all;
use reqwest::Client;
use reqwest::header::HeaderMap;

const PATH: &str = "pages/text.txt";
const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_the_asset_in_other_bytes() -> Result<()> {
    property("variants", Limit::minutes(4, 4), variants).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_asset_never_comes_in_an_old_variant() -> Result<()> {
    property("variants_replaced", Limit::minutes(4, 4), replaced).await
}

async fn variants(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).setting("storage", "grace", "1s").start().await?;
    let scene = Scene::new(&cluster).await?;
    let content = text(400_000, 0);
    let asset = scene.put(cluster.node(0), &content).await?;
    for node in cluster.nodes() {
        for coding in CODINGS {
            scene.made(node, coding, &content).await.with_context(|| format!("{coding} at {}", node.name()))?;
        }
        scene.conditions(node, &content).await.with_context(|| format!("conditions at {}", node.name()))?;
    }

    // What was made is there after a crash, and nothing else is kept of it.
    let node = cluster.node(1);
    let before = scene.get(node, &[("accept-encoding", "br")]).await?;
    node.kill_9().await?;
    node.start()?;
    node.ready(SETTLE).await?;
    let after = wait::until(SETTLE, "the node to serve", || async {
        let answer = scene.get(node, &[("accept-encoding", "br")]).await?;
        if answer.status == 200 { Ok(answer) } else { Err(anyhow!("{answer:?}")) }
    });
    let after = after.await?;
    ensure!(after.header("etag") == before.header("etag") && after.body == before.body, "it was made anew, or is gone: {after:?}");
    ensure!(node.figure("ncore_variants_total{result=\"made\"}").await? == 0, "it was made anew");

    scene.api.at(cluster.node(2)).delete(&asset.id).await.done()?;
    for node in cluster.nodes() {
        let freed = wait::until(SETTLE, "the bytes to be free", || async {
            let (bytes, blobs) = (node.figure("ncore_variants_bytes").await?, blobs(node)?);
            if (bytes, blobs) == (0, 0) { Ok(()) } else { Err(anyhow!("{bytes} bytes, {blobs} files")) }
        });
        freed.await?;
    }
    cluster.converged(SETTLE).await?;
    cluster.shutdown().await
}

/// Each answer, in whatever coding, is one version, and after the replacement was acknowledged to a node it is that one.
async fn replaced(run: Run) -> Result<()> {
    const ROUNDS: u64 = 6;
    let cluster = Cluster::builder().seed(run.seed()).setting("storage", "grace", "1s").start().await?;
    let scene = Scene::new(&cluster).await?;
    let version = |round: u64| text(60_000 + usize::try_from(round).unwrap_or(0), round);
    let versions: Vec<Bytes> = (0..=ROUNDS).map(version).collect();
    scene.put(cluster.node(0), &versions[0]).await?;
    // What was uploaded at one node is at another once that has followed.
    cluster.converged(SETTLE).await?;
    let mut coded = 0;
    for round in 1..=ROUNDS {
        let newest = usize::try_from(round)?;
        // Readers of the last version, until the next one is there and in a coding.
        let read = async |node: Node, coding: &'static str| -> Result<u64> {
            let (mut oldest, mut coded) = (newest - 1, 0);
            let deadline = tokio::time::Instant::now() + SETTLE;
            loop {
                let answer = scene.get(&node, &[("accept-encoding", coding)]).await?;
                ensure!(answer.status == 200, "{answer:?}");
                let is_coded = answer.header("content-encoding") == coding;
                let decoded = answer.decoded()?;
                let found = versions.iter().position(|version| *version == decoded).context("a mix, or something else")?;
                ensure!(found >= oldest, "round {round}: version {found} after {oldest}");
                oldest = found;
                coded += u64::from(is_coded);
                if found == newest && is_coded {
                    return Ok(coded);
                }
                ensure!(tokio::time::Instant::now() < deadline, "round {round}: version {found} as {coding} at {}", node.name());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let readers = cluster.nodes().iter().flat_map(|node| CODINGS.map(|coding| read(node.clone(), coding)));
        let replacing = async {
            scene.made(cluster.node(0), "gzip", &versions[newest - 1]).await?;
            let node = &cluster.nodes()[newest % 3];
            scene.put(node, &versions[newest]).await?;
            // Whoever was told of the new version gets no old one from that node.
            for coding in CODINGS {
                let answer = scene.get(node, &[("accept-encoding", coding)]).await?;
                ensure!(answer.decoded()? == versions[newest], "round {round}: an old version in {coding}");
            }
            Ok(0)
        };
        let (read, _) = tokio::try_join!(try_join_all(readers), replacing)?;
        coded += read.into_iter().sum::<u64>();
    }
    run.say(format_args!("{ROUNDS} replacements, {coded} answers in a coding"));
    cluster.converged(SETTLE).await?;
    cluster.shutdown().await
}

struct Scene {
    http: Client,
    api: Api,
}

impl Scene {
    async fn new(cluster: &Cluster) -> Result<Self> {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { http, api: cluster.api("owner").await? })
    }

    async fn put(&self, node: &Node, content: &Bytes) -> Result<Asset> {
        Ok(self.api.at(node).upload(&Upload::new(PATH, content.clone())).await.done()?)
    }

    async fn get(&self, node: &Node, fields: &[(&str, &str)]) -> Result<Answer> {
        let mut request = self.http.get(format!("{}/assets/{PATH}", node.url()));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    /// Asks until the answer is in the coding. Until then it is the content as it is, and always it is the content.
    async fn made(&self, node: &Node, coding: &str, content: &Bytes) -> Result<Answer> {
        let made = wait::until(SETTLE, "a variant", || async {
            let answer = self.get(node, &[("accept-encoding", coding)]).await?;
            ensure!(answer.status == 200 && answer.decoded()? == *content, "not the content: {answer:?}");
            ensure!(answer.header("vary") == "Accept-Encoding" && answer.header("content-type") == "text/plain", "{answer:?}");
            match answer.header("content-encoding") {
                found if found == coding => Ok(answer),
                found => bail!("it comes in {found:?}"),
            }
        });
        Ok(made.await?)
    }

    /// What the head of a request can say of representations, with those of this node.
    async fn conditions(&self, node: &Node, content: &Bytes) -> Result<()> {
        let own = self.get(node, &[]).await?;
        ensure!(own.body == content && own.header("content-encoding").is_empty() && own.header("vary") == "Accept-Encoding", "{own:?}");
        let mut tags = vec![own.header("etag").to_owned()];
        for coding in CODINGS {
            let variant = self.get(node, &[("accept-encoding", coding)]).await?;
            let tag = variant.header("etag").to_owned();
            ensure!(!tags.contains(&tag) && variant.header("repr-digest") != own.header("repr-digest"), "{variant:?}");
            ensure!(variant.body.len() < content.len() && variant.header("cache-status") == "ncore; hit", "{variant:?}");

            let accept = ("accept-encoding", coding);
            let current = self.get(node, &[accept, ("if-none-match", &tag)]).await?;
            ensure!(current.status == 304 && current.header("etag") == tag && current.header("vary") == "Accept-Encoding", "{current:?}");
            let other = self.get(node, &[("if-none-match", &tag)]).await?;
            ensure!(other.status == 200 && other.body == content, "it is not what this client has: {other:?}");
            let part = self.get(node, &[accept, ("range", "bytes=100-299"), ("if-range", &tag)]).await?;
            ensure!(part.status == 206 && part.body == variant.body.slice(100..300), "{part:?}");
            ensure!(part.header("content-range") == format!("bytes 100-299/{}", variant.body.len()), "{part:?}");
            let part = self.get(node, &[accept, ("range", "bytes=100-299")]).await?;
            ensure!(part.status == 206 && part.body == content.slice(100..300), "a range of nothing that is named: {part:?}");
            tags.push(tag);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The content, by decoders that are as good as any.
    fn decoded(&self) -> Result<Bytes> {
        let mut content = Vec::new();
        match self.header("content-encoding") {
            "" => return Ok(self.body.clone()),
            "gzip" => flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut content).context("gzip").map(drop)?,
            "br" => brotli::Decompressor::new(&self.body[..], 4 << 10).read_to_end(&mut content).context("br").map(drop)?,
            "zstd" => {
                content = vec![0; 1 << 20];
                let length = zstd_safe::decompress(content.as_mut_slice(), &self.body).map_err(zstd_safe::get_error_name);
                content.truncate(length.map_err(|error| anyhow!("zstd: {error}"))?);
            }
            other => bail!("a coding {other:?}"),
        }
        Ok(content.into())
    }
}

/// Text of which a coding saves about half, another for each seed.
fn text(bytes: usize, seed: u64) -> Bytes {
    let mut noise = vec![0; bytes.div_ceil(2)];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut noise);
    let mut text = hex::encode(noise);
    text.truncate(bytes);
    text.into()
}

/// Files of content on the disk of a node.
fn blobs(node: &Node) -> Result<usize> {
    let mut files = 0;
    for shard in std::fs::read_dir(node.data_dir().join("blobs"))? {
        files += std::fs::read_dir(shard?.path())?.count();
    }
    Ok(files)
}

/// How long a healthy cluster may take.
const SETTLE: Duration = Duration::from_secs(60);
