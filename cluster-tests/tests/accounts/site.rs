//! A cluster with an administrator, and how to talk to it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use cluster_tests::{Cluster, Node, run::Run, wait};
use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};

/// The schema level that accounts need.
const LEVEL: u32 = 6;
/// How long a healthy cluster may take.
pub(crate) const SETTLE: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    /// The token of an administrator.
    pub(crate) administrator: String,
    http: Client,
    turn: AtomicUsize,
    /// What was answered last: the next request is answered from a state at least that new.
    revision: Mutex<String>,
}

/// What is shown of a new client, once.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Registered {
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) refresh_token: String,
}

#[derive(Deserialize)]
struct NewAdministrator {
    token: String,
}

impl Site {
    pub(crate) async fn new(run: &Run) -> Result<Self> {
        let cluster = Cluster::builder().seed(run.seed()).start().await?;
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

    /// The next node.
    pub(crate) fn node(&self) -> &Node {
        let nodes = self.cluster.nodes();
        &nodes[self.turn.fetch_add(1, Ordering::Relaxed) % nodes.len()]
    }

    /// A request to a node, with a bearer token if there is one.
    pub(crate) fn to(&self, node: &Node, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", node.url()));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        match self.revision.lock().as_str() {
            "" => request,
            revision => request.header("X-NCore-Revision", revision),
        }
    }

    /// A request to the next node.
    pub(crate) fn ask(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.to(self.node(), method, path, token)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, body: String::from_utf8_lossy(&response.bytes().await?).into_owned() };
        let revision = answer.header("x-ncore-revision");
        let mut newest = self.revision.lock();
        if index(revision) > index(&newest) {
            revision.clone_into(&mut newest);
        }
        Ok(answer)
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Result<Answer> {
        self.send(self.ask(Method::GET, path, token)).await
    }

    /// Asks as the administrator, who is to get this status.
    pub(crate) async fn manage(&self, method: Method, path: &str, body: Option<&Value>, status: u16) -> Result<Answer> {
        let request = self.ask(method.clone(), &format!("/api/v2/admin/clients{path}"), &self.administrator);
        let answer = self.send(match body {
            Some(body) => request.json(body),
            None => request,
        });
        answer.await?.expect(status, &format!("{method} {path}"))
    }

    pub(crate) async fn register(&self, body: &Value) -> Result<Registered> {
        let answer = self.manage(Method::POST, "", Some(body), 201).await?;
        let registered: Registered = serde_json::from_str(&answer.body)?;
        ensure!(answer.header("location") == format!("/api/v2/admin/clients/{}", registered.client_id), "{answer:?}");
        Ok(registered)
    }

    /// What the token endpoint, or one beside it, says to a form.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.send(self.ask(Method::POST, path, "").form(fields)).await
    }

    /// A token in the form of the page.
    pub(crate) async fn token(&self, client: &Registered, scope: &str) -> Result<String> {
        let body = json!({ "client_id": client.client_id, "secret": client.secret, "scope": scope });
        let answer = self.send(self.ask(Method::POST, "/api/v2/auth/token", "").json(&body)).await?.expect(200, "a token")?;
        Ok(answer.text("access_token"))
    }

    /// Uploads as the client with this token.
    pub(crate) async fn upload(&self, token: &str, path: &str, bytes: usize) -> Result<Answer> {
        let part = reqwest::multipart::Part::bytes(vec![b'x'; bytes]).file_name("file");
        let form = reqwest::multipart::Form::new().text("path", path.to_owned()).part("file", part);
        self.send(self.ask(Method::POST, "/api/v2/assets/upload", token).multipart(form)).await
    }

    /// The answers of every node to a GET.
    pub(crate) async fn everywhere(&self, path: &str, token: &str) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for node in self.cluster.nodes() {
            answers.push(self.send(self.to(node, Method::GET, path, token)).await?);
        }
        Ok(answers)
    }

    /// Every node refuses the token, and now: nothing is waited for, and no revision is presented.
    pub(crate) async fn refused_everywhere(&self, token: &str, why: &str) -> Result<()> {
        for node in self.cluster.nodes() {
            let request = self.http.get(format!("{}/api/v2/account", node.url())).bearer_auth(token);
            let answer = self.send(request).await?;
            ensure!(answer.status == 401 && answer.code() == "token_invalid", "{why}: {} lets it in: {answer:?}", node.name());
        }
        Ok(())
    }

    /// A counter of denials, over all nodes.
    pub(crate) async fn denials(&self, reason: &str) -> Result<u64> {
        let mut sum = 0;
        for node in self.cluster.nodes() {
            let text = self.http.get(format!("{}/metrics", node.url())).send().await?.text().await?;
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("ncore_denied_total{{reason=\"{reason}\"}} ")));
            sum += line.with_context(|| format!("no counter for {reason}"))?.trim().parse::<u64>()?;
        }
        Ok(sum)
    }
}

/// Somebody at an address of this machine.
pub(crate) fn from(address: Ipv4Addr) -> Result<Client> {
    Ok(Client::builder().no_proxy().local_address(IpAddr::V4(address)).timeout(Duration::from_secs(30)).build()?)
}

/// The place in the log of a revision, `lineage.index`.
fn index(revision: &str) -> u64 {
    revision.split_once('.').and_then(|(_, index)| index.parse().ok()).unwrap_or(0)
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A member of the body that is text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn code(&self) -> String {
        self.text("code")
    }

    pub(crate) fn expect(self, status: u16, what: &str) -> Result<Self> {
        ensure!(self.status == status, "{what}: {self:?}");
        Ok(self)
    }

    /// A refusal with this status and this `code`, or `error` at the endpoints of OAuth.
    pub(crate) fn refuses(self, status: u16, code: &str, what: &str) -> Result<Self> {
        let said = [self.code(), self.text("error")];
        ensure!(self.status == status && said.iter().any(|said| said == code), "{what}: {self:?}");
        Ok(self)
    }
}
