//! The body of an upload.

use bytes::Bytes;
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};

/// What to upload, where to, and under which key. It can be sent any number of times, to any node.
#[derive(Debug, Clone)]
pub struct Upload {
    path: String,
    content: Bytes,
    key: Option<String>,
    cache_ttl: Option<u64>,
}

impl Upload {
    /// Content for a path.
    #[must_use]
    pub fn new(path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Self { path: path.into(), content: content.into(), key: None, cache_ttl: None }
    }

    /// Sends this `Idempotency-Key`.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sends this `cache_ttl`, in seconds.
    #[must_use]
    pub const fn cache_ttl(mut self, seconds: u64) -> Self {
        self.cache_ttl = Some(seconds);
        self
    }

    /// Where it goes.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What goes there.
    #[must_use]
    pub const fn content(&self) -> &Bytes {
        &self.content
    }

    /// Makes a request carry the upload.
    pub(super) fn fill(&self, request: RequestBuilder) -> RequestBuilder {
        let file = Part::stream_with_length(self.content.clone(), self.content.len() as u64).file_name("content");
        let mut form = Form::new().text("path", self.path.clone());
        if let Some(seconds) = self.cache_ttl {
            form = form.text("cache_ttl", seconds.to_string());
        }
        let request = request.multipart(form.part("file", file));
        match &self.key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        }
    }
}
