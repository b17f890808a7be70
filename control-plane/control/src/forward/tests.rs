//! Leaders of three kinds: one that answers, one of an older release, and one that takes everything and says nothing.

use tokio::net::{TcpListener, TcpSocket};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response,
    transport::{Endpoint, Server},
};
use wire::cluster_server::{Cluster, ClusterServer};

use super::{
    AHEAD, Bytes, Claim, Code, Duration, Instant, MAX_MESSAGE, MESSAGE, NodeId, Order, QUEUE, Status, Streaming, Try, mpsc, oneshot,
    propose, run, timeout, wire,
};
use crate::machine::Answer;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leader {
    Answers,
    Older,
    Silent,
}

/// What every proposal is answered with: its own bytes.
fn applied(proposal: &Bytes) -> wire::ProposeReply {
    propose::to_wire(Try::Applied(Answer { lineage: 1, index: 7, outcome: proposal.clone() }))
}

#[tonic::async_trait]
impl Cluster for Leader {
    type ProposeManyStream = super::ReceiverStream<Result<wire::Answers, Status>>;

    async fn propose(&self, request: Request<wire::ProposeRequest>) -> Result<Response<wire::ProposeReply>, Status> {
        assert!(*self == Self::Older, "a leader that has the stream is asked by it");
        Ok(Response::new(applied(&request.into_inner().proposal)))
    }

    async fn propose_many(&self, request: Request<Streaming<wire::Proposals>>) -> Result<Response<Self::ProposeManyStream>, Status> {
        let (kind, mut proposals) = (*self, request.into_inner());
        if kind == Self::Older {
            return Err(Status::new(Code::Unimplemented, ""));
        }
        let (answers, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            while let Ok(Some(message)) = proposals.message().await {
                assert!(message.proposals.len() <= MESSAGE);
                if kind == Self::Silent {
                    continue;
                }
                // In another order than that of the questions.
                let replies = message.proposals.iter().rev().map(|numbered| {
                    let proposal = &numbered.request.as_ref().expect("a request").proposal;
                    wire::NumberedReply { number: numbered.number, reply: Some(applied(proposal)) }
                });
                let _ = answers.send(Ok(wire::Answers { replies: replies.collect() })).await;
            }
        });
        Ok(Response::new(super::ReceiverStream::new(receiver)))
    }

    async fn join(&self, _: Request<wire::JoinRequest>) -> Result<Response<wire::JoinReply>, Status> {
        unreachable!()
    }
    async fn renew(&self, _: Request<wire::RenewRequest>) -> Result<Response<wire::RenewReply>, Status> {
        unreachable!()
    }
    async fn authority(&self, _: Request<wire::AuthorityRequest>) -> Result<Response<wire::AuthorityReply>, Status> {
        unreachable!()
    }
    async fn change_membership(&self, _: Request<wire::MembershipRequest>) -> Result<Response<wire::MembershipReply>, Status> {
        unreachable!()
    }
    async fn barrier(&self, _: Request<wire::BarrierRequest>) -> Result<Response<wire::BarrierReply>, Status> {
        unreachable!()
    }
    async fn inspect(&self, _: Request<wire::InspectRequest>) -> Result<Response<wire::InspectReply>, Status> {
        unreachable!()
    }
}

/// A stream to such a leader.
async fn forwarding_to(leader: Leader) -> mpsc::Sender<Order> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = ClusterServer::new(leader).max_decoding_message_size(MAX_MESSAGE);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let (orders, queue) = mpsc::channel(QUEUE);
    tokio::spawn(run(NodeId(1), channel, queue));
    orders
}

fn order(proposal: Bytes) -> (Order, Claim, oneshot::Receiver<Try>) {
    let (claim, (answer, answered)) = (Claim::default(), oneshot::channel());
    let until = Instant::now() + Duration::from_secs(30);
    (Order { proposal, until, claim: claim.clone(), answer }, claim, answered)
}

/// Each caller gets the answer to its own proposal, whatever shares a message with it.
async fn everybody_is_answered(leader: Leader) {
    let orders = forwarding_to(leader).await;
    let callers = (0..2_000u32).map(|at| {
        let orders = orders.clone();
        async move {
            let proposal = Bytes::copy_from_slice(&at.to_be_bytes());
            let (order, _, answered) = order(proposal.clone());
            orders.send(order).await.expect("is taken");
            match answered.await {
                Ok(Try::Applied(answer)) => assert_eq!(answer.outcome, proposal),
                _ => panic!("caller {at} has no answer"),
            }
        }
    });
    futures_util::future::join_all(callers).await;
}

#[tokio::test]
async fn answers_come_by_number() {
    everybody_is_answered(Leader::Answers).await;
}

#[tokio::test]
async fn an_older_leader_is_asked_one_by_one() {
    everybody_is_answered(Leader::Older).await;
}

#[tokio::test]
async fn what_was_withdrawn_is_not_sent_and_what_was_sent_cannot_be_withdrawn() {
    let orders = forwarding_to(Leader::Answers).await;
    let (withdrawn, claim, never) = order(Bytes::from_static(b"withdrawn"));
    assert!(claim.take());
    orders.send(withdrawn).await.expect("is taken");
    let (sent, claim, answered) = order(Bytes::from_static(b"sent"));
    orders.send(sent).await.expect("is taken");
    assert!(matches!(answered.await, Ok(Try::Applied(_))));
    assert!(!claim.take(), "too late");
    assert!(never.await.is_err(), "dropped unsent");
}

#[tokio::test]
async fn what_a_silent_leader_took_is_not_known_and_it_holds_nobody_else_up() {
    let orders = forwarding_to(Leader::Silent).await;
    let mut taken = Vec::new();
    for _ in 0..3 * AHEAD {
        let (order, claim, answered) = order(Bytes::from_static(b"taken"));
        orders.send(order).await.expect("is taken");
        // Sent, although the messages before it have no answer.
        let sent = async {
            while !claim.0.load(std::sync::atomic::Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(30), sent).await.expect("is sent");
        taken.push(answered);
    }
    for mut answered in taken {
        assert!(answered.try_recv().is_err());
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_appended() {
    // Whose port it is as long as it lives.
    let silent = TcpSocket::new_v4().expect("a socket");
    silent.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = silent.local_addr().expect("an address");
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let (orders, queue) = mpsc::channel(QUEUE);
    let (order, _, answered) = order(Bytes::from_static(b"lost"));
    orders.send(order).await.expect("is taken");
    run(NodeId(1), channel, queue).await;
    assert!(matches!(answered.await, Ok(Try::NotAppended(_))));
}
