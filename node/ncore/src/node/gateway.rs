//! Everything that is not an asset: the node's own pages, then the APIs. It joins the listener, which knows no API, and the APIs,
//! which know no listener.

use std::sync::Arc;

use axum::{body::Body, extract::ConnectInfo};
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use ncore_serving::{ApiRequest, ApiResponse, ApiService, PeerInfo, RequestId};
use tower::ServiceExt;

use super::health::Health;

pub(super) struct Gateway {
    health: Arc<Health>,
    api: axum::Router,
}

impl Gateway {
    pub(super) fn new(health: Arc<Health>, api: axum::Router) -> Self {
        Self { health, api }
    }
}

impl ApiService for Gateway {
    fn call(&self, request: ApiRequest, peer: PeerInfo) -> BoxFuture<'static, ApiResponse> {
        if let Some(response) = self.health.answer(request.uri().path()) {
            let response = only_read(request.method(), response);
            return Box::pin(async move { response.map(|body| Body::from(body).map_err(Into::into).boxed_unsync()) });
        }
        let api = self.api.clone();
        Box::pin(async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer.remote));
            if let Some(id) = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned()) {
                request.extensions_mut().insert(ncore_api::RequestId::from(id));
            }
            let response = match api.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    }
}

fn only_read(method: &Method, response: Response<String>) -> Response<String> {
    if method == Method::GET || method == Method::HEAD {
        return response;
    }
    let mut refused = Response::new(String::new());
    *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    refused
}
