//! The largest upload that there may be costs a node no more memory than a small one, as a form and in pieces; and one byte more leaves
//! nothing behind.
//!
//! Memory is what `/proc/<pid>/status` has of the process: `VmHWM`, the most that was resident at once since it was reset, which is
//! `RssAnon` (what was allocated), `RssFile` (the program and files that are mapped) and `RssShmem`; held against `VmRSS` of the idle
//! node. What the kernel keeps of files that are written is in none of them.
//!
//! The limit is that of the product, 524 288 000 bytes. The short form sends less than that in pieces.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use cluster_tests::client::{Answer, PIECE, Upload, Uploader, offset_of};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, Seed, wait};
use futures_util::{Stream, StreamExt as _, stream};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder};
use sha2::{Digest as _, Sha256};

/// The limit of the product, and of the page.
const LARGEST: u64 = 524_288_000;
/// What the short form sends in pieces.
const SMALLER: u64 = 96 << 20;
/// Bytes that a node may have resident at once, above those when it was idle.
const MORE_AT_MOST: u64 = 64_000_000;
/// Bytes that are sent at once. No sender here has more of an upload.
const CHUNK: usize = 256 << 10;
/// Pieces of an upload that is sent in pieces.
const PIECES: u64 = 8;
/// Bytes by which logs and state may grow meanwhile.
const BOOKKEEPING: u64 = 4 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_upload_takes_little_memory_and_a_larger_one_leaves_nothing() -> Result<()> {
    property("large_upload", Limit::minutes(3, 15), large_upload).await
}

async fn large_upload(run: Run) -> Result<()> {
    let in_pieces_size = run.scaled(SMALLER, LARGEST);
    let cluster = Cluster::builder().seed(run.seed()).setting("storage", "grace", "1s").start().await?;
    let client = Uploader::add(&cluster).await?;
    let (source, other) = (Source::new(run.seed().derive("form")), Source::new(run.seed().derive("pieces")));
    let (sha256, other_sha256) = (source.sha256(LARGEST).await, other.sha256(in_pieces_size).await);
    // What is done for the first time is no part of what uploads cost.
    for node in cluster.nodes() {
        let first = Upload::new(format!("first/{}", node.name()), Content::new(run.seed(), 8 << 20).bytes());
        client.api().at(node).upload(&first).await.done()?;
    }
    cluster.converged(SETTLE).await?;

    let memory = Memory::idle(&cluster)?;
    let started = Instant::now();
    let whole = multipart(&client, cluster.node(0), "large/form.bin", &source, LARGEST, Announced::Yes);
    let answer = Answer::to(whole).await?.expect(201, "the largest upload as a form")?;
    memory.report(&run, &format!("{LARGEST} bytes as a form in {:.1?}", started.elapsed()))?;
    ensure!(answer.json()["size"] == LARGEST && answer.text("sha256") == sha256, "{answer:?}");

    let started = Instant::now();
    let id = in_pieces(&client, &cluster, &other, in_pieces_size).await?;
    memory.report(&run, &format!("{in_pieces_size} bytes in {PIECES} pieces in {:.1?}", started.elapsed()))?;
    let asset = client.api().at(cluster.node(0)).up_to_date().asset(&id).await.done()?;
    ensure!(asset.size == in_pieces_size && asset.sha256 == Some(other_sha256), "{asset:?}");

    one_byte_more(&run, &cluster, &client, &source, &memory).await?;
    cluster.converged(SETTLE).await?;
    cluster.shutdown().await
}

/// Sends it in equal pieces, each to another node. Gives the id of the asset.
async fn in_pieces(client: &Uploader, cluster: &Cluster, source: &Source, size: u64) -> Result<String> {
    let upload = client.create(cluster.node(1), "large/pieces.bin", usize::try_from(size)?).await?;
    let nodes = cluster.nodes().iter().cycle().skip(2);
    let mut last = None;
    for (piece, node) in (0..PIECES).zip(nodes) {
        let (from, to) = (size / PIECES * piece, if piece + 1 == PIECES { size } else { size / PIECES * (piece + 1) });
        let request = client.request(Method::PATCH, node, &upload).header("upload-offset", from).header("content-type", PIECE);
        let request = request.header("content-length", to - from).timeout(SENDING);
        let taken = request.body(Body::wrap_stream(source.bytes(from, to))).send().await?;
        ensure!(taken.status() == 204 && offset_of(&taken)? == to, "{taken:?}");
        last = Some(taken);
    }
    let last = last.context("there is a piece")?;
    Ok(last.headers().get("x-ncore-asset").context("the last answer names the asset")?.to_str()?.to_owned())
}

/// One byte more is refused, whether it is announced or not, and then all is as before.
async fn one_byte_more(run: &Run, cluster: &Cluster, client: &Uploader, source: &Source, memory: &Memory) -> Result<()> {
    let size = LARGEST + 1;
    let before = settled(cluster).await?;
    memory.begin_anew()?;
    for (announced, node) in [(Announced::Yes, cluster.node(1)), (Announced::No, cluster.node(2))] {
        let path = format!("larger/{announced:?}.bin");
        let refused = Answer::to(multipart(client, node, &path, source, size, announced)).await?;
        let refused = refused.refuses(413, "upload_too_large", &format!("its length was announced: {announced:?}"))?;
        ensure!(refused.header("content-type") == "application/problem+json" && !refused.header("x-request-id").is_empty(), "{refused:?}");
    }
    let created = client.create(cluster.node(0), "larger/pieces.bin", usize::try_from(size)?).await;
    ensure!(created.is_err_and(|error| error.to_string().contains("413")), "an upload of one byte more was begun");
    memory.report(run, "one byte more, twice")?;

    for node in cluster.nodes() {
        let listed = client.api().at(node).up_to_date().list("larger/").await.done()?;
        ensure!(listed.is_empty(), "{listed:?} at {}", node.name());
    }
    wait::until(SETTLE, "nothing to be left of what was refused", || async {
        for (node, before) in cluster.nodes().iter().zip(&before) {
            let now = Kept::by(node)?;
            ensure!(now.coming_in == 0 && now.blobs == before.blobs, "{now:?}, and before {before:?}, at {}", node.name());
            ensure!(now.bytes <= before.bytes + BOOKKEEPING, "{now:?}, and before {before:?}, at {}", node.name());
        }
        Ok(())
    })
    .await?;
    run.say(format_args!("one byte more was refused; kept as before: {before:?}"));
    Ok(())
}

/// What nodes keep, once every node has all that it should.
async fn settled(cluster: &Cluster) -> Result<Vec<Kept>> {
    let kept = wait::until(SENDING, "every node to have every blob", || async {
        let kept = cluster.nodes().iter().map(Kept::by).collect::<Result<Vec<_>>>()?;
        // What was sent as a form, what was sent in pieces, and the first at each node, which is the same.
        ensure!(kept.iter().all(|kept| kept.coming_in == 0 && kept.blobs == 3), "{kept:?}");
        Ok(kept)
    });
    Ok(kept.await?)
}

/// Whether a request says how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    Yes,
    No,
}

fn multipart(client: &Uploader, node: &Node, path: &str, source: &Source, size: u64, announced: Announced) -> RequestBuilder {
    let body = Body::wrap_stream(source.bytes(0, size));
    let file = match announced {
        Announced::Yes => Part::stream_with_length(body, size),
        Announced::No => Part::stream(body),
    };
    let form = Form::new().text("path", path.to_owned()).part("file", file.file_name("large.bin"));
    client.request(Method::POST, node, "/api/v2/assets/upload").timeout(SENDING).multipart(form)
}

/// Bytes without an end, no two chunks alike, of which nobody keeps more than one chunk.
struct Source(Bytes);

impl Source {
    fn new(seed: Seed) -> Self {
        Self(Content::new(seed, CHUNK).bytes())
    }

    /// Those from one place to another.
    fn bytes(&self, from: u64, to: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let pattern = self.0.clone();
        stream::unfold(from, move |at| {
            let pattern = pattern.clone();
            async move {
                let (number, within) = (at / CHUNK as u64, usize::try_from(at % CHUNK as u64).ok()?);
                let end = usize::try_from(to - at).map_or(CHUNK, |left| CHUNK.min(within + left));
                if within == end {
                    return None;
                }
                let mut chunk = pattern.to_vec();
                chunk[..8].copy_from_slice(&number.to_le_bytes());
                Some((Ok(Bytes::from(chunk).slice(within..end)), at + (end - within) as u64))
            }
        })
    }

    async fn sha256(&self, size: u64) -> String {
        let digest = self.bytes(0, size).fold(Sha256::new(), |mut digest, chunk| async move {
            digest.update(chunk.unwrap_or_default());
            digest
        });
        hex::encode(digest.await.finalize())
    }
}

/// What the nodes of a cluster had resident when they were idle.
struct Memory(Vec<(Node, u32, Resident)>);

/// Bytes of a process that are resident, by `/proc/<pid>/status`.
#[derive(Debug, Clone, Copy)]
struct Resident {
    anon: u64,
    file: u64,
    all: u64,
    /// The most at once since it was reset.
    peak: u64,
}

impl Memory {
    fn idle(cluster: &Cluster) -> Result<Self> {
        let of = |node: &Node| {
            let pid = node.pid().with_context(|| format!("{} runs", node.name()))?;
            Ok((node.clone(), pid, Resident::of(pid)?))
        };
        let memory = Self(cluster.nodes().iter().map(of).collect::<Result<_>>()?);
        memory.begin_anew()?;
        Ok(memory)
    }

    /// Has the kernel forget what was resident at most.
    fn begin_anew(&self) -> Result<()> {
        for (node, pid, _) in &self.0 {
            fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("reset the most of {}", node.name()))?;
        }
        Ok(())
    }

    /// Says what was resident at most since the kernel began anew, and has it do so again.
    fn report(&self, run: &Run, what: &str) -> Result<()> {
        let mut too_much = Vec::new();
        for (node, pid, before) in &self.0 {
            let now = Resident::of(*pid)?;
            let more = now.peak.saturating_sub(before.all);
            let mb = |bytes: u64| bytes as f64 / 1e6;
            run.say(format_args!(
                "{what}: {}: {:.1} MB idle (RssAnon {:.1}, RssFile {:.1}), at most {:.1} (VmHWM, {:.1} more), now {:.1} (RssAnon {:.1}, RssFile {:.1})",
                node.name(), mb(before.all), mb(before.anon), mb(before.file), mb(now.peak), mb(more), mb(now.all), mb(now.anon), mb(now.file),
            ));
            if more >= MORE_AT_MOST {
                too_much.push(node.name());
            }
        }
        ensure!(too_much.is_empty(), "{what}: more than {MORE_AT_MOST} bytes more than idle at {too_much:?}");
        self.begin_anew()
    }
}

impl Resident {
    fn of(pid: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("the status of process {pid}"))?;
        let field = |name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib: u64 = line.with_context(|| format!("no {name}"))?.trim().trim_end_matches(" kB").parse()?;
            Ok(kib << 10)
        };
        Ok(Self { anon: field("RssAnon")?, file: field("RssFile")?, all: field("VmRSS")?, peak: field("VmHWM")? })
    }
}

/// What a node has on its disk.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// Files of content that is whole.
    blobs: usize,
    /// Files of content that comes in.
    coming_in: usize,
    /// Of all files.
    bytes: u64,
}

impl Kept {
    fn by(node: &Node) -> Result<Self> {
        let mut kept = Self::default();
        kept.add(&node.data_dir())?;
        Ok(kept)
    }

    /// Files come and go while this looks.
    fn add(&mut self, dir: &Path) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => self.add(&entry.path())?,
                Ok(metadata) => {
                    self.bytes += metadata.len();
                    self.blobs += usize::from(name.ends_with(".data"));
                    self.coming_in += usize::from([".tmp", ".part"].iter().any(|end| name.ends_with(end)));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// How long anything may take that is not an upload.
const SETTLE: Duration = Duration::from_secs(60);
/// How long an upload may take.
const SENDING: Duration = Duration::from_secs(300);
