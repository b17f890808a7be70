//! Calling a peer.

use std::time::Duration;

use ncore_model::NodeId;
use ncore_proto::blobs::v1::blobs_client::BlobsClient;
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::{error::CallError, peers::Peers, wire::MESSAGE_BYTES_MAX};

/// A client of one peer.
pub(crate) type Client = BlobsClient<Channel>;

/// A client of `node`. The connection may be made by the first call only.
pub(crate) async fn client(peers: &dyn Peers, node: NodeId) -> Result<Client, CallError> {
    let channel = peers.channel(node).await.map_err(CallError::Peer)?;
    Ok(BlobsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// The outcome of `call`, if it comes in time.
pub(crate) async fn within<T>(deadline: Duration, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    timeout(deadline, call).await.unwrap_or(Err(CallError::Deadline(deadline)))
}
