//! Proposals that other nodes forward, many at a time.

use std::{sync::Arc, time::Duration};

use ncore_model::{NodeId, NodeState, Proposal, Query, decode};
use ncore_proto::cluster::v1 as wire;
use tokio::sync::{Semaphore, mpsc};
use tonic::{Status, Streaming};

use super::PROPOSE_PATIENCE;
use crate::{
    control::Control,
    propose::{self, Try},
};

/// Messages of one node that are in Raft at a time. Those behind them wait on the wire.
pub(super) const UNDER_WAY: usize = 64;

/// Takes what the node `peer` forwards, until one of the two has had enough.
pub(super) async fn attend(
    control: Arc<Control>,
    peer: NodeId,
    mut forwarded: Streaming<wire::Proposals>,
    answers: mpsc::Sender<Result<wire::Answers, Status>>,
) {
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    let serve = async {
        while let Ok(Some(message)) = forwarded.message().await {
            // The stream may be older than the removal of the node at its other end.
            if was_removed(&control, peer) {
                let refusal = Status::permission_denied(format!("node {peer} was removed from the cluster"));
                let _ = answers.send(Err(refusal)).await;
                return;
            }
            // Never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (control, answers) = (Arc::clone(&control), answers.clone());
            tokio::spawn(async move {
                let replies = propose(&control, message.proposals).await;
                // The node may be gone: it will ask again, under the same request ids.
                let _ = answers.send(Ok(wire::Answers { replies })).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = serve => {}
        () = answers.closed() => {}
        () = control.stopping().cancelled() => {}
    }
}

fn was_removed(control: &Control, peer: NodeId) -> bool {
    use crate::plane::ControlPlane;
    control.replica().node(peer).is_ok_and(|node| node.is_some_and(|node| node.state == NodeState::Removed))
}

async fn propose(control: &Control, forwarded: Vec<wire::NumberedProposal>) -> Vec<wire::NumberedReply> {
    let (mut numbers, mut proposals, mut replies) = (Vec::new(), Vec::new(), Vec::new());
    let mut patience = Duration::ZERO;
    for wire::NumberedProposal { number, request } in forwarded {
        let request = request.unwrap_or_default();
        match decode::<Proposal>(&request.proposal) {
            Ok(proposal) => {
                numbers.push(number);
                proposals.push(proposal);
                // Each of them is given up by its caller at its own time.
                patience = patience.max(Duration::from_millis(request.deadline_ms).min(PROPOSE_PATIENCE));
            }
            Err(error) => {
                tracing::warn!(%error, "a node forwards what this version does not understand");
                replies.push(reply(number, Try::NotAppended("the leader does not understand the command")));
            }
        }
    }
    let results = control.propose_together(proposals, patience).await;
    replies.extend(numbers.into_iter().zip(results).map(|(number, result)| reply(number, result)));
    replies
}

fn reply(number: u64, result: Try) -> wire::NumberedReply {
    wire::NumberedReply { number, reply: Some(propose::to_wire(result)) }
}
