//! The router: which plane a request belongs to, and what is true of every response.
//!
//! Every response carries `X-Request-Id` and `Server`. A request for an asset runs in a span with its id; the APIs open their own,
//! which says more. A handler that panics is a 500, and the connection goes on.

use std::{net::SocketAddr, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Instant};

use futures_util::{FutureExt, future::BoxFuture};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{HOST, SERVER},
};
use ncore_telemetry::{AccessLog, Client};
use tracing::{Instrument, Span};

use crate::{
    access::Pending,
    body::{ApiBody, ResponseBody},
    metrics::{Outcome, ServingMetrics},
    place::{self, Place},
    problem::{self, About},
    request_body::RequestBody,
    request_id::{RequestId, X_REQUEST_ID},
    serve::{AssetRequest, AssetServer, Readers},
    zones::{Zone, ZoneServer},
};

/// A request as it comes to an [`ApiService`]. Its [`RequestId`] is in its extensions.
pub type ApiRequest = Request<RequestBody>;

/// What an [`ApiService`] answers.
pub type ApiResponse = Response<ApiBody>;

/// Whatever answers requests that are not for assets: the APIs and the console.
pub trait ApiService: Send + Sync {
    /// Answers one request. `X-Request-Id` and `Server` are set on the answer afterwards.
    fn call(&self, request: ApiRequest, peer: PeerInfo) -> BoxFuture<'static, ApiResponse>;
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its address.
    pub remote: SocketAddr,
    /// Whether the connection is TLS.
    pub secure: bool,
}

/// Sends requests to the plane that they belong to.
pub struct Router {
    assets: AssetServer,
    api: Arc<dyn ApiService>,
    zones: Option<ZoneServer>,
    log: Option<Arc<AccessLog>>,
}

impl Router {
    /// A router over both planes. It counts where `assets` does.
    #[must_use]
    pub fn new(assets: AssetServer, api: Arc<dyn ApiService>) -> Self {
        Self { assets, api, zones: None, log: None }
    }

    /// The router, with requests for the hosts of zones answered by `zones`.
    #[must_use]
    pub fn serving(self, zones: ZoneServer) -> Self {
        Self { zones: Some(zones), ..self }
    }

    /// The router, with every request that it answers recorded.
    #[must_use]
    pub fn recording(self, log: Arc<AccessLog>) -> Self {
        Self { log: Some(log), ..self }
    }

    pub(crate) fn metrics(&self) -> &Arc<ServingMetrics> {
        self.assets.metrics()
    }

    /// Answers one request.
    pub(crate) async fn route(&self, request: ApiRequest, peer: PeerInfo) -> Response<ResponseBody> {
        let started = Instant::now();
        let request_id = RequestId::of(request.headers());
        let method = request.method().clone();
        let head_only = method == Method::HEAD;
        let span = span(&request, &request_id);
        let mut record = self.log.as_ref().map(|log| Pending::begin(log, &request, peer, &request_id, started));

        let answer = {
            // It is large, and stays where it is: what is put around it would each time be another copy of it.
            let answer = pin!(self.dispatch(request, peer, &request_id, &mut record));
            AssertUnwindSafe(answer).catch_unwind().instrument(span.clone()).await
        };
        let mut response = answer.unwrap_or_else(|_| {
            self.metrics().record(Outcome::Panicked);
            let about = About { instance: None, request_id: &request_id, head_only };
            let (status, detail) = (StatusCode::INTERNAL_SERVER_ERROR, "a defect of this node");
            problem::respond(status, Outcome::Panicked, detail, about)
        });

        let took = started.elapsed();
        self.metrics().answered(&method, response.status(), took);
        tracing::debug!(
            parent: &span,
            %request_id,
            status = response.status().as_u16(),
            duration_us = took.as_micros(),
            "head answered"
        );
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, request_id.into_header());
        // The origin of a zone may have said what it is.
        headers.entry(SERVER).or_insert(const { HeaderValue::from_static("ncore") });
        let Some(mut record) = record else { return response };
        record.answered(response.status().as_u16(), response.headers(), took);
        response.body_mut().keep(record);
        response
    }

    async fn dispatch(
        &self,
        mut request: ApiRequest,
        peer: PeerInfo,
        request_id: &RequestId,
        record: &mut Option<Pending>,
    ) -> Response<ResponseBody> {
        if !names_one_host(&request) {
            return self.refuse_host(&request, request_id);
        }
        settle_host(&mut request);
        if let Some((zones, zone)) = self.zone(&request) {
            if let Some(record) = record {
                record.asset(Some(Arc::clone(&zone.client)), false);
            }
            return zones.serve(&zone, request, peer, request_id, record.as_mut()).await;
        }
        let path = request.uri().path();
        let host_owner = place::host(&request).and_then(|host| self.assets.host_owner(host));
        if let Place::Asset { path: asset, owner } = Place::of(path, host_owner) {
            let (query, remote) = (request.uri().query(), peer.remote.ip());
            let (method, headers, host) = (request.method(), request.headers(), place::authority(&request));
            let request = AssetRequest { method, headers, path, query, asset, host_owner: owner, host, remote, request_id };
            let (response, entry) = self.assets.serve(&request).await;
            if let Some(record) = record {
                let restricted = entry.as_ref().is_some_and(|entry| entry.facts().readers == Readers::Admitted);
                record.asset(entry.map(|entry| Arc::clone(entry.owner())).or(request.host_owner), restricted);
            }
            return response;
        }
        request.extensions_mut().insert(request_id.clone());
        let response = self.api.call(request, peer).await;
        if let (Some(record), Some(Client(client))) = (record, response.extensions().get::<Client>()) {
            record.client(Arc::clone(client));
        }
        self.metrics().record(Outcome::Api);
        response.map(ResponseBody::api)
    }

    /// The zone that a request is for: its host is nobody else's, and the whole of it is the zone's.
    fn zone(&self, request: &ApiRequest) -> Option<(&ZoneServer, Arc<Zone>)> {
        let zones = self.zones.as_ref()?;
        Some((zones, zones.zone(place::host(request)?)?))
    }

    fn refuse_host(&self, request: &ApiRequest, request_id: &RequestId) -> Response<ResponseBody> {
        self.metrics().record(Outcome::BadHost);
        let about = About { instance: Some(request.uri().path()), request_id, head_only: request.method() == Method::HEAD };
        let detail = "a request names exactly one host, and no user";
        problem::respond(StatusCode::BAD_REQUEST, Outcome::BadHost, detail, about)
    }
}

/// RFC 9112 §3.2: a server must answer 400 to an HTTP/1.1 request with no `Host`, or with more than one. From HTTP/2 on there may be one beside
/// `:authority`, which is to say the same (RFC 9113 §8.3.1). User information has no place in either (RFC 9110 §4.2.4): who is behind might
/// take it for the host.
fn names_one_host(request: &ApiRequest) -> bool {
    let mut hosts = request.headers().get_all(HOST).into_iter();
    let (host, second) = (hosts.next().map(HeaderValue::as_bytes), hosts.next());
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let is_there = host.is_some() || request.version() != Version::HTTP_11;
    let is_same = match (host, authority) {
        (Some(host), Some(authority)) if request.version() >= Version::HTTP_2 => host.eq_ignore_ascii_case(authority),
        _ => true,
    };
    is_there && is_same && second.is_none() && ![host, authority].into_iter().flatten().any(|named| named.contains(&b'@'))
}

/// The host in the target of a request counts, whatever `Host` says beside it (RFC 9112 §3.2.2).
fn settle_host(request: &mut ApiRequest) {
    let Some(authority) = request.uri().authority().filter(|_| request.headers().contains_key(HOST)) else { return };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(HOST, host);
    }
}

/// Requests for assets are many and alike: their spans exist only where somebody debugs.
fn span(request: &ApiRequest, request_id: &RequestId) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    if Place::of(path, None) != Place::Other { tracing::debug_span!("asset_request", %method, path, %request_id) } else { Span::none() }
}
