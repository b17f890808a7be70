//! One request over HTTP/3: its head, its answer, and the end of its stream.

use std::{future::poll_fn, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use h3::{
    error::{Code, StreamError},
    server::{RequestResolver, RequestStream},
};
use http::{HeaderMap, Method, Response, StatusCode, header::TE};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{
    body::{Receiving, Upload, poll_data},
    quic::{self, Accepted, SendStream, StreamState},
};
use crate::{
    body::ResponseBody,
    listener::{alternative, connection::Connections, fields, resets::Resets},
    metrics::add,
    request_body::RequestBody,
    router::PeerInfo,
};

/// What the requests of a connection have in common.
#[derive(Clone)]
pub(super) struct Answerer {
    pub(super) connections: Arc<Connections>,
    pub(super) peer: PeerInfo,
    pub(super) resets: Arc<Resets>,
}

/// The sending end of a request.
type Sending = RequestStream<SendStream, Bytes>;

/// Why a stream ended early.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the stream broke")]
    Stream(#[from] StreamError),
    #[error("the head did not come")]
    HeadLate,
    #[error("the request is malformed")]
    Malformed,
    #[error("the body of the response broke off")]
    Body,
    #[error("the client takes nothing")]
    Stalled,
}

/// Whether the head of a request was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Read,
    Unread,
}

impl Answerer {
    /// Answers the request that `resolver` has.
    pub(super) async fn answer(self, resolver: RequestResolver<quic::Connection, Bytes>, accepted: Accepted) -> Head {
        let Accepted { stream, stopped } = accepted;
        let mut head = Head::Unread;
        let ended = tokio::select! {
            biased;
            ended = self.exchange(resolver, &stream, &mut head) => ended,
            // The client does not want the answer any more, or is gone.
            _ = stopped => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(remote = %self.peer.remote, error = &error as &dyn std::error::Error, "request over HTTP/3 failed");
        }
        head
    }

    async fn exchange(
        &self,
        resolver: RequestResolver<quic::Connection, Bytes>,
        state: &Arc<StreamState>,
        head: &mut Head,
    ) -> Result<(), Broken> {
        let settings = self.connections.settings();
        // What is malformed counts as well.
        let answering = self.resets.answering();
        // What is refused for its size has ended with 431, and stays ended; from here on whatever ends early is cut short.
        let mut resolving = pin!(resolver.resolve_request());
        let resolved = timeout(settings.head_deadline, resolving.as_mut()).await;
        state.answering();
        let (request, mut stream) = resolved.map_err(|_| Broken::HeadLate)??;
        *head = Head::Read;
        let Some(length) = fields::said_length(request.headers()).filter(|_| is_well_formed(request.headers())) else {
            stream.stop_sending(Code::H3_MESSAGE_ERROR);
            stream.stop_stream(Code::H3_MESSAGE_ERROR);
            return Err(Broken::Malformed);
        };
        let (mut sending, receiving) = stream.split();
        let begun = begin(request.method(), length, receiving, state);
        let (upload, after) = timeout(settings.head_deadline, begun).await.map_err(|_| Broken::HeadLate)??;
        let head_only = request.method() == Method::HEAD;
        let request = request.map(|()| RequestBody::streamed(upload, settings.stall_window));
        let response = self.connections.router().route(request, self.peer).await;
        answering.done();
        let sent = self.send(&mut sending, response, head_only).await;
        if let Err(error @ (Broken::Body | Broken::Stalled)) = &sent {
            if matches!(error, Broken::Stalled) {
                add(&self.connections.metrics().connections_stalled, 1);
            }
            sending.stop_stream(Code::H3_INTERNAL_ERROR);
        }
        // What was not read of the request is not wanted now; until here, to say so could have been taken for a refusal.
        drop(after);
        sent
    }

    async fn send(&self, stream: &mut Sending, response: Response<ResponseBody>, head_only: bool) -> Result<(), Broken> {
        let (mut head, body) = response.into_parts();
        let mut body = pin!(body);
        let bodiless = head_only || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        fields::complete(&mut head.headers, (!bodiless && !body.is_end_stream()).then(|| body.size_hint().exact()).flatten());
        // Whoever reads this knows that HTTP/3 is spoken here.
        alternative::say(&mut head.headers, None);
        let window = self.connections.settings().stall_window;
        within(window, stream.send_response(Response::from_parts(head, ()))).await?;
        while !bodiless && let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Broken::Body)?;
            match frame.into_data() {
                Ok(mut data) => {
                    while !data.is_empty() {
                        let piece = data.split_to(data.len().min(self.connections.settings().stall_bytes_min.max(PIECE_MIN)));
                        within(window, stream.send_data(piece)).await?;
                    }
                }
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else { continue };
                    within(window, stream.send_trailers(trailers)).await?;
                }
            }
        }
        // All of it is with QUIC now, and arrives as fast as the client can take it.
        within(window * ARRIVAL_WINDOWS, stream.finish()).await
    }
}

/// The body of a request, and where its stream goes afterwards. What has none says so by ending, which may come after the head.
async fn begin(
    method: &Method,
    length: Option<u64>,
    mut stream: Receiving,
    state: &Arc<StreamState>,
) -> Result<(Upload, tokio::sync::oneshot::Receiver<Receiving>), Broken> {
    let seldom = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE | Method::TRACE);
    if length == Some(0) {
        return Ok(Upload::none(stream, Arc::clone(state)));
    }
    if length.is_some() || !seldom {
        return Ok(Upload::new(stream, Arc::clone(state), None, length));
    }
    let first = poll_fn(|cx| poll_data(&mut stream, state, cx)).await.map_err(|_| Broken::Malformed)?;
    Ok(match first {
        None => Upload::none(stream, Arc::clone(state)),
        first => Upload::new(stream, Arc::clone(state), first, None),
    })
}

async fn within<T>(window: Duration, sent: impl Future<Output = Result<T, StreamError>>) -> Result<T, Broken> {
    Ok(timeout(window, sent).await.map_err(|_| Broken::Stalled)??)
}

/// RFC 9114 §4.2: fields about a connection have no place in HTTP/3, and what has them is malformed.
fn is_well_formed(headers: &HeaderMap) -> bool {
    let te_is_right = headers.get_all(TE).iter().all(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    te_is_right && fields::ABOUT_CONNECTIONS.iter().all(|name| !headers.contains_key(name))
}

/// Whatever the bound on stalls, pieces of a body are not smaller.
const PIECE_MIN: usize = 4 << 10;
/// In how many windows what QUIC holds has to arrive.
const ARRIVAL_WINDOWS: u32 = 10;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::is_well_formed;

    #[test]
    fn what_is_malformed() {
        let table: [(&[(&str, &str)], bool); 8] = [
            (&[], true),
            (&[("te", "trailers")], true),
            (&[("te", "gzip")], false),
            (&[("connection", "close")], false),
            (&[("transfer-encoding", "chunked")], false),
            (&[("upgrade", "websocket")], false),
            (&[("keep-alive", "timeout=5")], false),
            (&[("proxy-connection", "close")], false),
        ];
        for (fields, well_formed) in table {
            let request = fields.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
            let request = request.body(()).expect("a request");
            assert_eq!(is_well_formed(request.headers()), well_formed, "{fields:?}");
        }
    }
}
