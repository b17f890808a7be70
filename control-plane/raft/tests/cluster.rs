//! Whole clusters in one process: real gRPC, real disks, links that break.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant as Clock},
};

use ncore_proto::raft::v1::{self as pb, raft_client::RaftClient};
use ncore_raft::{
    ChangeError, CommittedEntry, CommittedPayload, EntriesError, InitializeError, Lane, NewLog, OpenError, ProposeError, RaftConfig,
    ReadError, StateMachine, StoppedLog, TransferError, begin_log,
};
use support::cluster::{CLUSTER_ID, Cluster, changed, command, disk_bytes, eventually, serve, soon};
use tokio::time::Instant;
use tonic::Code;

fn defaults(_: &mut RaftConfig) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_forms_and_replicates() {
    let cluster = Cluster::formed(3, 3, defaults).await;
    let leader = cluster.leader().await;
    let raft = &cluster.nodes[&leader].raft;
    assert!(matches!(raft.initialize().await, Err(InitializeError::AlreadyInitialized)));

    let first = raft.propose(command("k", b"one"), soon()).await.unwrap();
    assert_eq!(first.outcome, "");
    let second = raft.propose(command("k", b"two"), soon()).await.unwrap();
    assert_eq!(second.outcome, "one", "the outcome is the state machine's");
    assert!(second.position > first.position);

    let commands = (0..100).map(|n| command("many", n.to_string().as_bytes())).collect();
    let many = raft.propose_many(commands, soon()).await.unwrap();
    let outcomes: Vec<_> = many.into_iter().map(|result| result.unwrap().outcome).collect();
    assert_eq!(outcomes.len(), 100);
    assert_eq!(outcomes[99], "98", "in the order of the batch");

    let read = raft.read_index(soon()).await.unwrap();
    assert!(read >= second.position.index);
    for (id, node) in &cluster.nodes {
        let index = node.raft.read_index_anywhere(soon()).await.unwrap();
        assert!(index >= read);
        node.raft.wait_applied(index, soon()).await.unwrap();
        assert_eq!(node.machine.get("k").unwrap(), "two");
        if *id != leader {
            assert_eq!(node.raft.read_index(soon()).await, Err(ReadError::NotLeader { leader: Some(leader) }));
            let refused = node.raft.propose(command("k", b"three"), soon()).await;
            assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(leader) }));
        }
    }

    let status = raft.status();
    assert_eq!(status.members.voters, BTreeSet::from([1, 2, 3]));
    let peers = status.peers.unwrap();
    assert_eq!(peers.len(), 2);
    assert!(peers.values().all(|peer| peer.ack_age.unwrap() < Duration::from_secs(5)));

    let entries = raft.committed_entries(second.position.index, 1).await.unwrap();
    assert_eq!(entries.len(), 1, "one entry even beyond the limit");
    assert_eq!(entries[0].payload, CommittedPayload::Command(command("k", b"two")));
    assert!(raft.committed_entries(raft.status().committed.unwrap() + 1, 1 << 20).await.unwrap().is_empty());
    let too_large = raft.propose(vec![0; (4 << 20) + 1].into(), soon()).await;
    assert!(matches!(too_large, Err(ProposeError::TooLarge { .. })));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_a_leader_loses_nothing() {
    let mut cluster = Cluster::formed(3, 3, defaults).await;
    for n in 0..50 {
        cluster.put(&format!("before-{n}"), b"x").await;
    }
    let dead = cluster.leader().await;
    cluster.stop_node(dead).await;
    let last = cluster.put("after", b"y").await;
    assert_ne!(cluster.leader().await, dead);
    cluster.all_applied(last.position.index).await;

    cluster.start_node(dead).await;
    let back = &cluster.nodes[&dead];
    back.raft.wait_recovered(soon()).await.unwrap();
    back.raft.wait_applied(last.position.index, soon()).await.unwrap();
    for node in cluster.nodes.values() {
        assert_eq!(node.machine.len(), 51);
    }
    cluster.stop().await;
}

/// Across oceans it is what decides for how long a lost leader holds up writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(debug_assertions, ignore = "not done in debug builds")]
async fn a_new_leader_sends_nothing_that_its_voters_have() {
    let mut cluster = Cluster::formed(3, 3, defaults).await;
    let old = cluster.leader().await;
    let mut last = 0;
    for _ in 0..50 {
        let commands = (0..10).map(|n| command(&format!("k{n}"), &[b'x'; 10_000])).collect();
        let written = cluster.nodes[&old].raft.propose_many(commands, soon()).await.unwrap();
        last = written.last().unwrap().as_ref().unwrap().position.index;
    }
    cluster.all_applied(last).await;
    assert!(cluster.sent(old) > 5_000_000);

    cluster.stop_node(old).await;
    let new = cluster.leader().await;
    let first = cluster.put("after", b"x").await;
    cluster.all_applied(first.position.index).await;
    let sent = cluster.sent(new);
    assert!(sent < 100_000, "{sent} bytes of a log that all have");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_a_quorum_answers_nothing() {
    let cluster = Cluster::formed(3, 3, defaults).await;
    cluster.put("k", b"old").await;
    let old = cluster.leader().await;
    cluster.isolate(old, true);

    let raft = cluster.nodes[&old].raft.clone();
    let soon_enough = Instant::now() + Duration::from_millis(1500);
    let lost = raft.propose(command("k", b"lost"), soon_enough).await;
    assert!(matches!(lost, Err(ProposeError::Unknown | ProposeError::Unavailable)), "{lost:?}");
    eventually("another node leads", || async { cluster.nodes.iter().any(|(id, node)| *id != old && node.raft.status().is_leader()) })
        .await;
    let new = *cluster.nodes.iter().find(|(id, node)| **id != old && node.raft.status().is_leader()).unwrap().0;
    cluster.nodes[&new].raft.propose(command("k", b"new"), soon()).await.unwrap();
    let stale = raft.read_index(Instant::now() + Duration::from_millis(1500)).await;
    assert!(stale.is_err(), "the old leader must not give a read index: {stale:?}");
    let refused = raft.propose(command("k", b"late"), Instant::now() + Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(ProposeError::Unavailable | ProposeError::NotLeader { .. })), "nothing may be written: {refused:?}");

    cluster.isolate(old, false);
    let last = cluster.put("end", b"z").await;
    cluster.all_applied(last.position.index).await;
    for node in cluster.nodes.values() {
        assert_ne!(node.machine.get("k").unwrap(), "late");
    }
    cluster.stop().await;
}

/// Whatever is written and read meanwhile, a peer whose port is closed is dialled now and then, and found soon when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_down_is_tried_with_pauses() {
    let cluster = Cluster::formed(3, 3, defaults).await;
    let leader = cluster.leader().await;
    let down = if leader == 3 { 2 } else { 3 };
    let lanes = [Lane::Control, Lane::Log].map(|lane| (leader, down, lane));
    let dials = || lanes.map(|(from, to, lane)| cluster.dials(from, to, lane));
    for lane in &lanes {
        cluster.links[lane].close().await;
    }
    eventually("the loss is noticed", || async { cluster.dials(leader, down, Lane::Log) > 1 }).await;

    let (before, started) = (dials(), Clock::now());
    let mut written = 0;
    while started.elapsed() < Duration::from_secs(1) {
        cluster.put("k", b"v").await;
        written += 1;
    }
    let [control, log] = [0, 1].map(|lane| dials()[lane] - before[lane]);
    let seconds = started.elapsed().as_secs() + 1;
    assert!(written > 0, "the others take writes");
    // Pauses of 50, 100, 200, 400 ms, and then of 500 ms.
    assert!((1..=5 * seconds).contains(&log), "{log} tries in {seconds} s");
    // Heartbeats, of which each read asks for one, with pauses of 50, 100, 200 ms and so on; and one call a second besides.
    assert!((1..=8 * seconds).contains(&control), "{control} tries of heartbeats in {seconds} s");

    let last = cluster.put("k", b"w").await.position.index;
    let reopened = Clock::now();
    for lane in &lanes {
        cluster.links[lane].reopen().await;
    }
    cluster.nodes[&down].raft.wait_applied(last, soon()).await.unwrap();
    let took = reopened.elapsed();
    // The longest pause is 500 ms; the rest is for a busy machine.
    assert!(took < Duration::from_secs(3), "back after {took:?}");
    cluster.stop().await;
}

/// An election that finds no connection between the followers takes longer by the making of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_are_connected_before_they_vote() {
    let cluster = Cluster::formed(3, 3, defaults).await;
    for (from, to) in [(2, 3), (3, 2)] {
        eventually("a follower has dialled the other", || async { cluster.dials(from, to, Lane::Control) > 0 }).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_at_once() {
    let cluster = Cluster::formed(3, 3, |config| (config.election_min, config.election_max) = (ELECTION, ELECTION * 2)).await;
    let from = cluster.leader().await;
    let to = if from == 3 { 2 } else { 3 };
    cluster.put("k", b"v").await;
    let raft = &cluster.nodes[&from].raft;
    assert_eq!(raft.transfer_leader(9, soon()).await, Err(TransferError::NotVoter { node_id: 9 }));
    let other = &cluster.nodes[&to].raft;
    assert!(matches!(other.transfer_leader(from, soon()).await, Err(TransferError::NotLeader { .. })));

    let started = Clock::now();
    raft.transfer_leader(to, soon()).await.unwrap();
    let took = started.elapsed();
    // Without the messages of a transfer the others wait for an election at least.
    assert!(took < ELECTION, "took {took:?}");
    assert_eq!(cluster.leader().await, to);
    cluster.put("k", b"w").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go() {
    let cluster = Cluster::formed(4, 3, defaults).await;
    let leader = cluster.leader().await;
    let raft = &cluster.nodes[&leader].raft;
    let before = cluster.stamp(leader);
    cluster.add_learner(4).await;
    assert_eq!(raft.promote(4, before, soon()).await, Err(ChangeError::Stale), "decided on a membership that is gone");
    let last = cluster.put("k", b"v").await;
    cluster.all_applied(last.position.index).await;

    changed(raft, async |stamp| raft.promote(4, stamp, soon()).await).await;
    eventually("all four vote", || async { raft.status().members.voters == BTreeSet::from([1, 2, 3, 4]) }).await;
    assert_eq!(raft.promote(9, cluster.stamp(leader), soon()).await, Err(ChangeError::UnknownNode { node_id: 9 }));
    assert_eq!(raft.remove(9, cluster.stamp(leader), soon()).await, Err(ChangeError::UnknownNode { node_id: 9 }));
    assert_eq!(raft.change_voters(BTreeSet::new(), cluster.stamp(leader), soon()).await, Err(ChangeError::NoVoters));

    let follower = if leader == 2 { 3 } else { 2 };
    let rest: BTreeSet<u64> = [1, 2, 3, 4].into_iter().filter(|id| *id != follower).collect();
    changed(raft, async |stamp| raft.change_voters(rest.clone(), stamp, soon()).await).await;
    eventually("it stays without a vote", || async { raft.status().members.learners == BTreeSet::from([follower]) }).await;
    changed(raft, async |stamp| raft.remove(follower, stamp, soon()).await).await;
    eventually("it is forgotten", || async { !raft.status().members.addresses.contains_key(&follower) }).await;

    // The leader itself: it hands over when the change is done.
    changed(raft, async |stamp| raft.remove(leader, stamp, soon()).await).await;
    eventually("another node leads", || async { rest.iter().any(|id| *id != leader && cluster.nodes[id].raft.status().is_leader()) }).await;
    let heir = *rest.iter().find(|id| **id != leader && cluster.nodes[id].raft.status().is_leader()).unwrap();
    cluster.nodes[&heir].raft.propose(command("k", b"w"), soon()).await.unwrap();
    let remaining: BTreeSet<u64> = rest.into_iter().filter(|id| *id != leader).collect();
    assert_eq!(cluster.nodes[&heir].raft.status().members.voters, remaining);
    cluster.stop().await;
}

/// As an operator removes a node, and the leader takes its vote at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_losing_its_vote_is_removed_once_it_has_lost_it() {
    let cluster = Cluster::formed(3, 3, defaults).await;
    let leader = cluster.leader().await;
    let [leaver, stays] = [1, 2, 3].into_iter().filter(|id| *id != leader).collect::<Vec<_>>()[..] else { panic!("three nodes") };
    let raft = &cluster.nodes[&leader].raft;
    cluster.isolate(stays, true);
    let voters = BTreeSet::from([leader, stays]);
    let demoted = changed(raft, async |stamp| raft.change_voters(voters.clone(), stamp, soon()).await);
    let removed = async {
        eventually("the change is under way", || async { raft.status().members.joint.is_some() }).await;
        assert_eq!(raft.remove(leaver, cluster.stamp(leader), soon()).await, Err(ChangeError::Stale), "it is to be looked at again");
        cluster.isolate(stays, false);
        changed(raft, async |stamp| raft.remove(leaver, stamp, soon()).await).await;
        eventually("it is forgotten", || async { !raft.status().members.addresses.contains_key(&leaver) }).await;
    };
    tokio::join!(demoted, removed);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_after_a_restart() {
    let mut cluster = Cluster::formed(3, 3, |config| {
        config.snapshot_entries = 40;
        config.keep_entries = 10;
        config.purge_batch = 1;
    })
    .await;
    let mut last = 0;
    for n in 0..100 {
        last = cluster.put(&format!("key-{n}"), b"x").await.position.index;
    }
    cluster.all_applied(last).await;
    eventually("the log was shortened", || async {
        cluster.nodes.values().all(|node| node.raft.status().purged.is_some_and(|purged| purged > 20))
    })
    .await;
    for node in cluster.nodes.values() {
        assert!(matches!(node.raft.committed_entries(0, 1 << 20).await, Err(EntriesError::Purged { first }) if first > 20));
    }
    for id in 1..=3 {
        cluster.stop_node(id).await;
    }
    for id in 1..=3 {
        cluster.start_node(id).await;
    }
    for node in cluster.nodes.values() {
        node.raft.wait_recovered(soon()).await.unwrap();
        assert_eq!(node.machine.len(), 100);
        assert_eq!(node.raft.status().members.voters, BTreeSet::from([1, 2, 3]));
    }
    cluster.put("more", b"y").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_pulled_over_a_link_that_breaks() {
    let cluster = Cluster::formed(2, 1, |config| {
        config.keep_entries = 0;
        config.purge_batch = 1;
        config.snapshot_idle = Duration::from_secs(5);
    })
    .await;
    let leader = &cluster.nodes[&1];
    let mut noise = Noise(7);
    for n in 0..64 {
        cluster.put(&format!("blob-{n}"), &noise.bytes(1 << 20)).await;
    }
    leader.raft.trigger_snapshot().await.unwrap();
    eventually("the log is purged", || async { leader.raft.status().purged.is_some_and(|purged| purged >= 64) }).await;
    let size = disk_bytes(&cluster.node_dir(1).join("snap"));
    assert!(size > 64 << 20);

    let link = &cluster.links[&(2, 1, Lane::Bulk)];
    link.cut_after(size / 2);
    cluster.add_learner(2).await;
    let learner = &cluster.nodes[&2];
    eventually("the learner has it all", || async { learner.machine.len() == 64 }).await;
    assert_eq!(link.cuts(), 1, "the link broke in the middle");
    let sent = leader.raft.snapshot_bytes_sent();
    assert!(sent >= size * 9 / 10 && sent <= size * 11 / 10, "sent {sent} bytes of {size}");
    for n in [0, 31, 63] {
        let key = format!("blob-{n}");
        assert_eq!(learner.machine.get(&key), leader.machine.get(&key));
    }
    // And the log goes on from there.
    let last = cluster.put("k", b"v").await;
    learner.raft.wait_applied(last.position.index, soon()).await.unwrap();
    assert_eq!(learner.raft.status().snapshot, leader.raft.status().snapshot);

    // A later snapshot shares most of its files with the one that is there.
    cluster.isolate(2, true);
    let last = cluster.put("more", b"w").await;
    leader.raft.trigger_snapshot().await.unwrap();
    eventually("the log is purged again", || async { leader.raft.status().purged >= Some(last.position.index) }).await;
    cluster.isolate(2, false);
    learner.raft.wait_applied(last.position.index, soon()).await.unwrap();
    let again = leader.raft.snapshot_bytes_sent() - sent;
    assert!(again < size / 4, "sent {again} bytes again");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_sent_no_faster_than_allowed() {
    const RATE: u64 = 8 << 20;
    let cluster = Cluster::formed(3, 1, |config| {
        config.keep_entries = 0;
        config.purge_batch = 1;
        config.snapshot_rate = RATE;
    })
    .await;
    let mut noise = Noise(13);
    for n in 0..8 {
        cluster.put(&format!("blob-{n}"), &noise.bytes(1 << 20)).await;
    }
    let leader = &cluster.nodes[&1].raft;
    leader.trigger_snapshot().await.unwrap();
    eventually("the log is purged", || async { leader.status().purged.is_some_and(|purged| purged >= 8) }).await;
    let started = Clock::now();
    // Both at once: the rate is the sender's.
    for id in [2, 3] {
        cluster.add_learner(id).await;
    }
    for id in [2, 3] {
        eventually("the learner has it all", || async { cluster.nodes[&id].machine.len() == 8 }).await;
    }
    let (took, sent) = (started.elapsed(), leader.snapshot_bytes_sent());
    assert!(sent >= 16 << 20, "sent {sent}");
    // Less what may be sent at once after a pause, and the last piece of each, which is paid for afterwards.
    let at_least = Duration::from_secs_f64((sent - (1 << 20)) as f64 / RATE as f64) - Duration::from_millis(200);
    assert!(took >= at_least, "{sent} bytes in {took:?}, expected {at_least:?} at least");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_pulled_snapshot_survives_the_receivers_restart() {
    let mut cluster = Cluster::formed(2, 1, |config| {
        config.keep_entries = 0;
        config.purge_batch = 1;
    })
    .await;
    let mut noise = Noise(11);
    for n in 0..32 {
        cluster.put(&format!("blob-{n}"), &noise.bytes(1 << 20)).await;
    }
    let leader = cluster.nodes[&1].raft.clone();
    leader.trigger_snapshot().await.unwrap();
    eventually("the log is purged", || async { leader.status().purged.is_some_and(|purged| purged >= 32) }).await;
    let size = disk_bytes(&cluster.node_dir(1).join("snap"));

    let link = &cluster.links[&(2, 1, Lane::Bulk)];
    link.cut_after(size / 2);
    cluster.add_learner(2).await;
    eventually("the link broke", || async {
        let broke = link.cuts() == 1;
        if broke {
            link.block();
        }
        broke
    })
    .await;
    cluster.stop_node(2).await;
    let kept = disk_bytes(&cluster.node_dir(2).join("incoming"));
    assert!(kept > size / 4, "kept {kept} of {size}");
    cluster.links[&(2, 1, Lane::Bulk)].heal();
    cluster.start_node(2).await;
    let learner = &cluster.nodes[&2];
    eventually("the learner has it all", || async { learner.machine.len() == 32 }).await;
    let sent = leader.snapshot_bytes_sent();
    assert!(sent <= size * 12 / 10, "sent {sent} bytes of {size}");
    eventually("nothing is left over", || async { disk_bytes(&cluster.node_dir(2).join("incoming")) == 0 }).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impostors_are_refused() {
    let cluster = Cluster::formed(1, 1, defaults).await;
    let raft = &cluster.nodes[&1].raft;
    let (port, server) = serve(raft, 7).await;
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let mut client = RaftClient::new(endpoint.connect().await.unwrap());
    let route = |cluster_id: [u8; 16], from, to| Some(pb::Route { cluster_id: cluster_id.to_vec().into(), from, to });
    let read = |route| pb::ReadIndexRequest { route, deadline_ms: 1000 };

    let refused = [route([0; 16], 7, 1), route(CLUSTER_ID, 8, 1), route(CLUSTER_ID, 7, 2), None];
    for route in refused {
        let status = client.read_index(read(route)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    client.read_index(read(route(CLUSTER_ID, 7, 1))).await.unwrap();

    // A vote in another node's name, though the route is honest.
    let vote = Some(pb::Vote { term: 1000, node: 8, committed: false });
    let request = pb::VoteRequest { route: route(CLUSTER_ID, 7, 1), vote, last_log: None, leadership_transfer: true };
    let status = client.vote(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let entries = pb::AppendRequest { route: route(CLUSTER_ID, 7, 1), vote, previous: None, entries: vec![], committed: None };
    let mut replies = client.append(tokio_stream::once(entries)).await.unwrap().into_inner();
    assert_eq!(replies.message().await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(raft.status().term, 1);

    let name = "../../../etc/passwd".to_owned();
    let fetch = pb::FetchRequest { route: route(CLUSTER_ID, 7, 1), reference: "x".to_owned(), file: name, offset: 0 };
    assert_eq!(client.fetch_snapshot(fetch).await.unwrap_err().code(), Code::NotFound);
    server.abort();
    cluster.stop().await;
}

/// The shortest time until an election, where it is measured how soon there is a leader without one.
const ELECTION: Duration = Duration::from_secs(4);

/// Bytes that do not compress.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0 += 1;
        let mut reader = blake3::Hasher::new().update(&self.0.to_le_bytes()).finalize_xof();
        reader.fill(&mut bytes);
        bytes
    }
}

/// What a follower has on disk is enough for a cluster of its own, that others can join.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_begins_a_new_log() {
    let mut cluster = Cluster::formed(4, 3, defaults).await;
    cluster.stop_node(4).await;
    let leader = cluster.leader().await;
    let survivor = if leader == 1 { 2 } else { 1 };
    let mut last = 0;
    for n in 0..20 {
        last = cluster.put(&format!("key-{n}"), b"before").await.position.index;
    }
    cluster.all_applied(last).await;
    assert!(matches!(StoppedLog::open(&cluster.node_dir(survivor)), Err(OpenError::Database(_))), "of a node that runs");
    for id in [1, 2, 3] {
        cluster.stop_node(id).await;
    }

    let dir = cluster.node_dir(survivor);
    let (extent, term) = {
        let old = StoppedLog::open(&dir).unwrap();
        let extent = old.extent().clone();
        assert_eq!((extent.node_id, extent.cluster_id.as_slice()), (survivor, CLUSTER_ID.as_slice()));
        assert!(extent.last.unwrap().index >= last && extent.committed <= extent.last);
        let read: Vec<CommittedEntry> = old.entries(last - 9, last).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.iter().map(|entry| entry.position.index).collect::<Vec<_>>(), (last - 9..=last).collect::<Vec<_>>());
        assert_eq!(read[9].payload, CommittedPayload::Command(command("key-19", b"before")));
        let beyond = old.entries(last, extent.last.unwrap().index + 1).last().unwrap();
        assert!(matches!(beyond, Err(OpenError::Data(_))), "what is not there is no entry");
        let term = extent.term + 1;
        (extent, term)
    };
    let index = extent.last.unwrap().index + 1_000_000;
    let new = NewLog { node_id: survivor, cluster_id: CLUSTER_ID, address: format!("node-{survivor}"), term, index };
    let beside = dir.join("beside");
    let mark = begin_log(&beside, &new).unwrap();
    assert!(matches!(begin_log(&beside, &new), Err(OpenError::Directory { .. })), "there is a log now");
    for name in ["log", "snap"] {
        fs::remove_dir_all(dir.join(name)).unwrap();
    }
    fs::rename(beside.join("log"), dir.join("log")).unwrap();
    let machine = support::machine::TestMachine::open(&dir.join("state"));
    machine
        .apply(vec![CommittedEntry { position: mark.position.unwrap(), payload: CommittedPayload::Membership(mark.membership) }])
        .unwrap();
    drop(machine);

    cluster.start_node(survivor).await;
    let after = cluster.put("after", b"alone").await;
    assert!(after.position.index > index && after.position.term > term, "{after:?}");
    assert_eq!(cluster.nodes[&survivor].machine.get("key-19").unwrap(), "before");
    assert_eq!(cluster.nodes[&survivor].raft.status().members.voters, BTreeSet::from([survivor]));

    cluster.start_node(4).await;
    cluster.add_learner(4).await;
    cluster.all_applied(after.position.index).await;
    assert_eq!(cluster.nodes[&4].machine.len(), 21, "by the snapshot, for the log does not reach back");
    cluster.stop().await;
}
