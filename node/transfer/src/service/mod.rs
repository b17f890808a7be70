//! The server side: gives slices, takes copies, and says what is here.
//!
//! Who may call is checked before a call gets here, by the layer that checks the certificates of the cluster port.

mod fetch;
mod push;
mod stat;

use std::{sync::Arc, time::Duration};

use ncore_proto::blobs::v1::{
    FetchRequest, Frame, PinReply, PinRequest, PushPart, PushReply, StatReply, StatRequest, UnpinReply, UnpinRequest,
    blobs_server::{Blobs, BlobsServer},
};
use ncore_store::{BlobStore, StoreError};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    metrics::{ServiceMetrics, add},
    read::Repairs,
    wire::MESSAGE_BYTES_MAX,
};

/// How much the service does at once, and how long it waits for its callers.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Streams of slices at once. Each holds up to four MiB.
    pub fetches: usize,
    /// Copies taken in at once, and copies read in full to be pinned.
    pub pushes: usize,
    /// How long a call waits for its turn before it is refused.
    pub turn: Duration,
    /// How long a stream may stand still before it is ended.
    pub idle: Duration,
    /// The largest blob that is taken, in bytes.
    pub blob_bytes_max: u64,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self { fetches: 64, pushes: 64, turn: Duration::from_secs(1), idle: Duration::from_secs(30), blob_bytes_max: 64 << 30 }
    }
}

/// Serves the blobs of this node to other nodes. A handle: clones are the same service.
#[derive(Clone)]
pub struct BlobService {
    shared: Arc<Shared>,
}

struct Shared {
    store: BlobStore,
    repairs: Repairs,
    settings: ServiceSettings,
    metrics: Arc<ServiceMetrics>,
    fetches: Arc<Semaphore>,
    pushes: Arc<Semaphore>,
}

impl BlobService {
    /// A service over `store`. Copies that it finds damaged are told to `repairs`.
    #[must_use]
    pub fn new(store: BlobStore, repairs: Repairs, settings: ServiceSettings, metrics: Arc<ServiceMetrics>) -> Self {
        let shared = Shared {
            store,
            repairs,
            metrics,
            fetches: Arc::new(Semaphore::new(settings.fetches.max(1))),
            pushes: Arc::new(Semaphore::new(settings.pushes.max(1))),
            settings,
        };
        Self { shared: Arc::new(shared) }
    }

    /// As a gRPC service, with the sizes of its messages bounded.
    #[must_use]
    pub fn into_server(self) -> BlobsServer<Self> {
        BlobsServer::new(self).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

impl Shared {
    /// A turn, or the refusal.
    async fn turn(&self, turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
        match timeout(self.settings.turn, Arc::clone(turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => {
                add(&self.metrics.refused_busy, 1);
                Err(Status::resource_exhausted("this node serves as many transfers as it may"))
            }
        }
    }
}

#[tonic::async_trait]
impl Blobs for BlobService {
    type FetchStream = ReceiverStream<Result<Frame, Status>>;

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        fetch::fetch(&self.shared, &request.into_inner()).await.map(Response::new)
    }

    async fn push(&self, request: Request<Streaming<PushPart>>) -> Result<Response<PushReply>, Status> {
        let outcome = push::push(&self.shared, request.into_inner()).await?;
        Ok(Response::new(PushReply { outcome: outcome.into() }))
    }

    async fn pin(&self, request: Request<PinRequest>) -> Result<Response<PinReply>, Status> {
        let outcome = push::pin(&self.shared, &request.into_inner()).await?;
        Ok(Response::new(PinReply { outcome: outcome.into() }))
    }

    async fn unpin(&self, request: Request<UnpinRequest>) -> Result<Response<UnpinReply>, Status> {
        push::unpin(&self.shared, &request.into_inner()).await?;
        Ok(Response::new(UnpinReply {}))
    }

    async fn stat(&self, request: Request<StatRequest>) -> Result<Response<StatReply>, Status> {
        let blobs = stat::stat(&self.shared, &request.into_inner()).await?;
        Ok(Response::new(StatReply { blobs }))
    }
}

fn malformed(what: &'static str) -> Status {
    Status::invalid_argument(what)
}

/// An error of the store that the caller can do nothing about, but to ask another node.
fn failed(action: &'static str) -> impl Fn(StoreError) -> Status {
    move |error| {
        tracing::error!(action, error = &error as &dyn std::error::Error, "the store failed a call of another node");
        Status::internal(format!("the store of this node could not {action}"))
    }
}
