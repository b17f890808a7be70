//! An answer as it came, for tests that look at statuses, headers and bodies themselves.

use anyhow::{Result, ensure};
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// What a node said, whatever it was.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The answer to a request. It is sent once.
    ///
    /// # Errors
    /// When there is none, or it breaks off.
    pub async fn to(request: RequestBuilder) -> Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        Ok(Self { status, headers, body })
    }

    /// A header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A member of the body that is text; empty if it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// The `code` of a problem.
    #[must_use]
    pub fn code(&self) -> String {
        self.text("code")
    }

    /// The answer, if it has this status.
    ///
    /// # Errors
    /// When it has another.
    pub fn expect(self, status: u16, what: &str) -> Result<Self> {
        ensure!(self.status == status, "{what}: {self:?}");
        Ok(self)
    }

    /// The answer, if it is a refusal with this status and this `code`, or `error` at the endpoints of OAuth.
    ///
    /// # Errors
    /// When it is not.
    pub fn refuses(self, status: u16, code: &str, what: &str) -> Result<Self> {
        let said = [self.code(), self.text("error")];
        ensure!(self.status == status && said.iter().any(|said| said == code), "{what}: {self:?}");
        Ok(self)
    }
}
