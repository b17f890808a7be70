//! Why requests for zones are answered as they are, between nodes: a service that explains those of this node, and the way to the others.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use ncore_control::{Control, ControlPlane, Peers};
use ncore_domain::{ExplainError, ExplainNodes, LogNode, ZoneQuestion};
use ncore_freshness::FreshState;
use ncore_model::{NodeId, ZoneId};
use ncore_proto::explain::v1::{
    ExplainReply, ExplainRequest, Field,
    explain_client::ExplainClient,
    explain_server::{Explain, ExplainServer},
};
use ncore_serving::zones::{Question, ZoneServer};
use serde_json::{Value, json};
use tonic::{Code, Request, Response, Status};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What explains requests at this node.
pub(super) struct OwnExplains {
    pub(super) zones: ZoneServer,
    pub(super) control: Arc<Control>,
}

impl OwnExplains {
    async fn explain(&self, question: &ZoneQuestion) -> Result<Value, ExplainError> {
        let asked = question_of(question)?;
        let explained = self.zones.explain(&asked).await.filter(|explained| explained.zone == question.zone.to_string());
        let explained = explained.ok_or(ExplainError::Unknown)?;
        let mut document = serde_json::to_value(&explained).map_err(|error| ExplainError::Away(error.into()))?;
        document["freshness"] = match self.control.fresh_state() {
            FreshState::Fresh { .. } => json!({ "state": "fresh", "view_at_most_ms": self.view_ms() }),
            FreshState::Fenced(fence) => json!({ "state": "fenced", "reason": fence.reason.as_str(), "view_at_most_ms": self.view_ms() }),
        };
        Ok(document)
    }

    /// How old the view can be at most, in milliseconds, if that is known.
    fn view_ms(&self) -> Option<u64> {
        self.control.staleness().map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }
}

fn question_of(question: &ZoneQuestion) -> Result<Question, ExplainError> {
    let malformed = |what: &str| ExplainError::Malformed(what.to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in &question.fields {
        let name = HeaderName::try_from(name).map_err(|_| malformed("a field with such a name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| malformed("such a value of a field"))?;
        headers.append(name, value);
    }
    let target = question.target.parse().map_err(|_| malformed("such a path"))?;
    Ok(Question { host: question.host.as_str().into(), target, headers })
}

/// Explains requests of this node to other nodes, as soon as it serves. Who may call is checked by the layer that checks the certificates
/// of the cluster port.
pub(super) struct ExplainService(Arc<OnceLock<OwnExplains>>);

impl ExplainService {
    pub(super) fn new(own: Arc<OnceLock<OwnExplains>>) -> ExplainServer<Self> {
        ExplainServer::new(Self(own))
    }
}

#[tonic::async_trait]
impl Explain for ExplainService {
    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainReply>, Status> {
        let own = self.0.get().ok_or_else(|| Status::unavailable("the node has just begun to start"))?;
        let ExplainRequest { zone, host, target, fields } = request.into_inner();
        let zone = zone.as_ref().try_into().map(ZoneId).map_err(|_| Status::invalid_argument("the id of a zone has 16 bytes"))?;
        let fields = fields.into_iter().map(|field| (field.name, field.value)).collect();
        match own.explain(&ZoneQuestion { zone, host, target, fields }).await {
            Ok(document) => Ok(Response::new(ExplainReply { document: document.to_string() })),
            Err(ExplainError::Unknown) => Err(Status::not_found("there is no such zone here")),
            Err(ExplainError::Malformed(what)) => Err(Status::invalid_argument(what)),
            Err(error) => Err(Status::unavailable(error.in_a_line())),
        }
    }
}

/// All nodes.
pub(super) struct AllExplains {
    pub(super) own: Arc<OnceLock<OwnExplains>>,
    pub(super) node: LogNode,
    pub(super) peers: Arc<Peers>,
}

impl ExplainNodes for AllExplains {
    fn nodes(&self) -> Vec<LogNode> {
        let others = self.peers.nearest_first().unwrap_or_else(|error| {
            tracing::error!(%error, "the other nodes cannot be read from the state");
            Vec::new()
        });
        let others = others.into_iter().map(|node| LogNode { id: node.id, name: node.name.into() });
        std::iter::once(self.node.clone()).chain(others).collect()
    }

    fn own(&self) -> NodeId {
        self.node.id
    }

    fn ask<'a>(&'a self, node: NodeId, question: &'a ZoneQuestion) -> BoxFuture<'a, Result<Value, ExplainError>> {
        Box::pin(async move {
            if node == self.node.id {
                let starting = || ExplainError::Away("the node has just begun to start".into());
                return self.own.get().ok_or_else(starting)?.explain(question).await;
            }
            let channel = self.peers.channel(node).map_err(|error| ExplainError::Away(error.into()))?;
            let fields = question.fields.iter().map(|(name, value)| Field { name: name.clone(), value: value.clone() });
            let request = ExplainRequest {
                zone: question.zone.0.to_vec().into(),
                host: question.host.clone(),
                target: question.target.clone(),
                fields: fields.collect(),
            };
            let mut client = ExplainClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            match client.explain(request).await {
                Ok(reply) => serde_json::from_str(&reply.into_inner().document).map_err(|error| ExplainError::Away(error.into())),
                Err(status) => Err(match status.code() {
                    Code::NotFound => ExplainError::Unknown,
                    Code::InvalidArgument => ExplainError::Malformed(status.message().to_owned()),
                    Code::Unimplemented => ExplainError::Older,
                    _ => ExplainError::Away(status.into()),
                }),
            }
        })
    }
}
