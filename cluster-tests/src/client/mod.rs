//! A client of API v2 that is honest about what it does not know.
//!
//! ```no_run
//! # async fn example(cluster: cluster_tests::Cluster) -> anyhow::Result<()> {
//! use cluster_tests::client::{Outcome, Upload};
//!
//! let api = cluster.api("tester").await?;
//! let upload = Upload::new("video/intro.webm", "some bytes").key("attempt-1");
//! let asset = match api.at(cluster.node(0)).upload(&upload).await {
//!     Outcome::Ok(asset) => asset,
//!     // Not done, or perhaps done: the same key at another node settles it.
//!     _ => api.at(cluster.node(1)).upload(&upload).await.done()?,
//! };
//! let download = api.at(cluster.node(2)).get(&asset.path).await.done()?;
//! # Ok(())
//! # }
//! ```
//!
//! It never repeats a request by itself, with two exceptions in which the node has certainly done nothing: an expired
//! token (401) is replaced once, and a rate limit (429) is waited out.

mod answer;
mod bearer;
mod download;
mod outcome;
mod revision;
mod shapes;
mod tenant;
mod upload;
mod uploader;

pub use answer::Answer;
pub use bearer::Bearer;
pub use download::{Bytewise, Download, sha256};
pub use outcome::{Cause, NotDone, Outcome, Problem};
pub use revision::Revision;
pub use shapes::{Asset, Holding, Page, Replication, Usage};
pub use tenant::Tenant;
pub use upload::Upload;
pub use uploader::{PIECE, Uploader, offset_of};

use crate::cluster::Node;
use crate::operator::Credentials;
use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An API client of one customer, for any node. Clones share the token, the connections, and the newest revision seen.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    credentials: Arc<Credentials>,
    token: Arc<Mutex<Option<String>>>,
    newest: Arc<Mutex<Option<Revision>>>,
    deadline: Duration,
}

/// An API client that speaks to one node.
#[derive(Debug, Clone)]
pub struct At<'a> {
    api: &'a Api,
    url: String,
    up_to_date: bool,
    presented: Option<Revision>,
}

impl Api {
    /// A client that has not logged in yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(credentials: Credentials) -> Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("build an HTTP client")?;
        Ok(Self { http, credentials: Arc::new(credentials), token: Arc::default(), newest: Arc::default(), deadline: DEADLINE })
    }

    /// The same client with another deadline for a whole request; the default is 20 s.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same client with a token of its own, because requests are limited by token. It shares the newest revision.
    #[must_use]
    pub fn with_own_token(mut self) -> Self {
        self.token = Arc::default();
        self
    }

    /// The client at one node.
    #[must_use]
    pub fn at(&self, node: &Node) -> At<'_> {
        self.at_url(node.url())
    }

    /// The client at a base URL without a slash at the end, for example that of a gate.
    #[must_use]
    pub const fn at_url(&self, url: String) -> At<'_> {
        At { api: self, url, up_to_date: false, presented: None }
    }

    /// The newest revision that any answer to this client carried.
    #[must_use]
    pub fn newest(&self) -> Option<Revision> {
        *self.newest.lock()
    }

    fn note(&self, revision: Option<Revision>) {
        let mut newest = self.newest.lock();
        *newest = (*newest).max(revision);
    }
}

impl At<'_> {
    /// Presents the newest revision seen so far with each request: the answer must come from a state at least that
    /// new.
    #[must_use]
    pub const fn up_to_date(mut self) -> Self {
        self.up_to_date = true;
        self
    }

    /// Presents this revision with each request.
    #[must_use]
    pub const fn presenting(mut self, revision: Revision) -> Self {
        self.presented = Some(revision);
        self
    }

    /// Gets a new token from this node.
    ///
    /// # Errors
    /// When the node does not give one.
    pub async fn log_in(&self) -> Result<(), NotDone> {
        let body = serde_json::json!({
            "client_id": self.api.credentials.client_id,
            "secret": self.api.credentials.secret,
            "scope": "assets:read assets:write cache:purge metrics:read",
        });
        let request = self.request(Method::POST, "/api/v2/auth/token").json(&body);
        let token: shapes::Token = self.send(request).await.parse().await.done()?;
        *self.api.token.lock() = Some(token.access_token);
        Ok(())
    }

    /// Uploads an asset.
    pub async fn upload(&self, upload: &Upload) -> Outcome<Asset> {
        self.authorized(|| upload.fill(self.request(Method::POST, "/api/v2/assets/upload"))).await.parse().await
    }

    /// Deletes an asset by its id.
    pub async fn delete(&self, id: &str) -> Outcome<()> {
        self.authorized(|| self.request(Method::DELETE, &format!("/api/v2/assets/{id}"))).await.map(drop)
    }

    /// What is known of an asset.
    pub async fn asset(&self, id: &str) -> Outcome<Asset> {
        self.authorized(|| self.request(Method::GET, &format!("/api/v2/assets/{id}"))).await.parse().await
    }

    /// Which nodes hold an asset.
    pub async fn replication(&self, id: &str) -> Outcome<Replication> {
        let path = format!("/api/v2/assets/{id}/replication");
        self.authorized(|| self.request(Method::GET, &path)).await.parse().await
    }

    /// One page of the assets whose path begins with `prefix`.
    pub async fn page(&self, prefix: &str, cursor: Option<&str>) -> Outcome<Page> {
        let mut query = vec![("prefix", prefix), ("limit", PAGE)];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.authorized(|| self.request(Method::GET, "/api/v2/assets").query(&query)).await.parse().await
    }

    /// All assets whose path begins with `prefix`.
    pub async fn list(&self, prefix: &str) -> Outcome<Vec<Asset>> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            match self.page(prefix, cursor.as_deref()).await {
                Outcome::Ok(page) => {
                    all.extend(page.assets);
                    cursor = page.next_cursor.filter(|_| page.has_more);
                    if cursor.is_none() {
                        return Outcome::Ok(all);
                    }
                }
                Outcome::Rejected(problem) => return Outcome::Rejected(problem),
                Outcome::Unavailable(cause) => return Outcome::Unavailable(cause),
                Outcome::Unknown(cause) => return Outcome::Unknown(cause),
            }
        }
    }

    /// The asset at exactly this path, if there is one.
    pub async fn find(&self, path: &str) -> Outcome<Option<Asset>> {
        self.page(path, None).await.map(|page| page.assets.into_iter().find(|asset| asset.path == path))
    }

    /// What the client used in the last 30 days, by `GET /api/v2/metrics`: the sum of its days.
    pub async fn usage(&self) -> Outcome<Usage> {
        let request = || self.request(Method::GET, "/api/v2/metrics").query(&[("granularity", "day")]);
        self.authorized(request).await.parse().await.map(|usage: shapes::Metrics| usage.totals)
    }

    /// The bytes at a path, as a viewer gets them. A body that breaks off is an `Ok` that says so.
    pub async fn get(&self, path: &str) -> Outcome<Download> {
        self.download(self.request(Method::GET, &format!("/assets/{path}"))).await
    }

    /// Some of the bytes at a path.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Outcome<Download> {
        let range = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        self.download(self.request(Method::GET, &format!("/assets/{path}")).header("Range", range)).await
    }

    /// `GET /api/v2/status`.
    pub async fn status(&self) -> Outcome<serde_json::Value> {
        self.send(self.request(Method::GET, "/api/v2/status")).await.parse().await
    }

    async fn download(&self, request: RequestBuilder) -> Outcome<Download> {
        match self.send(request).await {
            Outcome::Ok(response) => Outcome::Ok(Download::receive(response).await),
            Outcome::Rejected(problem) => Outcome::Rejected(problem),
            Outcome::Unavailable(cause) => Outcome::Unavailable(cause),
            Outcome::Unknown(cause) => Outcome::Unknown(cause),
        }
    }

    /// Sends a request with the token, and repeats it where the node has certainly not looked at it.
    async fn authorized(&self, build: impl Fn() -> RequestBuilder) -> Outcome<Response> {
        let start = Instant::now();
        let mut fresh_token = false;
        loop {
            let token = self.api.token.lock().clone().unwrap_or_default();
            let outcome = self.send(build().bearer_auth(token)).await;
            let left = self.api.deadline.saturating_sub(start.elapsed());
            match outcome.problem() {
                Some(problem) if problem.status == 401 && !fresh_token => {
                    fresh_token = true;
                    match self.log_in().await {
                        Ok(()) => {}
                        Err(NotDone::Rejected(_)) => return outcome,
                        // The request itself was turned away at the door.
                        Err(NotDone::Unavailable(cause) | NotDone::Unknown(cause)) => return Outcome::Unavailable(cause),
                    }
                }
                Some(problem) if problem.status == 429 && !left.is_zero() => {
                    tokio::time::sleep(problem.retry_after.unwrap_or(Duration::from_secs(1)).min(left)).await;
                }
                _ => return outcome,
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.api.http.request(method, format!("{}{path}", self.url)).timeout(self.api.deadline);
        match self.presented.or(self.api.newest().filter(|_| self.up_to_date)) {
            Some(revision) => request.header(revision::HEADER, revision.to_string()),
            None => request,
        }
    }

    /// One request, one answer.
    async fn send(&self, request: RequestBuilder) -> Outcome<Response> {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Cause::outcome(&error),
        };
        self.api.note(Revision::of(&response));
        if response.status().is_success() { Outcome::Ok(response) } else { problem(response).await.outcome() }
    }
}

/// The last step of a request whose answer is JSON.
trait Parse {
    async fn parse<T: DeserializeOwned>(self) -> Outcome<T>;
}

impl Parse for Outcome<Response> {
    async fn parse<T: DeserializeOwned>(self) -> Outcome<T> {
        match self {
            Self::Ok(response) => match response.json().await {
                Ok(value) => Outcome::Ok(value),
                // It was done, but its result was lost on the way, or is not what the contract says.
                Err(error) => Outcome::Unknown(Cause::Broken(format!("the body of a good answer: {error:?}"))),
            },
            Self::Rejected(problem) => Outcome::Rejected(problem),
            Self::Unavailable(cause) => Outcome::Unavailable(cause),
            Self::Unknown(cause) => Outcome::Unknown(cause),
        }
    }
}

/// Reads an error answer, whatever its body is.
async fn problem(response: Response) -> Problem {
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let retry_after = header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let content_type = header("content-type").unwrap_or_default();
    let revision = Revision::of(&response);
    let body = response.bytes().await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    Problem { status, retry_after, content_type, revision, ..problem }
}

const DEADLINE: Duration = Duration::from_secs(20);
const PAGE: &str = "1000";
