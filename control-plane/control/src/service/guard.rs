//! Who may call what on the cluster port: whoever shows a certificate of a node that was not removed, anything; whoever shows
//! none, only `Join`.
//!
//! A certificate is good for days and a removal must bite at once, so every call asks the state, not only the handshake. That also
//! turns away nodes that joined in a history which was lost: their ids are indices of the log, and the state went past them without
//! meeting them.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{BoxFuture, Either, Ready, ready};
use http::{Request, Response};
use ncore_identity::{CertificateDer, peer_identity};
use ncore_model::{NodeId, NodeState, Query};
use ncore_raft::PeerIdentity;
use ncore_replica::Replica;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

const JOIN: &str = "/ncore.cluster.v1.Cluster/Join";

/// The certificates that the caller showed, put into the request by the listener.
#[derive(Clone)]
pub(crate) struct PeerCertificates(pub(crate) Arc<Vec<CertificateDer<'static>>>);

/// The layer that admits calls.
#[derive(Clone)]
pub(crate) struct Guard {
    replica: Arc<Replica>,
}

impl Guard {
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        Self { replica }
    }

    /// Who is calling; `None` for a machine that wants to join.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<PeerIdentity>, Status> {
        let certificates = request.extensions().get::<PeerCertificates>().map(|certificates| Arc::clone(&certificates.0));
        let certificates = certificates.filter(|certificates| !certificates.is_empty());
        let Some(certificates) = certificates else {
            return match request.uri().path() {
                JOIN => Ok(None),
                _ => Err(Status::unauthenticated("this call needs a node's certificate")),
            };
        };
        let peer = peer_identity(&certificates).map_err(|error| Status::unauthenticated(error.to_string()))?;
        // Before the row, so that a node which is added meanwhile is not taken for one that never was.
        let reached = self.replica.revision().index;
        let node = self.replica.node(NodeId(peer.node_id)).map_err(|error| Status::internal(error.to_string()))?;
        match node.map(|node| node.state) {
            Some(NodeState::Removed) => Err(Status::permission_denied(format!("node {} was removed from the cluster", peer.node_id))),
            None if peer.node_id <= reached && self.has_state()? => {
                Err(Status::permission_denied(format!("node {} is not of this cluster's history: wipe it and let it join", peer.node_id)))
            }
            // A node that is just joining has no state yet: then the certificate alone speaks for the caller.
            Some(NodeState::Active | NodeState::Draining) | None => Ok(Some(PeerIdentity { node_id: peer.node_id })),
        }
    }

    /// Whether the first command of the cluster was applied, and with it the row of the first node.
    fn has_state(&self) -> Result<bool, Status> {
        self.replica.cluster().map(|cluster| cluster.is_some()).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind the guard.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<BoxFuture<'static, Result<Response<Body>, S::Error>>, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.guard.admit(&request) {
            Ok(peer) => {
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                Either::Left(Box::pin(self.inner.call(request)))
            }
            Err(status) => {
                tracing::warn!(path = request.uri().path(), reason = status.message(), "refused a call on the cluster port");
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use ncore_identity::NodeIdentity;
    use ncore_model::{BeginLineage, Command, Founder, InitCluster, NodeId, Proposal, RequestId, SchemaRange, UpdateNode, encode};
    use ncore_replica::{Entry, Replica};
    use tonic::Code;

    use super::{Guard, PeerCertificates};

    /// What becomes of a call by the node with this id.
    fn call(guard: &Guard, id: u64) -> Result<u64, Code> {
        let identity = NodeIdentity::found(id, 1_700_000_000).expect("an identity");
        let mut request = Request::builder().uri("/ncore.raft.v1.Raft/Append").body(()).expect("a request");
        request.extensions_mut().insert(PeerCertificates(Arc::new(identity.chain().to_vec())));
        guard.admit(&request).map(|peer| peer.map_or(0, |peer| peer.node_id)).map_err(|status| status.code())
    }

    #[test]
    fn a_node_that_the_state_went_past_is_turned_away() {
        let dir = tempfile::tempdir().expect("a directory");
        let replica = Arc::new(Replica::open(dir.path()).expect("opens"));
        let guard = Guard::new(Arc::clone(&replica));
        assert_eq!(call(&guard, 7), Ok(7), "this node is joining, and knows nobody");
        replica.apply(&[Entry { index: 1, proposal: None }], b"").expect("applies");
        assert_eq!(call(&guard, 1), Ok(1), "the log begins before the cluster does");

        let node = UpdateNode {
            node: NodeId(1),
            name: "one".to_owned(),
            region: "eu".to_owned(),
            cluster_address: "10.0.0.1:1".to_owned(),
            http_address: "http://one".to_owned(),
            schema: SchemaRange::BUILD,
            software: "test".to_owned(),
            incarnation: 1,
        };
        let command = Command::InitCluster(InitCluster { cluster_id: [7; 16], node });
        let proposal = encode(&Proposal { request: RequestId([0; 16]), idempotency: None, log_time_ms: 1, command }).expect("encodes");
        replica.apply(&[Entry { index: 10, proposal: Some(&proposal) }], b"").expect("applies");
        assert_eq!((call(&guard, 1), call(&guard, 10)), (Ok(1), Err(Code::PermissionDenied)));
        assert_eq!(call(&guard, 11), Ok(11), "this node is behind: it has not met it yet");

        let begin = BeginLineage { number: 2, base: 10, at_ms: 2, founder: Founder::Survivor(NodeId(1)) };
        replica.begin_lineage(1_000, &begin, b"").expect("begins");
        assert_eq!((call(&guard, 1), call(&guard, 11)), (Ok(1), Err(Code::PermissionDenied)), "it joined in what was lost");
        assert_eq!(call(&guard, 1_001), Ok(1_001));
    }
}
