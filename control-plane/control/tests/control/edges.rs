//! Edges: nodes that take no part in Raft, follow a hub, and come to the same state.

use std::time::Duration;

use ncore_control::{ControlPlane, HubSettings, MembershipChange, NodeRole};
use ncore_model::{Command, NodeId, NodeState, Outcome, Query};
use ncore_proto::hub::v1::{Follow, Hello, Up, hub_client::HubClient, up::Message};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::harness::{PATIENCE, Setup, TestNode, add_client, converge, until, voters};

/// Waits until the cluster knows the relay, and all of these follow it.
async fn follow_relay(edges: &[&TestNode], relay: &TestNode) {
    for edge in edges {
        until("the relay is followed", async || edge.parent() == Some(relay.control.id())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_follow_a_relay_and_are_as_good_as_voters() {
    let voters = voters(Setup::default()).await;
    let relay = TestNode::edge(&voters[0], "relay", Setup::relay()).await;
    let mut edges = Vec::new();
    for (at, voter) in voters.iter().enumerate() {
        edges.push(TestNode::edge(voter, &format!("edge-{at}"), Setup::default()).await);
    }
    follow_relay(&edges.iter().collect::<Vec<_>>(), &relay).await;
    let all: Vec<&TestNode> = voters.iter().chain([&relay]).chain(&edges).collect();
    for (at, node) in all.iter().enumerate() {
        let Ok(Outcome::ClientAdded(id)) = node.carry_out(add_client(&format!("at-{at}"))).await else { panic!("not added") };
        // Read your writes: whoever was answered finds it here.
        assert!(node.control.replica().client(&id).expect("reads").is_some());
    }
    converge(&all).await;
    for (node, depth) in [(&relay, 0), (&edges[0], 1), (&edges[1], 1), (&edges[2], 1)] {
        // A machine that is busy may cost it a parent for a moment.
        until("it follows at its depth", async || node.control.status().parent.is_some_and(|parent| parent.depth == depth)).await;
        let status = node.control.status();
        assert_eq!((status.role, status.members.voters.len()), (NodeRole::Edge, 3));
        assert!(node.control.raft().is_none() && status.members.learners.is_empty(), "it has no part in Raft");
    }
    until("the relay feeds all three", async || relay.control.children().iter().filter(|child| child.following).count() == 3).await;
    until("every edge has a warm parent", async || edges.iter().all(|edge| edge.control.status().standby.is_some())).await;
    let written = edges[0].carry_out(add_client("before the read")).await;
    assert!(matches!(written, Ok(Outcome::ClientAdded(_))));
    let newest = edges[0].control.replica().revision();
    assert!(edges[1].control.read_index(PATIENCE).await.expect("a revision") >= newest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_hubs_is_survived() {
    let [first, second, third] = voters(Setup::default()).await;
    let relay = TestNode::edge(&first, "relay", Setup::relay()).await;
    let edges = [TestNode::edge(&first, "e1", Setup::default()).await, TestNode::edge(&first, "e2", Setup::default()).await];
    follow_relay(&[&edges[0], &edges[1]], &relay).await;
    // A voter that was an edge before has a log that begins where it became one; whoever starts with nothing may need a checkpoint.
    let checkpoints = edges[0].control.status().checkpoints;
    let writing = first.write(300);
    let killing = async {
        let stopped = relay.stop().await;
        for edge in &edges {
            until("a voter is followed", async || edge.parent().is_some_and(|parent| parent.0 != stopped_id(&first, "relay"))).await;
        }
        stopped
    };
    let ((), stopped) = tokio::join!(writing, killing);
    let relay = stopped.start().await;
    follow_relay(&[&edges[0], &edges[1]], &relay).await;

    // A voter goes, and whoever followed it, the relay perhaps, finds another.
    let outlast = second.stop().await;
    first.write(100).await;
    let second = outlast.start().await;
    converge(&[&first, &second, &third, &relay, &edges[0], &edges[1]]).await;
    assert_eq!(edges[0].control.status().checkpoints, checkpoints, "entries were all it took");
}

fn stopped_id(at: &TestNode, name: &str) -> u64 {
    let nodes = at.control.replica().nodes().expect("reads");
    nodes.iter().find(|node| node.name == name).map_or(0, |node| node.id.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_ring_comes_the_log() {
    let setup = Setup::default();
    let small = Setup { hub: HubSettings { ring_bytes: 2_000, read_bytes: 1_000, ..setup.hub.clone() }, ..setup };
    let first = TestNode::first(small).await;
    let edge = TestNode::edge(&first, "edge", Setup::default()).await;
    let away = edge.stop().await;
    first.write_in_small_runs(400).await;
    let edge = away.start().await;
    converge(&[&first, &edge]).await;
    assert_eq!(edge.control.status().checkpoints, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_log_comes_a_checkpoint() {
    let setup = Setup::default();
    let forgetful = Setup { log_keep: 20, hub: HubSettings { ring_bytes: 2_000, ..setup.hub.clone() }, ..setup };
    let first = TestNode::first(forgetful).await;
    let edge = TestNode::edge(&first, "edge", Setup::default()).await;
    let next = edge.control.replica().revision().index + 1;
    let away = edge.stop().await;
    let purged = || first.control.raft().expect("votes").status().purged;
    until("the log does not reach back", async || {
        first.write(50).await;
        purged().is_some_and(|purged| purged > next)
    })
    .await;
    let edge = away.start().await;
    converge(&[&first, &edge]).await;
    // Perhaps more than one: this log forgets so much that a checkpoint may be too old when it arrives.
    assert!(edge.control.status().checkpoints >= 1);
    // One that begins with nothing takes the same way.
    let fresh = TestNode::edge(&first, "fresh", Setup::default()).await;
    converge(&[&first, &edge, &fresh]).await;
    assert!(fresh.control.status().checkpoints >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_ring_of_a_relay_comes_a_voter_and_then_the_relay_again() {
    let first = TestNode::first(Setup::default()).await;
    let setup = Setup::relay();
    let small = Setup { hub: HubSettings { ring_bytes: 2_000, ..setup.hub.clone() }, ..setup };
    let relay = TestNode::edge(&first, "relay", small).await;
    let edge = TestNode::edge(&first, "edge", Setup::default()).await;
    follow_relay(&[&edge], &relay).await;
    let away = edge.stop().await;
    first.write_in_small_runs(400).await;
    converge(&[&first, &relay]).await;
    let edge = away.start().await;
    converge(&[&first, &edge]).await;
    follow_relay(&[&edge], &relay).await;
    let status = edge.control.status();
    assert!(status.parent_changes >= 2, "it had the voter for a parent: {status:?}");
    assert_eq!(status.checkpoints, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_takes_nothing_is_dropped_and_nobody_waits_for_it() {
    let setup = Setup::default();
    // Longer than one that takes what it is sent needs for it, on a busy machine.
    let impatient = Setup { hub: HubSettings { slow_after: Duration::from_secs(2), ..setup.hub.clone() }, ..setup };
    let first = TestNode::first(impatient).await;
    let edge = TestNode::edge(&first, "edge", Setup::default()).await;
    let token = first.token(false, 1).await;
    let idle = TestNode::joining(&token, "idle", Setup::default()).await.expect("joins");
    let id = idle.control.id();
    // It stops following by itself, and its identity opens a stream that nobody reads.
    let (up, messages) = mpsc::channel(4);
    let peers = std::sync::Arc::clone(idle.control.peers());
    let cluster_id = first.control.identity().current().cluster_id().0.to_vec().into();
    idle.control.shutdown().await;
    let hello = Hello { cluster_id, node_id: id.0, region: "eu".into(), protocol_min: 1, protocol_max: 1, ..Hello::default() };
    for message in [Message::Hello(hello), Message::Follow(Follow { lineage: 1, next: 0 })] {
        up.send(Up { message: Some(message) }).await.expect("there is room");
    }
    let channel = peers.fresh_channel(first.control.id(), &first.control.listening().to_string()).expect("a channel");
    let unread = HubClient::new(channel).sync(ReceiverStream::new(messages)).await.expect("a stream");
    let is_there = |node: NodeId| first.control.children().iter().any(|child| child.node == node && child.following);
    until("it is fed", async || is_there(id)).await;

    // Too long for a name, and long enough to fill every window on the way.
    let large = Command::AddClient(ncore_model::AddClient {
        name: "x".repeat(900_000),
        secret_hash: String::new(),
        scopes: Vec::new(),
        domains: Vec::new(),
    });
    until("it is dropped", async || {
        assert!(matches!(first.carry_out(large.clone()).await, Ok(Outcome::Rejected(_))));
        !is_there(id)
    })
    .await;
    assert!(is_there(edge.control.id()));
    converge(&[&first, &edge]).await;
    drop(unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hub_feeds_more_than_it_may() {
    let setup = Setup::default();
    let narrow = Setup { hub: HubSettings { children: 1, ..setup.hub.clone() }, ..setup };
    let voters = voters(narrow).await;
    let mut edges = Vec::new();
    for at in 0..3 {
        edges.push(TestNode::edge(&voters[0], &format!("edge-{at}"), Setup::default()).await);
    }
    let all: Vec<&TestNode> = voters.iter().chain(&edges).collect();
    voters[0].write(50).await;
    converge(&all).await;
    until("each has a hub of its own", async || {
        let mut parents: Vec<_> = edges.iter().filter_map(TestNode::parent).collect();
        parents.sort();
        parents.dedup();
        parents.len() == 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_becomes_a_voter_and_a_voter_an_edge() {
    let [first, second, third] = voters(Setup::default()).await;
    first.write(20).await;
    let edge = TestNode::edge(&first, "edge", Setup::default()).await;
    let id = edge.control.id();
    let vote = |voter| Command::SetVoter { node: id, voter };
    until("the level allows it", async || first.carry_out(vote(true)).await == Ok(Outcome::Done)).await;
    let row = first.control.replica().node(id).expect("reads").expect("joined");
    first.control.give_vote(&row, PATIENCE).await.expect("is promoted");
    until("it votes", async || first.control.status().members.voters.contains(&id.0)).await;
    until("it has the authority", async || edge.control.identity().current().authority().is_some()).await;
    first.control.change_membership(MembershipChange::TransferLeader(id), PATIENCE).await.expect("is transferred");
    until("it leads", async || edge.control.status().role == NodeRole::Leader).await;
    first.write(20).await;
    converge(&[&first, &second, &third, &edge]).await;

    assert_eq!(first.carry_out(vote(false)).await, Ok(Outcome::Done));
    first.control.change_membership(MembershipChange::TransferLeader(first.control.id()), PATIENCE).await.expect("is transferred");
    first.control.change_membership(MembershipChange::Demote(id), PATIENCE).await.expect("is demoted");
    until("it is a learner until its next start", async || edge.control.status().role == NodeRole::Learner).await;
    let edge = edge.stop().await.start().await;
    assert_eq!(edge.control.status().role, NodeRole::Edge);
    until("Raft has forgotten it", async || !first.control.status().members.addresses.contains_key(&id.0)).await;
    first.write(20).await;
    converge(&[&first, &second, &third, &edge]).await;

    // And once more, with the log that it still has.
    assert_eq!(first.carry_out(vote(true)).await, Ok(Outcome::Done));
    first.control.give_vote(&row, PATIENCE).await.expect("is promoted again");
    until("it votes again", async || first.control.status().members.voters.contains(&id.0)).await;
    let edge = edge.stop().await.start().await;
    until("it follows as a voter", async || edge.control.status().role == NodeRole::Follower).await;
    first.write(20).await;
    converge(&[&first, &second, &third, &edge]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_edge_learns_of_nothing_that_came_after() {
    let first = TestNode::first(Setup::default()).await;
    let edge = TestNode::edge(&first, "edge", Setup::default()).await;
    let gone = edge.control.id();
    first.write(5).await;
    converge(&[&first, &edge]).await;
    assert_eq!(first.carry_out(Command::SetNodeState { node: gone, state: NodeState::Removed }).await, Ok(Outcome::Done));
    let removed_at = first.control.replica().revision();
    first.control.change_membership(MembershipChange::Remove(gone), PATIENCE).await.expect("an edge is none of Raft's");
    first.write(5).await;
    until("its stream has ended", async || first.control.children().is_empty()).await;
    assert!(edge.control.replica().revision() < removed_at);
    let again = edge.stop().await.start().await;
    until("it is refused", async || again.parent().is_none()).await;
    first.write(5).await;
    assert!(again.control.replica().revision() < removed_at);
}
