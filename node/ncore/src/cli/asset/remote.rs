//! A small client of API v2.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::Api;

/// How long a connection may take to be made, and how long a response may be silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(60);

/// A node's API, with a token if there is a client.
pub(super) struct Remote {
    base: String,
    client: Client,
    token: Option<String>,
}

impl Remote {
    /// Without a token: for public assets.
    pub(super) fn anonymous(api: &Api) -> Result<Self> {
        let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(SILENCE).build()?;
        Ok(Self { base: api.url.trim_end_matches('/').to_owned(), client, token: None })
    }

    /// Obtains a token.
    pub(super) async fn connect(api: &Api) -> Result<Self> {
        let remote = Self::anonymous(api)?;
        let (Some(id), Some(secret)) = (&api.client_id, &api.client_secret) else {
            bail!("as whom? set NCORE_CLIENT_ID and NCORE_CLIENT_SECRET (`ncore client add` makes them)");
        };
        let request = remote.client.post(format!("{}/api/v2/auth/token", remote.base)).json(&json!({ "client_id": id, "secret": secret }));
        let reply = remote.checked(request).await?.json::<Value>().await?;
        let token = reply["access_token"].as_str().ok_or_else(|| anyhow!("the node gave no token"))?.to_owned();
        Ok(Self { token: Some(token), ..remote })
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.authorised(self.client.post(format!("{}{path}", self.base)))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.fetch(path).await?.json().await?)
    }

    pub(super) async fn fetch(&self, path: &str) -> Result<Response> {
        self.checked(self.authorised(self.client.get(format!("{}{path}", self.base)))).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        self.checked(self.authorised(self.client.delete(format!("{}{path}", self.base)))).await.map(drop)
    }

    /// Every asset with this prefix, page by page.
    pub(super) async fn list(&self, prefix: &str, mime: Option<&str>) -> Result<Vec<Value>> {
        let mut assets = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("prefix", prefix.to_owned()), ("limit", "1000".to_owned())];
            query.extend(mime.map(|mime| ("mime", mime.to_owned())));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let request = self.client.get(format!("{}/api/v2/assets", self.base)).query(&query);
            let mut page = self.checked(self.authorised(request)).await?.json::<Value>().await?;
            if let Some(Value::Array(page)) = page.get_mut("assets").map(Value::take) {
                assets.extend(page);
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(assets),
            }
        }
    }

    /// The id of an asset that a person names by id or by path.
    pub(super) async fn id_of(&self, asset: &str) -> Result<String> {
        if asset.starts_with("as_") {
            return Ok(asset.to_owned());
        }
        let found = self.list(asset, None).await?.into_iter().find(|found| found["path"] == asset);
        let id = found.and_then(|found| found["id"].as_str().map(str::to_owned));
        id.with_context(|| format!("there is no asset at {asset}"))
    }

    pub(super) async fn checked(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.with_context(|| format!("no answer from {}", self.base))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(refusal(status, &response.text().await.unwrap_or_default()))
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// What the node said, with its request id.
fn refusal(status: StatusCode, body: &str) -> anyhow::Error {
    let problem: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let said = ["detail", "error_description", "title"].iter().find_map(|field| problem[*field].as_str());
    let request = problem["request_id"].as_str().map(|id| format!(" (request {id})")).unwrap_or_default();
    anyhow!("{status}: {}{request}", said.unwrap_or("the node gave no reason"))
}
