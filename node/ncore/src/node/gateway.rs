//! Everything that is not an asset: the node's own figures, its console, then the APIs. It joins the listener, which knows no API, and the APIs,
//! which know no listener.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use ncore_api::Api;
use ncore_console::{CameFrom, Console};
use ncore_serving::{ApiRequest, ApiResponse, ApiService, PeerInfo, RequestId};

use super::health::Health;

pub(super) struct Gateway {
    health: Arc<Health>,
    console: Arc<Console>,
    api: Api,
}

impl Gateway {
    pub(super) fn new(health: Arc<Health>, console: Arc<Console>, api: Api) -> Self {
        Self { health, console, api }
    }
}

impl ApiService for Gateway {
    fn call(&self, request: ApiRequest, peer: PeerInfo) -> BoxFuture<'static, ApiResponse> {
        if let Some(response) = self.health.answer(request.uri().path()) {
            let response = only_read(request.method(), response);
            return Box::pin(async move { response.map(|body| Full::from(body).map_err(|never| match never {}).boxed_unsync()) });
        }
        if self.console.has(request.uri().path()) {
            return self.console.answer(request, CameFrom { address: peer.remote.ip(), secure: peer.secure });
        }
        let api = self.api.clone();
        let id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned()).unwrap_or_default();
        Box::pin(async move { api.call(request, &id, peer.remote.ip()).await })
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
