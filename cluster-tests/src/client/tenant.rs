//! A client of the cluster with a token, for tests that write their requests themselves.

use super::{Answer, Api};
use crate::cluster::{Cluster, Node};
use crate::operator::Credentials;
use crate::wait;
use anyhow::{Context as _, Result, ensure};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

/// A client that every node knows, and its token for everything that it may.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// For requests that are written by hand.
    pub http: Client,
    /// For all others.
    pub api: Api,
    /// Its id and its secret.
    pub credentials: Credentials,
    /// An access token.
    pub token: String,
}

impl Tenant {
    /// A new client with these domains, once every node knows it.
    ///
    /// # Errors
    /// When that is not so within half a minute.
    pub async fn add(cluster: &Cluster, name: &str, domains: &[&str]) -> Result<Self> {
        let operator = cluster.node(0).operator();
        let mut arguments = vec!["--name", name, "--json"];
        arguments.extend(domains.iter().flat_map(|domain| ["--domain", domain]));
        let add = || operator.json::<Credentials>(&["client", "add"], &arguments);
        let credentials = wait::until(SETTLE, "a new client", add).await?;
        let api = Api::new(credentials.clone())?;
        for node in cluster.nodes() {
            let there = api.at(node);
            wait::until(SETTLE, "a node to know the client", || there.log_in()).await?;
        }
        let http = Client::builder().no_proxy().timeout(SETTLE).build()?;
        let body = json!({ "client_id": credentials.client_id, "secret": credentials.secret });
        let issued: Value = http.post(format!("{}/api/v2/auth/token", cluster.node(1).url())).json(&body).send().await?.json().await?;
        let token = issued["access_token"].as_str().with_context(|| format!("a token: {issued}"))?.to_owned();
        Ok(Self { http, api, credentials, token })
    }

    /// A request that shows nothing of this client yet.
    pub fn ask(&self, method: Method, node: &Node, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", node.url()))
    }

    /// Uploads a text. Gives the asset.
    ///
    /// # Errors
    /// When there is no answer, or it is not 201.
    pub async fn put(&self, node: &Node, path: &str, text: &'static str, visibility: Option<&'static str>) -> Result<Value> {
        let mut form = Form::new().text("path", path.to_owned());
        if let Some(visibility) = visibility {
            form = form.text("visibility", visibility);
        }
        let form = form.part("file", Part::bytes(text.as_bytes()).file_name("file"));
        let answer = Answer::to(self.ask(Method::POST, node, "/api/v2/assets/upload").bearer_auth(&self.token).multipart(form)).await?;
        ensure!(answer.status == 201, "{answer:?}");
        Ok(answer.json())
    }
}

/// How long a healthy cluster may take.
const SETTLE: Duration = Duration::from_secs(30);
