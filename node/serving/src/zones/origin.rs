//! The way to origins: the client of `ncore-origin`, with bodies as this crate has them.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use ncore_origin::{OriginError, OriginSet, Origins, RequestBody};

use crate::BoxError;

/// A body on its way to an origin, or from one.
pub(crate) type OriginBody = UnsyncBoxBody<Bytes, BoxError>;

/// Sends a request to an origin of a set, and waits for the head of its response.
pub(crate) async fn send(
    origins: &Origins,
    set: &Arc<OriginSet>,
    request: Request<OriginBody>,
) -> Result<Response<OriginBody>, OriginError> {
    let response = origins.send(set, request.map(RequestBody::new)).await?;
    Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
}

/// A set of an origin that nobody asks.
#[cfg(test)]
pub(crate) fn nowhere() -> Arc<OriginSet> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let origins = Origins::new(ncore_origin::OriginsSettings::of_system());
    let url = "http://127.0.0.1:1".parse().expect("an address");
    origins.set(&ncore_origin::SetSettings::of(url)).expect("sensible settings")
}
