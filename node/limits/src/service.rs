//! The books of this node, for other nodes.
//!
//! Who may call is checked before a call gets here, by the layer that checks the certificates of the cluster port. This node does not ask
//! itself whether it is the home: whoever asks sees the cluster so.

use std::sync::Arc;

use ncore_model::NodeId;
use ncore_proto::limits::v1::{
    TakeReply, TakeRequest,
    limits_server::{Limits, LimitsServer},
};
use tonic::{Request, Response, Status};

use crate::{ask::Grant, limiter::Shared, metrics::add, wire};

/// Answers asks. A handle: clones are the same service.
#[derive(Clone)]
pub struct LimitService {
    shared: Arc<Shared>,
}

impl LimitService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// As a gRPC service, with the sizes of its messages bounded.
    #[must_use]
    pub fn into_server(self) -> LimitsServer<Self> {
        LimitsServer::new(self).max_decoding_message_size(wire::MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl Limits for LimitService {
    async fn take(&self, request: Request<TakeRequest>) -> Result<Response<TakeReply>, Status> {
        let request = request.into_inner();
        if request.asks.len() > wire::ASKS_MAX {
            return Err(Status::invalid_argument("too many asks"));
        }
        let mut grants = Vec::with_capacity(request.asks.len());
        for ask in &request.asks {
            let ask = wire::ask_from(ask).ok_or_else(|| Status::invalid_argument("no such class, or a subject that has not 16 bytes"))?;
            // Where it is not limited, the asker may have what it wants.
            let grant = self.shared.consult(NodeId(request.node_id), &ask).unwrap_or(Grant {
                granted: ask.want,
                remaining: u32::MAX,
                frees_in_ms: 1,
                lease_ms: 1,
            });
            add(&self.shared.metrics.asks_served);
            grants.push(wire::grant_to(&grant));
        }
        Ok(Response::new(TakeReply { grants }))
    }
}
