//! Finding a peer for a copy: the first candidate that answers.
//!
//! A candidate that does not answer at once is not waited for: after a head start the next one is asked beside it. So a node that
//! swallows everything, which looks for seconds like one that is far away, costs the upload no more than the head start.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use ncore_model::NodeId;
use ncore_proto::blobs::v1::StatRequest;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::lane::LaneError;
use crate::{
    call::{Client, client, within},
    error::CallError,
    peers::Peers,
};

/// How long a candidate is asked before the next one is asked too: longer than a connection to the other side of the world takes.
const HEAD_START: Duration = Duration::from_millis(500);

/// Peers that may still be offered a copy, shared by the copies of one upload.
#[derive(Clone)]
pub(super) struct Candidates {
    nodes: Arc<Mutex<VecDeque<NodeId>>>,
}

impl Candidates {
    pub(super) fn new(nodes: Vec<NodeId>) -> Self {
        Self { nodes: Arc::new(Mutex::new(nodes.into())) }
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        self.nodes.lock().len()
    }

    /// The first candidate that answers within `call`. Those that had not answered by then may be asked again, after the others.
    pub(super) async fn greet(&self, peers: &dyn Peers, call: Duration) -> Result<(NodeId, Client), LaneError> {
        let mut unanswered = Vec::new();
        let mut asked = FuturesUnordered::new();
        loop {
            let next = self.nodes.lock().pop_front();
            if let Some(node) = next {
                unanswered.push(node);
                asked.push(ask(peers, node, call));
            }
            // With nobody left to ask, only answers are waited for. Each of them has its deadline.
            let patience = if next.is_some() { HEAD_START } else { call };
            let Ok(answer) = timeout(patience, asked.next()).await else { continue };
            let (node, answer) = answer.ok_or(LaneError::NoPeer)?;
            unanswered.retain(|asked| *asked != node);
            match answer {
                Ok(client) => {
                    self.nodes.lock().extend(unanswered);
                    return Ok((node, client));
                }
                Err(error) => {
                    tracing::debug!(%node, error = &error as &dyn std::error::Error, "a peer that was to get a copy does not answer");
                }
            }
        }
    }
}

async fn ask(peers: &dyn Peers, node: NodeId, call: Duration) -> (NodeId, Result<Client, CallError>) {
    let answer = async {
        let mut client = client(peers, node).await?;
        client.stat(StatRequest::default()).await.map_err(CallError::Failed)?;
        Ok(client)
    };
    (node, within(call, answer).await)
}
