//! Answers other nodes. Who may call is checked by the layer that checks the certificates of the cluster port.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream::try_unfold};
use http::{HeaderMap, response};
use http_body_util::BodyExt;
use ncore_origin::OnInformational;
use ncore_proto::tiers::v1::{
    AskReply, AskRequest, EndReply, EndRequest, Trailers,
    ask_reply::Part,
    tiers_server::{Tiers, TiersServer},
};
use ncore_serving::{
    ApiBody,
    zones::{Handed, PassedBy, Source, Tier, TierAnswer, ZoneServer},
};
use ncore_store::cached::EntryKey;
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tonic::{Code, Request, Response, Status};

use super::wire;

/// The most keys that one write ends.
const KEYS_MAX: usize = 16;
/// The most interim responses that wait for the other node.
const INTERIM_MAX: usize = 8;
/// The most bytes of content in one reply.
const DATA_BYTES_MAX: usize = 256 << 10;

/// The zones of this node, for other nodes, as soon as it serves any.
pub(in crate::node) struct TierService {
    zones: Arc<OnceLock<ZoneServer>>,
    /// Where content is served, and origins are asked.
    runtime: Handle,
}

/// Interim responses on their way.
type Interim = mpsc::Receiver<response::Parts>;

/// How far an answer is.
enum Answering {
    Asked {
        answer: JoinHandle<Result<TierAnswer, PassedBy>>,
        interim: Interim,
    },
    Body {
        body: ApiBody,
        /// What is left of a frame that is longer than a reply.
        rest: Bytes,
    },
    Ended,
}

impl TierService {
    pub(in crate::node) fn new(zones: Arc<OnceLock<ZoneServer>>, runtime: Handle) -> TiersServer<Self> {
        TiersServer::new(Self { zones, runtime }).max_decoding_message_size(wire::MESSAGE_BYTES_MAX)
    }

    fn zones(&self) -> Result<&ZoneServer, Status> {
        self.zones.get().ok_or_else(|| Status::unavailable("the node has just begun to start"))
    }
}

#[tonic::async_trait]
impl Tiers for TierService {
    type AskStream = Pin<Box<dyn Stream<Item = Result<AskReply, Status>> + Send>>;

    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<Self::AskStream>, Status> {
        let mut ask = wire::ask_of(request.into_inner()).ok_or_else(|| Status::invalid_argument("no request of a viewer"))?;
        let (heads, interim) = mpsc::channel(INTERIM_MAX);
        ask.informational = Some(OnInformational(Arc::new(move |status, headers: &HeaderMap| {
            let (mut head, ()) = http::Response::new(()).into_parts();
            (head.status, head.headers) = (status, headers.clone());
            // Those that come while the other node takes none are not sent.
            let _ = heads.try_send(head);
        })));
        let admitted = self.zones()?.admit(ask).await.map_err(refusal)?;
        let answering = Answering::Asked { answer: self.runtime.spawn(admitted.answer()), interim };
        Ok(Response::new(Box::pin(try_unfold(answering, |answering| async move { answering.next().await }))))
    }

    async fn end(&self, request: Request<EndRequest>) -> Result<Response<EndReply>, Status> {
        let keys = request.into_inner().keys;
        if keys.len() > KEYS_MAX {
            return Err(Status::invalid_argument("too many keys"));
        }
        let keys: Option<Vec<EntryKey>> = keys.iter().map(|key| Some(EntryKey::from_bytes(key.as_ref().try_into().ok()?))).collect();
        self.zones()?.end(&keys.ok_or_else(|| Status::invalid_argument("a key has 16 bytes"))?).await;
        Ok(Response::new(EndReply {}))
    }
}

impl Answering {
    /// The next reply, and what comes behind it.
    async fn next(self) -> Result<Option<(AskReply, Self)>, Status> {
        let (part, then) = match self {
            Self::Ended => return Ok(None),
            Self::Asked { answer, interim } => asked(answer, interim).await?,
            Self::Body { body, rest } => content(body, rest).await?,
        };
        Ok(Some((AskReply { part: Some(part) }, then)))
    }
}

async fn asked(mut answer: JoinHandle<Result<TierAnswer, PassedBy>>, mut interim: Interim) -> Result<(Part, Answering), Status> {
    let answer = tokio::select! {
        biased;
        Some(head) = interim.recv() => {
            let source = Source { tier: Tier::Origin, node: None, told: Vec::new() };
            let handed = Handed { fill: 0, source, held: Duration::ZERO };
            return Ok((Part::Interim(wire::head_to(&head, handed)), Answering::Asked { answer, interim }));
        }
        answer = &mut answer => answer,
    };
    match answer.map_err(|_| Status::cancelled("the node is stopping"))?.map_err(refusal)? {
        TierAnswer::Response(response, handed) => {
            let (head, body) = response.into_parts();
            Ok((Part::Head(wire::head_to(&head, handed)), Answering::Body { body, rest: Bytes::new() }))
        }
        TierAnswer::Failed(kind) => Ok((Part::Failed(kind.as_str().to_owned()), Answering::Ended)),
    }
}

async fn content(mut body: ApiBody, mut rest: Bytes) -> Result<(Part, Answering), Status> {
    let mut trailers = HeaderMap::new();
    while rest.is_empty() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| {
            tracing::debug!(error = &*error, "content for another node was broken off");
            Status::data_loss("the content was broken off")
        })?;
        match frame.into_data() {
            Ok(data) => rest = data,
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    if rest.is_empty() {
        return Ok((Part::End(Trailers { fields: wire::fields_to(&trailers) }), Answering::Ended));
    }
    let data = rest.split_to(rest.len().min(DATA_BYTES_MAX));
    Ok((Part::Data(data), Answering::Body { body, rest }))
}

fn refusal(why: PassedBy) -> Status {
    let code = match why {
        PassedBy::Behind => Code::FailedPrecondition,
        PassedBy::Fenced => Code::Aborted,
        PassedBy::Busy => Code::ResourceExhausted,
        PassedBy::Unknown => Code::NotFound,
        PassedBy::Unreachable | PassedBy::Late | PassedBy::Cut => Code::Cancelled,
    };
    Status::new(code, why.as_str())
}
