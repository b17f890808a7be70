//! A client of the API that only measures: it reads answers to their end and does not look into them.

use std::{
    fmt,
    ops::Range,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use cluster_tests::Cluster;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
use reqwest::{
    RequestBuilder,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use super::{record, spread};

/// Attempts at an upload that a busy machine does not get done in time, and the pause before the next.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Assets below one prefix: a page.
pub(crate) const GROUP: u64 = 1_000;

/// A client of one node, with a token.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// How long a writer and a reader had to wait, one request after the other.
pub(crate) struct Waits {
    writes: Histogram<u64>,
    reads: Histogram<u64>,
}

impl Client {
    pub(crate) async fn new(cluster: &Cluster) -> Result<Self> {
        let credentials = cluster.node(0).operator().add_client("million").await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let base = cluster.node(0).url();
        let login = json!({ "client_id": credentials.client_id, "secret": credentials.secret });
        let answer: Value = http.post(format!("{base}/api/v2/auth/token")).json(&login).send().await?.error_for_status()?.json().await?;
        let token = answer["access_token"].as_str().context("no token")?.to_owned();
        Ok(Self { http, base, token })
    }

    /// Uploads the assets with these numbers, `connections` at a time.
    pub(crate) async fn upload(&self, numbers: Range<u64>, size: usize, connections: usize) -> Result<()> {
        stream::iter(numbers).map(|number| self.put(number, size)).buffer_unordered(connections).try_for_each(|_| async { Ok(()) }).await
    }

    /// Uploads one asset and returns how long that took.
    async fn put(&self, number: u64, size: usize) -> Result<Duration> {
        let mut content = vec![0; size.max(8)];
        SmallRng::seed_from_u64(number).fill_bytes(&mut content);
        content[..8].copy_from_slice(&number.to_le_bytes());
        let began = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let form = Form::new().text("path", path_of(number)).part("file", Part::bytes(content.clone()).file_name("content"));
            let request = self.http.post(format!("{}/api/v2/assets/upload", self.base)).bearer_auth(&self.token).multipart(form);
            match self.send(request).await {
                // What is put again is the same, whether or not it was done before.
                Err(error) if attempt < ATTEMPTS => {
                    println!("  asset {number}, attempt {attempt}: {error:#}");
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer.map(|_| began.elapsed()),
            }
        }
    }

    /// Lists one page and returns its length in bytes.
    pub(crate) async fn page(&self, group: u64) -> Result<u64> {
        let query = [("prefix", prefix_of(group)), ("limit", GROUP.to_string())];
        self.send(self.http.get(format!("{}/api/v2/assets", self.base)).bearer_auth(&self.token).query(&query))
            .await
            .map(|(_, bytes)| bytes)
    }

    async fn get(&self, number: u64) -> Result<Duration> {
        self.send(self.http.get(format!("{}/assets/{}", self.base, path_of(number)))).await.map(|(time, _)| time)
    }

    /// Reads assets at random, `connections` at a time.
    pub(crate) async fn read(&self, assets: u64, reads: u64, connections: usize) -> Result<Histogram<u64>> {
        let mut random = SmallRng::seed_from_u64(3);
        let numbers: Vec<u64> = (0..reads).map(|_| random.random_range(0..assets)).collect();
        let answers = stream::iter(numbers).map(|number| self.get(number)).buffer_unordered(connections);
        answers.try_fold(Histogram::new(3)?, |mut times, time| async move { record(&mut times, time).map(|()| times) }).await
    }

    /// Writes and reads, one of each at a time, until `event` is over. New assets get numbers from `next` on.
    pub(crate) async fn watch<T>(&self, assets: u64, next: u64, event: impl Future<Output = T>) -> Result<(T, Waits)> {
        let over = AtomicBool::new(false);
        let mut waits = Waits { writes: Histogram::new(3)?, reads: Histogram::new(3)? };
        let Waits { writes, reads } = &mut waits;
        let writer = async {
            for number in next.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                record(writes, self.put(number, 200).await?)?;
            }
            anyhow::Ok(())
        };
        let reader = async {
            let mut random = SmallRng::seed_from_u64(next);
            while !over.load(Ordering::Relaxed) {
                record(reads, self.get(random.random_range(0..assets)).await?)?;
            }
            Ok(())
        };
        let event = pin!(event);
        let ended = async {
            let value = event.await;
            over.store(true, Ordering::Relaxed);
            Ok(value)
        };
        let ((), (), value) = tokio::try_join!(writer, reader, ended)?;
        Ok((value, waits))
    }

    /// Sends a request and reads the answer, whose length it returns with the time that all took.
    async fn send(&self, request: RequestBuilder) -> Result<(Duration, u64)> {
        let began = Instant::now();
        let body = request.send().await?.error_for_status()?.bytes().await?;
        Ok((began.elapsed(), body.len() as u64))
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} writes ({}), {} reads ({})", self.writes.len(), spread(&self.writes), self.reads.len(), spread(&self.reads))
    }
}

fn prefix_of(group: u64) -> String {
    format!("million/{group:05}/")
}

fn path_of(number: u64) -> String {
    format!("{}{:03}.bin", prefix_of(number / GROUP), number % GROUP)
}
