//! Uploads that come in pieces outlive the node that takes them.
//!
//! A client sends a part of a file to one node and is acknowledged; then it streams on to another, which is killed without warning
//! in the middle. A third node says how far the upload is, takes the rest, and the file is whole at every node: promise 1, for what
//! is not yet an asset. And what is refused, given up or forgotten leaves nothing behind.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use cluster_tests::client::{PIECE, Upload, Uploader, offset_of};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use cluster_tests::{Cluster, Node, wait};
use futures_util::stream;
use reqwest::{Body, Method};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_at_another_node() -> Result<()> {
    property("resumable_elsewhere", Limit::minutes(3, 3), elsewhere).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_finished_leaves_nothing() -> Result<()> {
    property("resumable_leaves_nothing", Limit::minutes(3, 3), leaves_nothing).await
}

async fn elsewhere(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let client = Uploader::add(&cluster).await?;
    let (first, killed, third) = (cluster.node(0), cluster.node(1), cluster.node(2));
    let content = Content::new(run.seed(), 40 << 20);
    let (bytes, sha256) = (content.bytes(), content.sha256());

    let upload = client.create(first, "video/long.webm", bytes.len()).await?;
    let acknowledged = client.append(first, &upload, 0, bytes.slice(..3 << 20)).await?;
    ensure!(acknowledged.status() == 204 && offset_of(&acknowledged)? == 3 << 20, "{acknowledged:?}");

    // Enough for one piece, and a part of the next; then silence, with more announced.
    let (send, mut receive) = mpsc::channel::<io::Result<Bytes>>(1);
    let body = stream::poll_fn(move |context| receive.poll_recv(context));
    let request = client.request(Method::PATCH, killed, &upload).header("upload-offset", 3 << 20).header("content-type", PIECE);
    let stopped = CancellationToken::new();
    let sending = tokio::spawn(stopped.clone().run_until_cancelled_owned(request.body(Body::wrap_stream(body)).send()));
    for chunk in bytes.slice(3 << 20..23 << 20).chunks(1 << 18) {
        send.send(Ok(Bytes::copy_from_slice(chunk))).await.context("the node takes what comes")?;
    }
    let there = wait::until(SETTLE, "a piece of what was sent to count", || async {
        let offset = client.offset(third, &upload).await?;
        ensure!(offset > 3 << 20, "{offset} bytes");
        Ok(offset)
    })
    .await?;
    killed.kill_9().await?;
    stopped.cancel();
    let _ = sending.await;
    run.say(format_args!("{} was killed with {there} bytes acknowledged or counted", killed.name()));

    let now = wait::until(SETTLE, "the upload at another node", || client.offset(third, &upload)).await?;
    ensure!(now >= there, "{there} bytes were there, and now {now}");
    let from = usize::try_from(now)?;
    let middle = from + (5 << 20);
    let last = wait::until(SETTLE, "the rest to be taken", || async {
        // What was not answered well may be there in part.
        let offset = usize::try_from(client.offset(first, &upload).await?)?;
        if offset < middle {
            let taken = client.append(first, &upload, offset as u64, bytes.slice(offset..middle)).await?;
            ensure!(taken.status() == 204, "{taken:?}");
        }
        let offset = offset.max(middle);
        let last = client.append(third, &upload, offset as u64, bytes.slice(offset..)).await?;
        ensure!(last.status() == 204 && offset_of(&last)? == bytes.len() as u64, "{last:?}");
        Ok(last)
    })
    .await?;
    let id = last.headers().get("x-ncore-asset").context("the answer names the asset")?.to_str()?.to_owned();
    let asset = client.api().at(first).asset(&id).await.done()?;
    ensure!(asset.sha256.as_deref() == Some(&*sha256), "{asset:?}");

    killed.start()?;
    cluster.converged(Duration::from_secs(60)).await?;
    for node in cluster.nodes() {
        ensure!(client.offset(node, &upload).await? == bytes.len() as u64, "{} does not know that it is done", node.name());
        let read = wait::until(SETTLE, "the asset", || async {
            client.api().at(node).get("video/long.webm").await.done().map_err(|error| anyhow!(error))
        });
        let read = read.await?;
        ensure!(read.status == 200 && read.bytes == bytes, "other bytes at {}: status {}", node.name(), read.status);
    }
    cluster.converged(Duration::from_secs(20)).await?;
    cluster.shutdown().await
}

async fn leaves_nothing(run: Run) -> Result<()> {
    let builder = Cluster::builder().seed(run.seed()).setting("limits", "upload_expires", "15s").setting("limits", "max_upload", "4MiB");
    let cluster = builder.setting("storage", "grace", "1s").start().await?;
    let client = Uploader::add(&cluster).await?;
    let (a, b, c) = (cluster.node(0), cluster.node(1), cluster.node(2));
    let content = Content::new(run.seed(), 2 << 20).bytes();

    let too_large = client.create(a, "too/large", (4 << 20) + 1).await;
    ensure!(too_large.is_err_and(|error| error.to_string().contains("413")), "more than the limit");
    let exact = client.create(a, "as/large/as/may/be", 4 << 20).await?;
    let more = client.append(b, &exact, 0, Bytes::from(vec![0; (4 << 20) + 1])).await?;
    ensure!(more.status() == 413, "{more:?}");

    let whole = Upload::new("too/large", vec![0; (4 << 20) + 1]);
    let refused = client.api().at(c).upload(&whole).await;
    ensure!(refused.problem().is_some_and(|problem| problem.status == 413), "{refused:?}");

    let wrong = client.request(Method::PATCH, b, &exact).header("upload-offset", 0).header("content-type", PIECE);
    let wrong = wrong.header("upload-checksum", "sha256 ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=").body(content.clone()).send().await?;
    ensure!(wrong.status().as_u16() == 460 && client.offset(c, &exact).await? == 0, "{wrong:?}");
    let ended = client.request(Method::DELETE, c, &exact).send().await?;
    ensure!(ended.status() == 204, "{ended:?}");
    let gone = client.append(a, &exact, 0, content.clone()).await?;
    ensure!(gone.status() == 404, "{gone:?}");

    let left = client.create(a, "left/alone", 4 << 20).await?;
    let taken = client.append(b, &left, 0, content).await?;
    ensure!(taken.status() == 204 && client.offset(c, &left).await? == 2 << 20, "{taken:?}");
    ensure!(cluster.nodes().iter().map(stored).sum::<Result<usize>>()? >= 2, "a piece is on two nodes");
    let gone = || async {
        let answer = client.request(Method::HEAD, c, &left).send().await?;
        ensure!(answer.status() == 404, "{answer:?}");
        Ok(())
    };
    wait::until(SETTLE, "the upload to expire", gone).await?;
    wait::until(SETTLE, "every node to be empty", || async {
        let stored = cluster.nodes().iter().map(stored).sum::<Result<usize>>()?;
        ensure!(stored == 0, "{stored} files");
        Ok(())
    })
    .await?;
    cluster.converged(Duration::from_secs(20)).await?;
    cluster.shutdown().await
}

/// Files that a node has of blobs, whole or coming in.
fn stored(node: &Node) -> Result<usize> {
    fn count(dir: &std::path::Path) -> Result<usize> {
        let mut files = 0;
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files += if entry.file_type()?.is_dir() {
                count(&entry.path())?
            } else {
                usize::from([".data", ".tmp", ".part"].iter().any(|end| name.ends_with(end)))
            };
        }
        Ok(files)
    }
    // A file may go while it is counted.
    count(&node.data_dir()).or_else(|error| if error.is::<io::Error>() { Ok(1) } else { Err(error) })
}

/// How long anything may take that is not the upload itself.
const SETTLE: Duration = Duration::from_secs(60);
