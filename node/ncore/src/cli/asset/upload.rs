//! Uploading a file, with a bar, in a way that is safe to retry.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{
    Body,
    multipart::{Form, Part},
};
use serde_json::Value;
use tokio::{
    fs::File,
    time::{Instant, sleep},
};
use tokio_util::io::ReaderStream;

use super::remote::Remote;

/// How long `--wait` waits.
const WAIT: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(250);
/// How much is read from the file at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// What a file is to become.
pub(super) struct Wanted {
    /// Where to; the name of the file if none is given.
    pub(super) path: Option<String>,
    /// How long others may cache it, in seconds.
    pub(super) cache_ttl: Option<u32>,
    /// Whether it is not for everybody.
    pub(super) restricted: bool,
}

/// Uploads `file`. The asset, as the API shows it.
pub(super) async fn upload(remote: &Remote, file: &Path, wanted: Wanted, show: bool) -> Result<Value> {
    let Wanted { path, cache_ttl, restricted } = wanted;
    let source = File::open(file).await.with_context(|| format!("cannot read {}", file.display()))?;
    let size = source.metadata().await?.len();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).context("that is not a file")?;
    let bar = bar(size, show);
    let progress = bar.clone();
    let stream = ReaderStream::with_capacity(source, CHUNK).inspect_ok(move |chunk| progress.inc(chunk.len() as u64));
    let content = Part::stream_with_length(Body::wrap_stream(stream), size).file_name(name.clone());
    let mut form = Form::new().text("path", path.unwrap_or(name));
    if let Some(ttl) = cache_ttl {
        form = form.text("cache_ttl", ttl.to_string());
    }
    if restricted {
        form = form.text("visibility", "restricted");
    }
    let request = remote.post("/api/v2/assets/upload").header("Idempotency-Key", uuid::Uuid::new_v4().to_string());
    let asset = remote.checked(request.multipart(form.part("file", content))).await?.json().await?;
    bar.finish_and_clear();
    Ok(asset)
}

/// Waits until every node holds the asset.
pub(super) async fn wait_until_replicated(remote: &Remote, asset: &Value, show: bool) -> Result<()> {
    let id = asset["id"].as_str().unwrap_or_default();
    let bar = if show { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_message("waiting until every node has it");
    let end = Instant::now() + WAIT;
    while Instant::now() < end {
        let status = remote.get(&format!("/api/v2/assets/{id}/replication")).await?;
        if status["replicated"] == true {
            bar.finish_and_clear();
            return Ok(());
        }
        bar.tick();
        sleep(POLL).await;
    }
    bail!("not every node has it yet; `ncore asset status {id}` shows which");
}

/// A bar over bytes; hidden where nobody looks.
pub(super) fn bar(size: u64, show: bool) -> ProgressBar {
    if !show {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}
