//! A cluster with an administrator, each request to another node than the one before.
//!
//! Each presents the revision that was answered last, as a client of any node does.

use crate::client::Answer;
use crate::{Cluster, Node, run::Run, wait};
use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The schema level that accounts need.
const LEVEL: u32 = 6;
/// How long a healthy cluster may take.
pub const SETTLE: Duration = Duration::from_secs(60);

/// A cluster, and those who manage and use it.
#[derive(Debug)]
pub struct Site {
    /// The cluster.
    pub cluster: Cluster,
    /// The token of an administrator.
    pub administrator: String,
    http: Client,
    turn: AtomicUsize,
    /// What was answered last: the next request is answered from a state at least that new.
    revision: Mutex<String>,
}

/// What is shown of a new client, once.
#[derive(Debug, Clone, Deserialize)]
pub struct Registered {
    /// Names the client.
    pub client_id: String,
    /// Proves it.
    pub secret: String,
    /// The first of its refresh tokens.
    pub refresh_token: String,
}

#[derive(Deserialize)]
struct NewAdministrator {
    token: String,
}

impl Site {
    /// Three nodes with the settings of the product.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn new(run: &Run) -> Result<Self> {
        Self::of(Cluster::builder().seed(run.seed()).start().await?).await
    }

    /// A cluster that runs, once every node knows the administrator.
    ///
    /// # Errors
    /// When that is not so within a minute.
    pub async fn of(cluster: Cluster) -> Result<Self> {
        wait::until(SETTLE, "the schema level to be raised", || async {
            let status = cluster.status().await?;
            ensure!(status.schema_level >= LEVEL, "it is {}", status.schema_level);
            Ok(())
        })
        .await?;
        let operator = cluster.node(0).operator();
        let made: NewAdministrator = operator.json(&["administrator", "add"], &["--name", "ada", "--json"]).await?;
        let site = Self {
            cluster,
            administrator: made.token,
            http: from(Ipv4Addr::LOCALHOST)?,
            turn: AtomicUsize::new(0),
            revision: Mutex::default(),
        };
        for node in site.cluster.nodes() {
            wait::until(SETTLE, "a node to know the administrator", || async {
                let answer = site.to(node, Method::GET, "/api/v2/admin/clients", &site.administrator).send().await?;
                ensure!(answer.status() == 200, "{}", answer.status());
                Ok(())
            })
            .await?;
        }
        Ok(site)
    }

    /// The newest revision that was answered, `lineage.index`; empty before the first.
    #[must_use]
    pub fn revision(&self) -> String {
        self.revision.lock().clone()
    }

    /// The next node.
    #[must_use]
    pub fn node(&self) -> &Node {
        let nodes = self.cluster.nodes();
        &nodes[self.turn.fetch_add(1, Ordering::Relaxed) % nodes.len()]
    }

    /// A request to a node, with a bearer token if there is one.
    pub fn to(&self, node: &Node, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self.bare(node, method, path);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        match self.revision.lock().as_str() {
            "" => request,
            revision => request.header("X-NCore-Revision", revision),
        }
    }

    /// A request to a node that shows neither a token nor a revision.
    pub fn bare(&self, node: &Node, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", node.url()))
    }

    /// A request to the next node.
    pub fn ask(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.to(self.node(), method, path, token)
    }

    /// Sends it once, and notes the revision of the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let answer = Answer::to(request).await?;
        let revision = answer.header("x-ncore-revision");
        let mut newest = self.revision.lock();
        if index(revision) > index(&newest) {
            revision.clone_into(&mut newest);
        }
        Ok(answer)
    }

    /// Asks the next node with GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str, token: &str) -> Result<Answer> {
        self.send(self.ask(Method::GET, path, token)).await
    }

    /// Asks as the administrator, who is to get this status.
    ///
    /// # Errors
    /// When there is no answer, or it has another status.
    pub async fn manage(&self, method: Method, path: &str, body: Option<&Value>, status: u16) -> Result<Answer> {
        let request = self.ask(method.clone(), &format!("/api/v2/admin/clients{path}"), &self.administrator);
        let answer = self.send(match body {
            Some(body) => request.json(body),
            None => request,
        });
        answer.await?.expect(status, &format!("{method} {path}"))
    }

    /// Registers a client, as the administrator.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn register(&self, body: &Value) -> Result<Registered> {
        let answer = self.manage(Method::POST, "", Some(body), 201).await?;
        let registered: Registered = serde_json::from_str(&answer.body)?;
        ensure!(answer.header("location") == format!("/api/v2/admin/clients/{}", registered.client_id), "{answer:?}");
        Ok(registered)
    }

    /// What the token endpoint, or one beside it, says to a form.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.send(self.ask(Method::POST, path, "").form(fields)).await
    }

    /// A token in the form of the page.
    ///
    /// # Errors
    /// When there is none.
    pub async fn token(&self, client: &Registered, scope: &str) -> Result<String> {
        let body = json!({ "client_id": client.client_id, "secret": client.secret, "scope": scope });
        let answer = self.send(self.ask(Method::POST, "/api/v2/auth/token", "").json(&body)).await?.expect(200, "a token")?;
        Ok(answer.text("access_token"))
    }

    /// Uploads as the client with this token.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn upload(&self, token: &str, path: &str, bytes: usize) -> Result<Answer> {
        let part = reqwest::multipart::Part::bytes(vec![b'x'; bytes]).file_name("file");
        let form = reqwest::multipart::Form::new().text("path", path.to_owned()).part("file", part);
        self.send(self.ask(Method::POST, "/api/v2/assets/upload", token).multipart(form)).await
    }

    /// The answers of every node to a GET.
    ///
    /// # Errors
    /// When a node does not answer.
    pub async fn everywhere(&self, path: &str, token: &str) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for node in self.cluster.nodes() {
            answers.push(self.send(self.to(node, Method::GET, path, token)).await?);
        }
        Ok(answers)
    }

    /// Waits until every node has what was answered last: for requests that present no revision.
    ///
    /// # Errors
    /// When a node does not get there.
    pub async fn followed(&self) -> Result<()> {
        for answer in self.everywhere("/api/v2/admin/clients", &self.administrator).await? {
            answer.expect(200, "a node that follows")?;
        }
        Ok(())
    }

    /// Every node refuses the token, and now: nothing is waited for, and no revision is presented.
    ///
    /// # Errors
    /// When a node lets it in.
    pub async fn refused_everywhere(&self, token: &str, why: &str) -> Result<()> {
        for node in self.cluster.nodes() {
            let request = self.bare(node, Method::GET, "/api/v2/account").bearer_auth(token);
            let answer = self.send(request).await?;
            ensure!(answer.status == 401 && answer.code() == "token_invalid", "{why}: {} lets it in: {answer:?}", node.name());
        }
        Ok(())
    }

    /// A counter of denials, over all nodes.
    ///
    /// # Errors
    /// When a node does not say.
    pub async fn denials(&self, reason: &str) -> Result<u64> {
        let mut sum = 0;
        for node in self.cluster.nodes() {
            let text = self.bare(node, Method::GET, "/metrics").send().await?.text().await?;
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("ncore_denied_total{{reason=\"{reason}\"}} ")));
            sum += line.with_context(|| format!("no counter for {reason}"))?.trim().parse::<u64>()?;
        }
        Ok(sum)
    }
}

/// Somebody at an address of this machine.
///
/// # Errors
/// When the HTTP client cannot be set up.
pub fn from(address: Ipv4Addr) -> Result<Client> {
    Ok(Client::builder().no_proxy().local_address(IpAddr::V4(address)).timeout(Duration::from_secs(30)).build()?)
}

/// The place in the log of a revision, `lineage.index`; 0 for what is none.
#[must_use]
pub fn index(revision: &str) -> u64 {
    revision.split_once('.').and_then(|(_, index)| index.parse().ok()).unwrap_or(0)
}
