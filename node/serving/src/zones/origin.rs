//! The way to origins.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header::HOST, uri::Authority};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::BoxError;

/// A body on its way to an origin, or from one.
pub type OriginBody = UnsyncBoxBody<Bytes, BoxError>;

/// The origins of one zone.
#[derive(Debug)]
pub struct OriginSet {
    authority: Authority,
}

/// An address that no origin can have.
#[derive(Debug, thiserror::Error)]
#[error("not the address of an origin")]
pub struct BadOrigin;

impl OriginSet {
    /// One origin over plain HTTP.
    ///
    /// # Errors
    /// [`BadOrigin`].
    pub fn plain(url: &str) -> Result<Self, BadOrigin> {
        let url: Uri = url.parse().map_err(|_| BadOrigin)?;
        let authority = url.authority().cloned().ok_or(BadOrigin)?;
        Ok(Self { authority })
    }
}

/// Why an origin has not answered.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// It cannot be reached, or broke off.
    #[error("the origin cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// It took too long.
    #[error("the origin did not answer in time")]
    Late,
}

impl OriginError {
    /// What it is to the viewer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) => StatusCode::BAD_GATEWAY,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Connections to origins.
#[derive(Debug, Clone)]
pub struct Origins(Client<HttpConnector, OriginBody>);

impl Origins {
    /// Without a connection.
    #[must_use]
    pub fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(4)).build_http())
    }

    /// Sends a request, and waits for the head of its response.
    ///
    /// # Errors
    /// [`OriginError`].
    pub async fn send(&self, set: &Arc<OriginSet>, mut request: Request<OriginBody>) -> Result<Response<OriginBody>, OriginError> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(set.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        if let Ok(host) = set.authority.as_str().parse() {
            request.headers_mut().insert(HOST, host);
        }
        match tokio::time::timeout(Duration::from_secs(30), self.0.request(request)).await {
            Ok(Ok(response)) => Ok(response.map(|body| body.map_err(Into::into).boxed_unsync())),
            Ok(Err(error)) => Err(OriginError::Unreachable(error)),
            Err(_) => Err(OriginError::Late),
        }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self::new()
    }
}
