//! One request to one origin, over one connection, until the head of the response is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::body::{Lease, OriginBody};
use crate::classify::{Circumstances, head_error};
use crate::error::{ErrorKind, OriginError};
use crate::fields::strip_hop_by_hop;
use crate::figures::add;
use crate::frames::MOST_INFORMATIONAL;
use crate::gate::{Load, Turn};
use crate::head::{check_asked, check_head, check_no_switch};
use crate::link::{Single, Stream};
use crate::origin::{Origin, Ticket};
use crate::pool::{Held, Wanted};
use crate::request::{Outgoing, Progress, Purpose, SentBody, Step};
use crate::tunnel::{Switched, switch};

/// How an origin answers.
pub(crate) enum Answer {
    /// With a response.
    Response(Response<OriginBody>),
    /// By changing the protocol, as was asked.
    Switched(Switched),
}

/// How a response came about, in its extensions.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The origin that gave it, as host and port.
    pub origin: Arc<str>,
    /// Whether the connection had been used before.
    pub reused: bool,
    /// How often the request had been sent before.
    pub retries: u32,
}

/// Sends a request to an origin, waiting for a turn and a connection until then. What becomes of it is known to the origin's health
/// afterwards, and counted.
pub(crate) async fn exchange(
    origin: &Arc<Origin>,
    outgoing: &mut Outgoing,
    wanted: Wanted,
    mut ticket: Ticket,
    until: Instant,
) -> Result<Answer, OriginError> {
    let fail = |mut ticket: Ticket, error: OriginError| {
        ticket.failed(error.kind());
        origin.figures().count_error(error.kind());
        Err(error.at(origin.name()))
    };
    let (response, held, turn, reused) = match attempt(origin, outgoing, wanted, until).await {
        Ok(answer) => answer,
        Err(error) => return fail(ticket, error),
    };
    ticket.answered(response.status());
    let lease = Lease { held, turn, ticket };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match switch(response, &outgoing.purpose, lease).await {
            Ok(switched) => {
                add(&origin.figures().upgrades);
                Ok(Answer::Switched(switched))
            }
            Err(error) => fail(Ticket::silent(origin), error),
        };
    }
    let (mut head, incoming) = response.into_parts();
    head.extensions.insert(Answered { origin: Arc::clone(origin.name()), reused, retries: 0 });
    let body = OriginBody::new(incoming, lease, Arc::clone(origin), origin.timeouts().idle);
    Ok(Answer::Response(Response::from_parts(head, body)))
}

async fn attempt(
    origin: &Arc<Origin>,
    outgoing: &mut Outgoing,
    wanted: Wanted,
    until: Instant,
) -> Result<(Response<Incoming>, Held, Turn, bool), OriginError> {
    let load = match (outgoing.has_content(), origin.pool().is_shared()) {
        (false, _) => Load::Bare,
        (true, true) => Load::Content,
        (true, false) => Load::ContentAlone,
    };
    let turn = origin.gate().enter(load, until).await?;
    let mut held = origin.pool().take(wanted, until).await?;
    let (response, reused) = match &mut held {
        Held::Single(single) => (over_http1(origin, outgoing, single).await?, single.used),
        Held::Stream(stream) => {
            let used = stream.is_used();
            let response = over_http2(origin, outgoing, stream).await?;
            stream.mark_used();
            (response, used)
        }
    };
    if reused {
        add(&origin.figures().reused);
    }
    let (mut head, body) = response.into_parts();
    if matches!(outgoing.purpose, Purpose::Exchange) {
        check_no_switch(head.status)?;
    }
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        check_asked(head.status, outgoing)?;
        check_head(&mut head)?;
    }
    Ok((Response::from_parts(head, body), held, turn, reused))
}

async fn over_http1(origin: &Origin, outgoing: &mut Outgoing, single: &mut Single) -> Result<Response<Incoming>, OriginError> {
    let (mut request, progress) = outgoing.for_http1(origin.host(outgoing.host()));
    let flood = watch_informational(&mut request, outgoing, origin);
    let before = single.traffic.read();
    let sent = single.sender.try_send_request(request);
    let waited = await_head(sent, &progress, &flood, origin).await;
    let circumstances = Circumstances { used: single.used, answered: single.traffic.read() != before, breach: None };
    judge(waited, outgoing, &progress, circumstances)
}

async fn over_http2(origin: &Origin, outgoing: &mut Outgoing, stream: &Stream) -> Result<Response<Incoming>, OriginError> {
    let host = origin.host(outgoing.host());
    let (request, progress) = outgoing.for_http2(&host, origin.scheme())?;
    let mut sender = stream.sender();
    let sent = sender.try_send_request(request);
    let waited = await_head(sent, &progress, &Notify::new(), origin).await;
    // The head of a response comes whole here: an error in its place means that none of it came.
    let circumstances = Circumstances { used: stream.is_used(), answered: false, breach: stream.breach() };
    judge(waited, outgoing, &progress, circumstances)
}

type Sent = Result<Response<Incoming>, TrySendError<Request<SentBody>>>;

/// Waits for the head of a response. Time counts from when the request last came forward.
async fn await_head(sent: impl Future<Output = Sent>, progress: &Progress, flood: &Notify, origin: &Origin) -> Result<Sent, ErrorKind> {
    tokio::pin!(sent);
    loop {
        let deadline = progress.at() + origin.timeouts().head;
        tokio::select! {
            biased;
            answer = &mut sent => return Ok(answer),
            () = flood.notified() => return Err(ErrorKind::TooManyInformational),
            () = sleep_until(deadline) => {
                if progress.at() + origin.timeouts().head <= Instant::now() {
                    return Err(if progress.step() == Step::Waiting { ErrorKind::RequestStalled } else { ErrorKind::HeadTimeout });
                }
            }
        }
    }
}

fn judge(
    waited: Result<Sent, ErrorKind>,
    outgoing: &mut Outgoing,
    progress: &Progress,
    circumstances: Circumstances,
) -> Result<Response<Incoming>, OriginError> {
    let mut failed = match waited {
        Ok(Ok(response)) => return Ok(response),
        Ok(Err(failed)) => failed,
        Err(kind) => return Err(OriginError::new(kind)),
    };
    if let Some(request) = failed.take_message() {
        outgoing.give_back(request);
        return Err(OriginError::because(ErrorKind::Unprocessed, failed.into_error()));
    }
    let error = failed.into_error();
    let kind = if progress.step() == Step::Failed { ErrorKind::RequestBody } else { head_error(&error, circumstances) };
    Err(OriginError::because(kind, error))
}

/// Has informational responses counted, and told to the caller. What is returned is notified when there are too many.
fn watch_informational(request: &mut Request<SentBody>, outgoing: &Outgoing, origin: &Origin) -> Arc<Notify> {
    let flood = Arc::new(Notify::new());
    let (count, flooded) = (AtomicUsize::new(0), Arc::clone(&flood));
    let (caller, figures) = (outgoing.informational().cloned(), origin.shared_figures());
    hyper::ext::on_informational(request, move |response| {
        add(&figures.informational);
        if count.fetch_add(1, Ordering::Relaxed) >= MOST_INFORMATIONAL {
            flooded.notify_one();
            return;
        }
        if let Some(caller) = &caller {
            let mut headers: HeaderMap = response.headers().clone();
            strip_hop_by_hop(&mut headers);
            (caller.0)(response.status(), &headers);
        }
    });
    flood
}
