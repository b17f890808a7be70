//! Voters: changes from any node, the loss of one, removal, and who may join.

use std::time::Duration;

use ncore_control::{Change, Clock, ControlPlane, JoinError, MembershipChange, NodeRole, ProposeError, SystemClock, new_request_id};
use ncore_identity::JoinToken;
use ncore_model::{Command, NodeId, NodeState, Outcome, Query, SchemaRange};
use ncore_proto::cluster::v1::{InspectRequest, cluster_client::ClusterClient};

use crate::harness::{PATIENCE, Setup, TestNode, add_client, until, voters};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_takes_changes_and_all_come_to_the_same_state() {
    let nodes = voters(Setup::default()).await;
    for (at, node) in nodes.iter().enumerate() {
        let outcome = node.carry_out(add_client(&format!("client-{at}"))).await.expect("committed");
        let Outcome::ClientAdded(id) = outcome else { panic!("{outcome:?}") };
        // Read your writes: whoever was answered finds it here.
        assert!(node.control.replica().client(&id).expect("reads").is_some());
    }
    until("every node has the authority", async || nodes.iter().all(|node| node.control.identity().current().authority().is_some())).await;
    until("the schema level has risen", async || {
        let cluster = nodes[0].control.replica().cluster().expect("reads").expect("initialised");
        cluster.schema_level == SchemaRange::BUILD.max
    })
    .await;
    let last = nodes[1].control.read_index(PATIENCE).await.expect("a revision");
    for node in &nodes {
        node.control.wait_for(last, PATIENCE).await.expect("gets there");
    }
    until("equal states", async || nodes[0].hash().await == nodes[1].hash().await && nodes[1].hash().await == nodes[2].hash().await).await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_the_leader_is_survived_and_a_minority_takes_nothing() {
    let [first, second, third] = voters(Setup::default()).await;
    first.stop().await;
    let outcome = second.carry_out(add_client("after")).await;
    assert!(matches!(outcome, Ok(Outcome::ClientAdded(_))), "{outcome:?}");
    third.stop().await;
    let change = Change { request: new_request_id(), idempotency: None, command: add_client("alone"), deadline: Duration::from_secs(3) };
    let result = second.control.propose(change).await;
    assert!(matches!(result, Err(ProposeError::Unavailable { .. } | ProposeError::Unknown { .. })), "{result:?}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_cut_off() {
    let [first, second, third] = voters(Setup::default()).await;
    let gone = third.control.id();
    // While it is a member its calls are answered.
    assert_eq!(call(&third, first.control.id()).await, Ok(()));
    first.carry_out(Command::SetNodeState { node: gone, state: NodeState::Removed }).await.expect("committed");
    first.control.change_membership(MembershipChange::Remove(gone), PATIENCE).await.expect("removed");
    assert_eq!(call(&third, first.control.id()).await, Err(tonic::Code::PermissionDenied));
    assert!(matches!(second.carry_out(add_client("two are enough")).await, Ok(Outcome::ClientAdded(_))));
    for node in [first, second, third] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_token_nobody_joins() {
    let first = TestNode::first(Setup::default()).await;
    let good = first.token(false, 1).await;
    let forged = JoinToken::issue(good.terms().clone()).expect("a token that the cluster does not know");
    assert!(matches!(TestNode::joining(&forged, "forged", Setup::default()).await, Err(JoinError::Refused(_))));
    let second = TestNode::joining(&good, "n2", Setup::default()).await.expect("joins");
    assert!(matches!(TestNode::joining(&good, "late", Setup::default()).await, Err(JoinError::Refused(_))), "the token is spent");
    assert!(!second.control.status().members.voters.contains(&second.control.id().0));
    assert_eq!(second.control.status().role, NodeRole::Edge);
    for node in [first, second] {
        node.stop().await;
    }
}

/// Three voters, each of which knows the others' clocks, and which of them leads.
async fn three_that_know_the_time() -> ([TestNode; 3], usize) {
    let nodes = voters(Setup::default()).await;
    until("everybody has asked everybody", async || {
        let ids: Vec<_> = nodes.iter().map(|node| node.control.id()).collect();
        nodes.iter().all(|node| ids.iter().all(|id| *id == node.control.id() || node.control.peers().is_near(*id)))
    })
    .await;
    let leader = nodes[0].control.leader().expect("there is a leader");
    let leader = nodes.iter().position(|node| node.control.id().0 == leader).expect("of the three");
    (nodes, leader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clock_is_ahead_hands_over_and_stamps_nothing() {
    let (nodes, leader) = three_that_know_the_time().await;
    nodes[leader].clock.set_ahead(Duration::from_secs(60));
    // It goes on taking changes from clients; they are carried out by another.
    for (at, node) in nodes.iter().enumerate() {
        let outcome = node.carry_out(add_client(&format!("client-{at}"))).await;
        assert!(matches!(outcome, Ok(Outcome::ClientAdded(_))), "{outcome:?}");
    }
    assert_ne!(nodes[leader].control.leader(), Some(nodes[leader].control.id().0));
    let log_time_ms = nodes[leader].control.replica().cluster().expect("reads").expect("initialised").log_time_ms;
    assert!(log_time_ms <= SystemClock.now_ms(), "the time of the log is of a right clock");
    assert!(nodes[leader].control.clock_lead_ms() > 50_000);
    until("it is not said of one that does not lead", async || !nodes[leader].control.refuses_to_stamp()).await;
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_heir_a_leader_whose_clock_is_ahead_takes_nothing() {
    let (nodes, leader) = three_that_know_the_time().await;
    let (follower, other) = ((leader + 1) % 3, (leader + 2) % 3);
    for at in [follower, other] {
        let drained = Command::SetNodeState { node: nodes[at].control.id(), state: NodeState::Draining };
        assert_eq!(nodes[leader].carry_out(drained).await, Ok(Outcome::Done));
    }
    nodes[leader].clock.set_ahead(Duration::from_secs(60));
    for at in [leader, follower] {
        let command = add_client("too early");
        let change = Change { request: new_request_id(), idempotency: None, command, deadline: Duration::from_secs(2) };
        match nodes[at].control.propose(change).await {
            Err(ProposeError::Unavailable { reason }) => assert!(reason.contains("clock is ahead"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(nodes[leader].control.refuses_to_stamp());
    assert_eq!(nodes[leader].control.leader(), Some(nodes[leader].control.id().0), "it leads, and reads go on");
    nodes[follower].control.read_index(PATIENCE).await.expect("a revision");

    nodes[leader].clock.set_ahead(Duration::from_secs(1));
    let outcome = nodes[follower].carry_out(add_client("in time")).await;
    assert!(matches!(outcome, Ok(Outcome::ClientAdded(_))), "{outcome:?}");
    assert!(!nodes[leader].control.refuses_to_stamp());
    for node in nodes {
        node.stop().await;
    }
}

async fn call(from: &TestNode, to: NodeId) -> Result<(), tonic::Code> {
    let channel = from.control.peers().channel(to).expect("a channel");
    ClusterClient::new(channel).inspect(InspectRequest { state_hash: false }).await.map(drop).map_err(|status| status.code())
}
