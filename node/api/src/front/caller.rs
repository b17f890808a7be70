//! Whose request it is, as far as that is found out while it is answered; and its count.

use std::{
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use http::Method;
use http_body::Body as _;
use http_body_util::BodyExt;
use ncore_model::ClientId;
use ncore_telemetry::{Client, Tally, Usage};

/// In the extensions of a request: where who authenticates it says whose it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(Arc<OnceLock<ClientId>>);

impl Caller {
    /// It is this client's, whose token was found good.
    pub(crate) fn is(&self, client: &ClientId) {
        // Whoever said so first had the same token before him.
        let _ = self.0.set(client.clone());
    }
}

/// Counts the request for the client that makes it. One without a good token counts for nobody.
pub(super) async fn counted(State(usage): State<Arc<Usage>>, mut request: Request, next: Next) -> Response {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let is_head = request.method() == Method::HEAD;
    let caller = Caller::default();
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    let Some(client) = caller.0.get() else { return response };
    let tally = usage.meter(client.as_str()).tally(now_s);
    tally.answered(response.status().as_u16());
    // For the record of the request in the access log, which whoever took the request keeps.
    response.extensions_mut().insert(Client(client.as_str().into()));
    if is_head { response } else { response.map(|body| sent(body, tally)) }
}

/// Counts the bytes of a body: at once if their number is known, and else as they go.
fn sent(body: Body, client: Tally) -> Body {
    if let Some(bytes) = body.size_hint().exact() {
        client.sent(bytes);
        return body;
    }
    Body::new(body.map_frame(move |frame| {
        client.sent(frame.data_ref().map_or(0, Bytes::len) as u64);
        frame
    }))
}
