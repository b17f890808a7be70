//! Is the node alive, is it ready, and its figures: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header};
use ncore_control::{Control, ControlPlane};
use ncore_freshness::FreshState;
use ncore_model::Query;
use ncore_telemetry::Metrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) struct Health {
    control: Arc<Control>,
    figures: Metrics,
    leaving: CancellationToken,
}

impl Health {
    /// From when `leaving` is cancelled on, the node is not ready.
    pub(super) fn new(control: Arc<Control>, figures: Metrics, leaving: CancellationToken) -> Self {
        Self { control, figures, leaving }
    }

    /// The answer, if the path is one of ours.
    pub(super) fn answer(&self, path: &str) -> Option<Response<String>> {
        match path {
            "/healthz" => Some(response(StatusCode::OK, JSON, json!({ "status": "alive" }).to_string())),
            "/readyz" => Some(self.ready()),
            "/metrics" => Some(match self.figures.render() {
                Ok(text) => response(StatusCode::OK, OPENMETRICS, text),
                Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, JSON, String::new()),
            }),
            _ => None,
        }
    }

    /// Ready: the state is there, a leader is known whose commits it follows, and it is not about to stop.
    fn ready(&self) -> Response<String> {
        // Before the revision: what it is then is at least that new.
        let fresh = self.control.fresh_state();
        let fence = match &fresh {
            FreshState::Fresh { .. } => None,
            FreshState::Fenced(fence) => Some(fence.reason.as_str()),
        };
        let staleness_ms = self.control.staleness().map(|staleness| u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX));
        let status = self.control.status();
        let initialised = self.control.replica().cluster().is_ok_and(|cluster| cluster.is_some());
        let revision = self.control.replica().revision();
        let applied = status.committed.is_none_or(|committed| revision.index >= committed);
        let reason = match (initialised, status.leader, applied) {
            (false, _, _) => Some("the state of the cluster has not arrived"),
            (true, None, _) => Some("no leader is known"),
            (true, Some(_), false) => Some("committed changes are still being applied"),
            (true, Some(_), true) if self.leaving.is_cancelled() => Some("the node is about to stop"),
            (true, Some(_), true) => None,
        };
        let body = json!({
            "ready": reason.is_none(), "reason": reason, "revision": revision.to_string(), "role": status.role.as_str(),
            "parent": status.parent.map(|parent| parent.node.0), "freshness": fresh.as_str(), "fence_reason": fence,
            "staleness_ms": staleness_ms,
        })
        .to_string();
        response(reason.map_or(StatusCode::OK, |_| StatusCode::SERVICE_UNAVAILABLE), JSON, body)
    }
}

fn response(status: StatusCode, media_type: HeaderValue, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
