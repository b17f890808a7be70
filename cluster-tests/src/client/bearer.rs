//! One access token, used as it is and never replaced, and its revocation.

use super::Api;
use crate::cluster::Node;
use crate::operator::Credentials;
use anyhow::{Context as _, Result, bail};
use reqwest::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An access token of a client. A handle: clones are the same token.
#[derive(Debug, Clone)]
pub struct Bearer {
    http: reqwest::Client,
    credentials: Arc<Credentials>,
    token: Arc<str>,
}

impl Api {
    /// A token of its own, issued at `node`.
    ///
    /// # Errors
    /// When the node does not issue it.
    pub async fn bearer(&self, node: &Node) -> Result<Bearer> {
        let api = self.clone().with_own_token();
        api.at(node).log_in().await?;
        let token = api.token.lock().clone().context("there is a token after the log-in")?;
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().context("build an HTTP client")?;
        Ok(Bearer { http, credentials: Arc::clone(&self.credentials), token: token.into() })
    }
}

impl Bearer {
    /// The token itself.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Asks a node for something that the token allows, and gives the status of the answer.
    ///
    /// # Errors
    /// When there was no answer.
    pub async fn ask(&self, node: &Node) -> Result<u16, reqwest::Error> {
        let request = self.http.get(format!("{}/api/v2/assets?limit=1", node.url())).bearer_auth(&*self.token);
        Ok(request.send().await?.status().as_u16())
    }

    /// Has the token revoked at a node, which may have to be asked again while nobody leads. Gives the level that was reached.
    ///
    /// # Errors
    /// When it is refused, or not done in time.
    pub async fn revoke(&self, node: &Node) -> Result<String> {
        let end = Instant::now() + REVOCATION;
        loop {
            let request = self.http.post(format!("{}/api/v2/auth/revoke", node.url()));
            let request = request.basic_auth(&self.credentials.client_id, Some(&self.credentials.secret));
            let answer = request.form(&[("token", &*self.token), ("token_type_hint", "access_token")]).send().await?;
            match answer.status() {
                StatusCode::OK => {
                    let level = answer.headers().get("x-ncore-ack").context("the answer does not say how far it got")?;
                    return Ok(level.to_str()?.to_owned());
                }
                StatusCode::SERVICE_UNAVAILABLE if Instant::now() < end => tokio::time::sleep(RETRY).await,
                status => bail!("{status}: {}", answer.text().await.unwrap_or_default()),
            }
        }
    }
}

/// How long an answer is waited for: longer than a node is stopped for.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a revocation may take, all tries together.
const REVOCATION: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(50);
