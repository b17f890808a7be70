//! Life after a lost quorum: a survivor that becomes a cluster of its own, and a backup that becomes another one.

use std::{fs, path::Path, time::Duration};

use ncore_control::{
    Change, ControlPlane, JoinError, MembershipChange, ProposeError, ReadError, new_request_id,
    rebuild::{RebuildError, Recovered, Recovery, Restoration, TailChoice, beginning_after, recover, restore},
};
use ncore_identity::{IdentityStore, NodeIdentity};
use ncore_model::{NodeId, NotBegun, Outcome, Query, Revision, state_hash};
use ncore_replica::{Replica, ReplicaError};

use crate::harness::{PATIENCE, Setup, Stopped, TestNode, add_client, lead, now_ms, until, voters};

/// One of three is left, with an entry that no majority has seen. Without it, and with it, it is a cluster again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_is_recovered() {
    let [first, second, third] = voters(Setup::default()).await;
    let spent = first.token(true, 5).await;
    let kept = first.carry_out(add_client("kept")).await.expect("committed");
    let leads = first.control.id();
    first.control.change_membership(MembershipChange::TransferLeader(leads), PATIENCE).await.expect("leads");
    let gone = [second.control.id(), third.control.id()];
    second.stop().await;
    lead(&first).await;
    // While the third one stops, changes are taken one after another, until one finds nobody to confirm it.
    tokio::join!(third.stop(), unconfirmed(&first));
    let before = first.control.replica().revision();
    let hash = first.hash().await;
    let known = first.control.replica().clients().expect("reads").len();
    let stopped = first.stop().await;
    let dir = stopped.dir().to_owned();

    let target = |name: &str| dir.join(name);
    let dropped = recovered(&dir, &target("dropped"), TailChoice::Drop, None).expect("recovers");
    let included = recovered(&dir, &target("included"), TailChoice::Include, Some(7)).expect("recovers");
    let refused = recovered(&dir, &target("refused"), TailChoice::Drop, Some(1));
    assert!(matches!(refused, Err(RebuildError::State(ReplicaError::Lineage(NotBegun::NotLater { lineage: 1 })))), "{refused:?}");
    assert_eq!(state_hash(&Replica::open(&dir.join("state")).expect("opens")).expect("reads"), hash, "the old state is as it was");

    assert_eq!((dropped.rebuilt.base, dropped.rebuilt.begun.lineage.base), (before, before.index));
    assert_eq!(dropped.tail.commands.get("add_client"), Some(&1), "{:?}", dropped.tail);
    assert!(included.rebuilt.base.index > before.index && included.rebuilt.begun.lineage.number == 7);
    let removed = |recovered: &Recovered| recovered.rebuilt.begun.removed.iter().map(|node| node.id).collect::<Vec<_>>();
    assert_eq!(removed(&dropped), gone);
    for (name, clients) in [("dropped", known), ("included", known + 1)] {
        let replica = Replica::open(&target(name).join("state")).expect("opens");
        assert_eq!(replica.clients().expect("reads").len(), clients, "{name}");
        assert!(replica.join_tokens().expect("reads").is_empty(), "how often they were used is not known");
    }

    for name in ["raft", "state"] {
        fs::remove_dir_all(dir.join(name)).expect("removed");
        fs::rename(target("dropped").join(name), dir.join(name)).expect("moved");
    }
    let first = stopped.start().await;
    let Outcome::ClientAdded(id) = kept else { panic!("{kept:?}") };
    assert!(first.control.replica().client(&id).expect("reads").is_some());
    assert!(matches!(first.carry_out(add_client("after")).await, Ok(Outcome::ClientAdded(_))));
    for (index, expected) in [(before.index, true), (before.index + 1, false), (u64::MAX, false)] {
        let wanted = Revision { lineage: 1, index };
        let waited = first.control.wait_for(wanted, PATIENCE).await;
        assert_eq!(waited, if expected { Ok(()) } else { Err(ReadError::Lost { wanted }) });
    }
    assert!(matches!(TestNode::joining(&spent, "n2", Setup::default()).await, Err(JoinError::Refused(_))), "withdrawn");
    let token = first.token(true, 1).await;
    let second = TestNode::joining(&token, "n2", Setup::default()).await.expect("joins under the name of one that is gone");
    until("two voters", async || first.control.status().members.voters.len() == 2).await;
    until("equal states", async || first.hash().await == second.hash().await).await;
    assert!(second.control.id() > NodeId(dropped.rebuilt.index), "no id means two nodes");
    first.stop().await;
    second.stop().await;
}

/// What a backup holds is a cluster of its own, which knows nobody of the old one and which nobody of the old one knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_restored_as_another_cluster() {
    let old = TestNode::first(Setup::default()).await;
    let Ok(Outcome::ClientAdded(id)) = old.carry_out(add_client("kept")).await else { panic!("not added") };
    let stopped = Stopped::new("n1");
    let dir = stopped.dir().to_owned();
    let checkpoint = dir.join("checkpoint");
    old.control.replica().checkpoint(&checkpoint).expect("a checkpoint");
    let base = Replica::read_checkpoint(&checkpoint, |view| Ok::<_, ReplicaError>(view.revision())).expect("reads");

    let index = beginning_after(base.index);
    let identity = NodeIdentity::found(index, now_ms() / 1_000).expect("an identity");
    let restoration = Restoration {
        checkpoint: &checkpoint,
        target: &dir,
        identity: &identity,
        description: stopped.description(),
        number: None,
        at_ms: now_ms(),
    };
    let rebuilt = restore(restoration).expect("restores");
    assert_eq!((rebuilt.base, rebuilt.index, rebuilt.begun.lineage.number), (base, index, 2));
    IdentityStore::at(&dir).create(&identity).expect("kept");
    let new = stopped.start().await;
    assert!(new.control.replica().client(&id).expect("reads").is_some());
    assert!(matches!(new.carry_out(add_client("after")).await, Ok(Outcome::ClientAdded(_))));
    assert_eq!(new.control.id(), NodeId(index));
    let cluster = new.control.replica().cluster().expect("reads").expect("is there");
    assert_eq!(cluster.cluster_id, new.control.identity().current().cluster_id().0);
    let members: Vec<NodeId> = new.control.replica().members().expect("reads").iter().map(|node| node.id).collect();
    assert_eq!(members, [NodeId(index)]);

    assert!(matches!(old.carry_out(add_client("goes on")).await, Ok(Outcome::ClientAdded(_))));
    old.stop().await;
    new.stop().await;
}

/// Asks for changes until one is in this node's log and in no other's.
async fn unconfirmed(node: &TestNode) {
    for number in 0.. {
        let command = add_client(&format!("load-{number}"));
        let change = Change { request: new_request_id(), idempotency: None, command, deadline: Duration::from_secs(2) };
        match node.control.propose(change).await {
            Ok(_) => {}
            Err(ProposeError::Unknown { .. }) => return,
            Err(error) => panic!("not even appended: {error}"),
        }
    }
}

fn recovered(dir: &Path, target: &Path, tail: TailChoice, number: Option<u32>) -> Result<Recovered, RebuildError> {
    fs::create_dir(target).expect("a directory");
    let identity = IdentityStore::at(dir).load().expect("an identity");
    recover(&Recovery {
        raft_dir: &dir.join("raft"),
        state_dir: &dir.join("state"),
        target,
        identity: &identity,
        address: "127.0.0.1:1".to_owned(),
        tail,
        number,
        at_ms: now_ms(),
    })
}
