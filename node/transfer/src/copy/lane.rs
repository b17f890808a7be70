//! One copy on its way to one peer.
//!
//! ```text
//!   send ──► queue (4 MiB) ──► task: greet candidates, the first to answer is taken ─► push ─► reply
//! ```
//!
//! The queue is filled while the task looks for a peer that answers, so a node that is down costs the upload nothing but the next
//! candidate's greeting. Once bytes have left for a peer there is no other for this lane: what was sent is not kept here.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use ncore_model::NodeId;
use ncore_proto::blobs::v1::{PushPart, push_reply::Outcome};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use crate::{call::Client, error::CallError};

/// Messages that wait for the peer: 4 MiB of data at most.
const QUEUE_PIECES: usize = 16;
/// A lane may keep the upload waiting anew after this many bytes.
const CREDIT_BYTES: usize = 1 << 20;

/// What is left of one copy: the way in, and the task that sends.
pub(super) struct Lane {
    queue: mpsc::Sender<PushPart>,
    task: AbortOnDropHandle<Result<NodeId, LaneError>>,
    /// How long the upload has waited for this lane, since the last MiB.
    waited: Duration,
    sent: usize,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    /// No candidate answered.
    #[error("no peer is left to copy to")]
    NoPeer,
    /// The peer could not be called, or broke off.
    #[error("the push to node {node} failed")]
    Call {
        /// Which peer.
        node: NodeId,
        /// Why.
        #[source]
        source: CallError,
    },
    /// The peer does not keep the copy.
    #[error("node {node} did not store the copy: {}", outcome.as_str_name())]
    Refused {
        /// Which peer.
        node: NodeId,
        /// Why.
        outcome: Outcome,
    },
    /// The peer kept the upload waiting for too long, or did not confirm the copy in time.
    #[error("the peer is too slow")]
    Slow,
    /// The task is gone.
    #[error("the task that sends was stopped")]
    Stopped,
}

impl Lane {
    /// Pushes what is sent, to the peer that comes of `greeting`.
    pub(super) fn start(greeting: impl Future<Output = Result<(NodeId, Client), LaneError>> + Send + 'static, start: PushPart) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_PIECES);
        let task = tokio::spawn(async move {
            let (node, client) = greeting.await?;
            push(node, client, start, waiting).await
        });
        Self { queue, task: AbortOnDropHandle::new(task), waited: Duration::ZERO, sent: 0 }
    }

    /// Puts a message into the queue. Waits for room no longer than `slow_peer` for each MiB.
    pub(super) async fn send(&mut self, part: PushPart, len: usize, slow_peer: Duration) -> Result<(), LaneError> {
        if self.sent >= CREDIT_BYTES {
            self.sent = 0;
            self.waited = Duration::ZERO;
        }
        let begun = Instant::now();
        let left = slow_peer.saturating_sub(self.waited);
        match timeout(left, self.queue.send(part)).await {
            Ok(Ok(())) => {
                self.waited += begun.elapsed();
                self.sent += len;
                Ok(())
            }
            Ok(Err(_)) => Err(self.cause().await),
            Err(_) => Err(LaneError::Slow),
        }
    }

    /// Sends the last message, and waits until the peer says what it made of the copy, or until `until`.
    pub(super) async fn finish(mut self, last: PushPart, slow_peer: Duration, until: Instant) -> Result<NodeId, LaneError> {
        let end = async move {
            self.send(last, 0, slow_peer).await?;
            drop(self.queue);
            self.task.await.unwrap_or(Err(LaneError::Stopped))
        };
        timeout_at(until, end).await.unwrap_or(Err(LaneError::Slow))
    }

    /// Why the task does not take messages any more: it has ended, or is about to.
    async fn cause(&mut self) -> LaneError {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => LaneError::Stopped,
        }
    }
}

async fn push(node: NodeId, mut client: Client, start: PushPart, waiting: mpsc::Receiver<PushPart>) -> Result<NodeId, LaneError> {
    let parts = stream::once(std::future::ready(start)).chain(ReceiverStream::new(waiting));
    let reply = client.push(parts).await.map_err(|status| LaneError::Call { node, source: CallError::Failed(status) })?;
    match reply.into_inner().outcome() {
        Outcome::Stored => Ok(node),
        outcome => Err(LaneError::Refused { node, outcome }),
    }
}
