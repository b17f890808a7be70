//! Uploads that come in pieces, by tus.

use super::Api;
use crate::cluster::{Cluster, Node};
use crate::operator::Credentials;
use crate::wait;
use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response};
use std::time::Duration;

/// The type of the bytes of a piece.
pub const PIECE: &str = "application/offset+octet-stream";

/// A client of tus, for any node. It repeats nothing by itself.
#[derive(Debug, Clone)]
pub struct Uploader {
    http: Client,
    api: Api,
    token: String,
}

impl Uploader {
    /// A new client of the cluster, once every node knows it and uploads in pieces are taken.
    ///
    /// # Errors
    /// When that is not so within half a minute.
    pub async fn add(cluster: &Cluster) -> Result<Self> {
        let operator = cluster.node(0).operator();
        let credentials: Credentials = wait::until(SETTLE, "a new client", || operator.add_client("uploader")).await?;
        let api = Api::new(credentials.clone())?.with_deadline(Duration::from_secs(60));
        for node in cluster.nodes() {
            let there = api.at(node);
            wait::until(SETTLE, "a node to know the client", || there.log_in()).await?;
        }
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let body = serde_json::json!({ "client_id": credentials.client_id, "secret": credentials.secret });
        let request = http.post(format!("{}/api/v2/auth/token", cluster.node(0).url())).json(&body);
        let issued: serde_json::Value = request.send().await?.json().await?;
        let token = issued["access_token"].as_str().with_context(|| format!("a token: {issued}"))?.to_owned();
        let client = Self { http, api, token };
        // Until every node can apply what these uploads need, the cluster does not take them.
        let first = || async { client.create(cluster.node(0), "first", 1).await };
        wait::until(SETTLE, "the first upload to be taken", first).await?;
        Ok(client)
    }

    /// The same client, for everything else.
    #[must_use]
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// A request of this client.
    pub fn request(&self, method: Method, node: &Node, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", node.url())).bearer_auth(&self.token).header("tus-resumable", "1.0.0")
    }

    /// Begins an upload. Gives the path of its address.
    ///
    /// # Errors
    /// When there is no answer, or it is not 201.
    pub async fn create(&self, node: &Node, path: &str, length: usize) -> Result<String> {
        let metadata = format!("path {}", STANDARD.encode(path));
        let request = self.request(Method::POST, node, "/api/v2/uploads");
        let answer = request.header("upload-length", length).header("upload-metadata", metadata).send().await?;
        ensure!(answer.status() == 201, "status {}: {}", answer.status(), answer.text().await?);
        Ok(answer.headers().get("location").context("a location")?.to_str()?.to_owned())
    }

    /// Sends bytes for an upload.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn append(&self, node: &Node, upload: &str, offset: u64, bytes: Bytes) -> Result<Response> {
        let request = self.request(Method::PATCH, node, upload).header("upload-offset", offset).header("content-type", PIECE);
        Ok(request.body(bytes).send().await?)
    }

    /// How far an upload is.
    ///
    /// # Errors
    /// When there is no answer, or it is not 200.
    pub async fn offset(&self, node: &Node, upload: &str) -> Result<u64> {
        let answer = self.request(Method::HEAD, node, upload).send().await?;
        ensure!(answer.status() == 200, "{answer:?}");
        offset_of(&answer)
    }
}

/// How far an upload is, by an answer.
///
/// # Errors
/// When it does not say.
pub fn offset_of(answer: &Response) -> Result<u64> {
    Ok(answer.headers().get("upload-offset").context("an offset")?.to_str()?.parse()?)
}

const SETTLE: Duration = Duration::from_secs(30);
