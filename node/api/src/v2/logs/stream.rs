//! `GET /api/v2/logs/stream`: what is recorded from now on, at every node, as server-sent events.
//!
//! A record is an event `log`, its data the same object as in a page. A node that does not answer is an event `node`, and so is one that
//! answers again. A viewer that is too slow gets an event `overtaken` with the number of records of a node that it missed, and the stream
//! ends. So it does when the credentials are not good any more: they are checked again
//! before each event, so that whoever was revoked sees nothing that came later.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderValue, Method,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use ncore_domain::{Domain, Follower, Logs, News, Viewer};
use ncore_telemetry::AccessLine;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{LogQuery, is_still, viewer};
use crate::{
    front::Shared,
    problem::{Kind, Problem},
};

/// What a viewer is told first: after how many milliseconds to come back when the stream ends.
const FIRST: &[u8] = b"retry: 3000\n\n";
/// A sign of life, and how often there is one.
const SIGN: &[u8] = b": still here\n\n";
const SIGN_EVERY: Duration = Duration::from_secs(10);

/// `GET /api/v2/logs/stream?status=&prefix=`
pub(in crate::v2) async fn follow(
    State(domain): Shared,
    Extension(logs): Extension<Arc<Logs>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let viewer = viewer(&domain, &head).await?;
    let wanted = LogQuery::parse(&head.uri)?;
    let body = if head.method == Method::HEAD {
        Body::empty()
    } else {
        let full = || Problem::new(Kind::Busy, "as many follow the log as may");
        let follower = logs.follow(&viewer, wanted.query).ok_or_else(full)?;
        let visit = Visit { domain, head, viewer, follower, ended: false };
        let first = stream::iter([Ok(Bytes::from_static(FIRST))]);
        Body::from_stream(stream::StreamExt::chain(first, stream::unfold(visit, Visit::next)))
    };
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("text/event-stream")), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((headers, body).into_response())
}

/// Somebody who follows, and what it was let in with.
struct Visit {
    domain: Arc<Domain>,
    head: Parts,
    viewer: Viewer,
    follower: Follower,
    ended: bool,
}

impl Visit {
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        if self.ended {
            return None;
        }
        let text = match timeout(SIGN_EVERY, self.follower.next()).await {
            Err(_) => Bytes::from_static(SIGN),
            Ok(None) => return None,
            Ok(Some(News::Overtaken { node, missed })) => {
                self.ended = true;
                event("overtaken", &json!({ "missed": missed, "node": node.name }))
            }
            Ok(Some(News::NotHeard(node))) => event("node", &json!({ "node": node.name, "heard": false })),
            Ok(Some(News::Heard(node))) => event("node", &json!({ "node": node.name, "heard": true })),
            Ok(Some(News::Records { node, records })) => {
                let mut text = String::new();
                for record in records {
                    let line = AccessLine::new(&record, &node.name);
                    let json = serde_json::to_string(&line).unwrap_or_default();
                    text.push_str(&format!("event: log\ndata: {json}\n\n"));
                }
                Bytes::from(text)
            }
        };
        is_still(&self.viewer, &self.domain, &self.head).await.then_some((Ok(text), self))
    }
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
