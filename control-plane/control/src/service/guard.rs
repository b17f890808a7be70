//! Who may call what on the cluster port: whoever shows a certificate of a node that was not removed, anything; whoever shows
//! none, only `Join`.
//!
//! A certificate is good for days and a removal must bite at once, so every call asks the state, not only the handshake.

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
        // A node that is just joining has no state yet: then the certificate alone speaks for the caller.
        let node = self.replica.node(NodeId(peer.node_id)).map_err(|error| Status::internal(error.to_string()))?;
        match node.map(|node| node.state) {
            Some(NodeState::Removed) => Err(Status::permission_denied(format!("node {} was removed from the cluster", peer.node_id))),
            Some(NodeState::Active | NodeState::Draining) | None => Ok(Some(PeerIdentity { node_id: peer.node_id })),
        }
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
