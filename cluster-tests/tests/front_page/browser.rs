//! As much of a browser as signing in takes: forms, one cookie, and a stream.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cluster_tests::Node;
use reqwest::{
    Client, RequestBuilder, Response,
    header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE},
    redirect::Policy,
};
use serde_json::Value;

/// A browser that looks at one node.
pub(crate) struct Browser {
    http: Client,
    node: Node,
    /// The session, as the cookie has it.
    pub(crate) cookie: Option<String>,
}

impl Browser {
    /// One that has not signed in.
    pub(crate) fn at(node: &Node) -> Result<Self> {
        Self::showing(node, None)
    }

    /// One that has this cookie.
    pub(crate) fn showing(node: &Node, cookie: Option<String>) -> Result<Self> {
        let http = Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(20)).build()?;
        Ok(Self { http, node: node.clone(), cookie })
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.with_cookie(self.http.get(format!("{}{path}", self.node.url())))
    }

    /// A form as a page of this node sends it.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        self.form_from(&self.node.url(), path, fields)
    }

    /// A form as a page of `origin` sends it.
    pub(crate) fn form_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        self.with_cookie(self.http.post(format!("{}{path}", self.node.url())).header(ORIGIN, origin).form(fields))
    }

    /// Signs in, as an administrator does.
    pub(crate) async fn sign_in(&mut self, token: &str) -> Result<()> {
        let answer = self.form("/cluster/sign-in", &[("token", token)]).send().await?;
        ensure!(answer.status() == 303 && leads_to(&answer) == Some("/cluster"), "signing in: {answer:?}");
        let cookie = answer.headers().get(SET_COOKIE).context("a cookie")?.to_str()?;
        for wanted in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age="] {
            ensure!(cookie.contains(wanted), "{wanted} in {cookie}");
        }
        ensure!(!cookie.contains(token), "the cookie has the token");
        self.cookie = cookie.split(';').next().map(str::to_owned);
        Ok(())
    }

    /// The page of the cluster.
    pub(crate) async fn page(&self) -> Result<String> {
        let answer = self.get("/cluster").send().await?;
        ensure!(answer.status() == 200, "the page: {}", answer.status());
        Ok(answer.text().await?)
    }

    /// Whether the node knows this browser.
    pub(crate) async fn is_signed_in(&self) -> Result<bool> {
        let answer = self.get("/cluster").send().await?;
        let is_out = answer.status() == 303 && leads_to(&answer) == Some("/cluster/sign-in");
        ensure!(is_out || answer.status() == 200, "{}", answer.status());
        Ok(!is_out)
    }

    /// The stream of the cluster.
    pub(crate) async fn stream(&self) -> Result<Stream> {
        let page = self.page().await?;
        let response = self.get("/cluster/live").header("x-ncore-page", key_of(&page)?).timeout(Duration::from_secs(300)).send().await?;
        ensure!(response.status() == 200, "the stream: {}", response.status());
        Ok(Stream { response, rest: String::new() })
    }

    fn with_cookie(&self, request: RequestBuilder) -> RequestBuilder {
        self.cookie.iter().fold(request, |request, cookie| request.header(COOKIE, cookie))
    }
}

/// The key that stands in a page.
pub(crate) fn key_of(page: &str) -> Result<&str> {
    page.split("data-key=\"").nth(1).and_then(|rest| rest.split('"').next()).context("the page has a key")
}

pub(crate) fn leads_to(answer: &Response) -> Option<&str> {
    answer.headers().get(LOCATION)?.to_str().ok()
}

/// A stream of events.
pub(crate) struct Stream {
    response: Response,
    rest: String,
}

impl Stream {
    /// The next message; `None` when the stream has ended, or says that it does.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some((message, rest)) = self.rest.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.rest = rest;
                if message.starts_with("event: ended") {
                    return Ok(None);
                }
                let data = message.lines().find_map(|line| line.strip_prefix("data: "));
                return data.map(serde_json::from_str).transpose().context("a message");
            }
            let Some(chunk) = self.response.chunk().await? else { return Ok(None) };
            self.rest.push_str(std::str::from_utf8(&chunk)?);
        }
    }

    /// The messages until there is one that is as wanted.
    pub(crate) async fn until(&mut self, within: Duration, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let looked = tokio::time::timeout(within, async {
            while let Some(message) = self.next().await? {
                if wanted(&message) {
                    return Ok(Some(message));
                }
                last = message;
            }
            anyhow::Ok(None)
        });
        let found = looked.await.ok().transpose()?.flatten();
        found.with_context(|| format!("the stream never said that {what}; the last it said is {last}"))
    }
}
