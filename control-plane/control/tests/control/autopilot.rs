//! The leader looks after the voters: with real nodes, from the loss of one to its return.

use std::time::Duration;

use ncore_control::{AutopilotSettings, ControlPlane, MembershipChange, MembershipError, NodeRole};
use ncore_model::{Command, NodeState, Outcome, Query};
use tokio::time::sleep;

use crate::harness::{PATIENCE, Setup, TestNode, converge, until, voters};

/// One that takes a voter for dead after three seconds.
fn quick() -> Setup {
    let setup = Setup::default();
    Setup { autopilot: AutopilotSettings { dead_after: Duration::from_secs(3), ..setup.autopilot.clone() }, ..setup }
}

fn vote(node: &TestNode, voter: bool) -> Command {
    Command::SetVoter { node: node.control.id(), voter }
}

fn is_voter(at: &TestNode, id: u64) -> bool {
    at.control.status().members.voters.contains(&id)
}

fn leader(nodes: &[TestNode]) -> Option<&TestNode> {
    nodes.iter().find(|node| node.control.status().role == NodeRole::Leader)
}

/// Whether whoever leads has nothing to do. For a moment it may be nobody.
fn is_settled(nodes: &[TestNode]) -> bool {
    leader(nodes).is_some_and(|node| node.control.autopilot_words() == "the voters are as wanted")
}

/// A node that joined with a voter's token.
async fn standby(at: &TestNode, name: &str) -> TestNode {
    let token = at.token(true, 1).await;
    let node = TestNode::joining(&token, name, quick()).await.expect("joins");
    until("it has the state", async || node.control.replica().revision() >= at.control.replica().revision()).await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_voter_is_replaced_and_comes_back_as_an_edge() {
    let [first, second, third] = voters(quick()).await;
    until("the level allows it", async || first.carry_out(vote(&third, true)).await == Ok(Outcome::Done)).await;
    let fourth = standby(&first, "n4").await;
    let edge = TestNode::edge(&first, "edge", quick()).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(fourth.control.status().role, NodeRole::Edge, "three are enough");

    let (gone, lost) = (third.control.id().0, third.stop().await);
    first.write(20).await;
    until("another votes in its place", async || is_voter(&first, fourth.control.id().0) && !is_voter(&first, gone)).await;
    let nodes = [first, second, fourth];
    // Whoever led then counts it, once it has the answer; another may lead by now.
    let replaced = || nodes.iter().map(|node| node.control.autopilot_counts().replaced).sum::<u64>();
    until("it is counted", async || replaced() == 1).await;
    assert!(!is_voter(&nodes[0], edge.control.id().0), "an edge that is not meant to vote does not");
    until("it holds the authority", async || nodes[2].control.identity().current().authority().is_some()).await;

    // It comes back with a log that says that it votes, and learns that it does not.
    let third = lost.start().await;
    until("it is a learner until its next start", async || third.control.status().role == NodeRole::Learner).await;
    converge(&[&nodes[0], &nodes[1], &nodes[2], &third, &edge]).await;
    let third = third.stop().await.start().await;
    assert_eq!(third.control.status().role, NodeRole::Edge);
    until("Raft has forgotten it", async || !nodes[0].control.status().members.addresses.contains_key(&gone)).await;
    sleep(Duration::from_secs(4)).await;
    assert!(!is_voter(&nodes[0], gone) && nodes[0].control.status().members.voters.len() == 3, "nothing flaps");
    until("nothing is to be done", async || is_settled(&nodes)).await;
    assert_eq!(replaced(), 1, "nor is anything done twice");
    converge(&[&nodes[0], &nodes[1], &nodes[2], &third, &edge]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_another_nothing_is_done_and_it_is_said() {
    let [first, second, third] = voters(quick()).await;
    let (gone, lost) = (third.control.id().0, third.stop().await);
    let nodes = [first, second];
    until("it is said", async || {
        leader(&nodes).is_some_and(|node| node.control.autopilot_waits() && node.control.autopilot_words().contains("may vote"))
    })
    .await;
    assert!(is_voter(&nodes[0], gone));
    let third = lost.start().await;
    until("nothing is to be done", async || is_settled(&nodes)).await;
    converge(&[&nodes[0], &nodes[1], &third]).await;
    assert!(is_voter(&nodes[0], gone), "it votes as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_an_operator_demoted_is_left_alone() {
    let [first, second, third] = voters(quick()).await;
    until("the level allows it", async || first.carry_out(vote(&third, true)).await == Ok(Outcome::Done)).await;
    let id = third.control.id();
    // Meant to vote it may not go: three are wanted.
    first.control.change_membership(MembershipChange::TransferLeader(first.control.id()), PATIENCE).await.expect("leads");
    let refused = first.control.change_membership(MembershipChange::Demote(id), Duration::from_secs(5)).await;
    assert!(matches!(refused, Err(MembershipError::Refused(_))), "{refused:?}");

    assert_eq!(first.carry_out(vote(&third, false)).await, Ok(Outcome::Done));
    first.control.change_membership(MembershipChange::Demote(id), PATIENCE).await.expect("is demoted");
    assert!(!is_voter(&first, id.0));
    sleep(Duration::from_secs(3)).await;
    assert!(!is_voter(&first, id.0), "it votes again");

    assert_eq!(first.carry_out(vote(&third, true)).await, Ok(Outcome::Done));
    until("it votes again once it is meant to", async || is_voter(&first, id.0)).await;
    converge(&[&first, &second, &third]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_drains_hands_over_and_is_replaced() {
    let [first, second, third] = voters(quick()).await;
    let fourth = standby(&first, "n4").await;
    let nodes = [first, second, third, fourth];
    until("one leads", async || leader(&nodes).is_some()).await;
    let leading = leader(&nodes).expect("one led a moment ago");
    let id = leading.control.id();
    let drained = Command::SetNodeState { node: id, state: NodeState::Draining };
    assert_eq!(leading.carry_out(drained).await, Ok(Outcome::Done));
    until("it is replaced", async || nodes.iter().all(|node| !is_voter(node, id.0) && node.control.status().members.voters.len() == 3))
        .await;
    assert!(is_voter(&nodes[3], nodes[3].control.id().0));
    converge(&nodes.iter().collect::<Vec<_>>()).await;
    let row = nodes[0].control.replica().node(id).expect("reads").expect("joined");
    assert!(!row.voter, "nor is it meant to vote");
}
