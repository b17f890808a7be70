//! Copies on peers: of uploads, and of blobs that are here.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use harness::{
    Node, PATIENCE, TestPeers, content, dead_address, eventually,
    faulty::{Fault, Faulty},
    get, serve, serve_node, silent_address,
};
use ncore_model::NodeId;
use ncore_store::PinId;
use ncore_transfer::{CopyFan, CopyStatus, ServiceSettings, TransferSettings};
use tokio::time::{Instant, timeout};

const MIB: usize = 1 << 20;
const PIN: PinId = PinId(7);

fn sorted(mut nodes: Vec<NodeId>) -> Vec<u64> {
    nodes.sort();
    nodes.into_iter().map(|node| node.0).collect()
}

/// A time that is not to come while a test waits for what it expects.
fn in_time() -> Instant {
    Instant::now() + PATIENCE
}

/// Sends as an upload does: in pieces of odd sizes.
async fn upload(fan: &mut CopyFan, bytes: &[u8]) {
    for piece in bytes.chunks(300_001) {
        fan.send(Bytes::copy_from_slice(piece)).await;
    }
}

#[tokio::test]
async fn an_upload_goes_to_other_regions_first_and_counts_when_durable() {
    let here = Node::new();
    let nodes = [Node::new(), Node::new(), Node::new(), Node::new()];
    let mut peers = TestPeers::default();
    for (node, (peer, region)) in nodes.iter().zip(["here", "b", "b", "c"]).enumerate() {
        peers = peers.with(node as u64 + 2, region, serve_node(peer).await);
    }
    let transfer = here.transfer(peers, TransferSettings::default());
    let bytes = content(3 * MIB + 17, 1);
    let hash = blake3::hash(&bytes);
    let mut fan = transfer.start_copy(PIN, Some(bytes.len() as u64), 2);
    upload(&mut fan, &bytes).await;
    assert_eq!(fan.live(), 2);
    assert_eq!(sorted(fan.finish(hash, bytes.len() as u64, in_time()).await), [3, 5]);
    for holder in [&nodes[1], &nodes[3]] {
        assert!(holder.has(hash));
        assert_eq!(holder.pins(hash).await, [PIN]);
        assert_eq!(holder.content(hash, bytes.len() as u64).await, bytes);
    }
    assert!(!nodes[0].has(hash) && !nodes[2].has(hash));

    transfer.unpin(NodeId(3), hash, PIN).await.expect("unpins");
    transfer.unpin(NodeId(3), hash, PIN).await.expect("unpinning twice is fine");
    assert_eq!(nodes[1].pins(hash).await, []);
    let stats = transfer.stat(NodeId(3), &[hash, blake3::hash(b"other")]).await.expect("stat");
    assert!(matches!(stats[0].status, CopyStatus::Present { size, verified_at_ms } if size == bytes.len() as u64 && verified_at_ms > 0));
    assert_eq!(stats[1].status, CopyStatus::Absent);
}

#[tokio::test]
async fn an_empty_upload_is_copied_too() {
    let (here, peer) = (Node::new(), Node::new());
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let fan = transfer.start_copy(PIN, None, 1);
    let hash = blake3::hash(b"");
    assert_eq!(sorted(fan.finish(hash, 0, in_time()).await), [2]);
    assert!(peer.has(hash));
}

#[tokio::test]
async fn bytes_that_are_not_what_was_announced_are_not_kept() {
    let (here, peer) = (Node::new(), Node::new());
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let bytes = content(MIB, 2);
    let announcements = [(blake3::hash(b"another"), MIB as u64), (blake3::hash(&bytes), MIB as u64 + 1)];
    for (hash, size) in announcements {
        let mut fan = transfer.start_copy(PIN, None, 1);
        upload(&mut fan, &bytes).await;
        assert_eq!(fan.finish(hash, size, in_time()).await, []);
        assert!(!peer.has(hash) && !peer.has(blake3::hash(&bytes)));
    }
    assert_eq!(get(&peer.metrics.pushes_mismatched), 2);
    eventually("the bytes are gone", || peer.incoming() == 0).await;
}

#[tokio::test]
async fn a_full_peer_is_made_up_for_by_another() {
    let (here, full, other) = (Node::new(), Node::with(u64::MAX / 2, ServiceSettings::default()), Node::new());
    let peers = TestPeers::default().with(2, "b", serve_node(&full).await).with(3, "c", serve_node(&other).await);
    let transfer = here.transfer(peers, TransferSettings::default());
    let bytes = content(2 * MIB, 3);
    let hash = here.put(&bytes).await;
    for hint in [None, Some(bytes.len() as u64)] {
        let mut fan = transfer.start_copy(PIN, hint, 1);
        upload(&mut fan, &bytes).await;
        assert_eq!(fan.finish(hash, bytes.len() as u64, in_time()).await, [], "hint {hint:?}");
    }
    assert_eq!(get(&full.metrics.pushes_full), 2);
    let copies = transfer.copy_existing(hash, bytes.len() as u64, PIN, &[], 1, in_time()).await;
    assert_eq!(sorted(copies), [3]);
    assert_eq!(other.content(hash, bytes.len() as u64).await, bytes);
    assert_eq!(other.pins(hash).await, [PIN]);
}

#[tokio::test]
async fn a_blob_that_is_too_large_for_a_peer_is_refused() {
    let settings = ServiceSettings { blob_bytes_max: 1_000, ..ServiceSettings::default() };
    let (here, peer) = (Node::new(), Node::with(0, settings));
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let bytes = content(MIB, 3);
    let mut fan = transfer.start_copy(PIN, None, 1);
    upload(&mut fan, &bytes).await;
    assert_eq!(fan.finish(blake3::hash(&bytes), MIB as u64, in_time()).await, []);
    assert_eq!(peer.incoming(), 0);
}

#[tokio::test]
async fn a_peer_that_stands_still_is_dropped_and_not_waited_for() {
    let (here, stuck, well) = (Node::new(), Node::new(), Node::new());
    let peers = TestPeers::default().with(2, "b", serve(Faulty { inner: stuck.service.clone(), fault: Fault::StallPush }).await).with(
        3,
        "c",
        serve_node(&well).await,
    );
    let settings = TransferSettings { slow_peer: Duration::from_secs(2), ..TransferSettings::default() };
    let transfer = here.transfer(peers, settings);
    let bytes = content(24 * MIB, 4);
    let mut fan = transfer.start_copy(PIN, None, 2);
    timeout(PATIENCE, upload(&mut fan, &bytes)).await.expect("the upload goes on");
    assert_eq!(fan.live(), 1);
    assert_eq!(sorted(fan.finish(blake3::hash(&bytes), bytes.len() as u64, in_time()).await), [3]);
    assert_eq!(get(&transfer.metrics().copies_slow), 1);
}

/// The peer takes the connection and what is sent, and never answers; the upload is too small to notice.
#[tokio::test]
async fn a_copy_that_is_not_confirmed_is_given_up_when_its_time_is_over() {
    let (here, stuck) = (Node::new(), Node::new());
    let address = serve(Faulty { inner: stuck.service.clone(), fault: Fault::StallPush }).await;
    let transfer = here.transfer(TestPeers::default().with(2, "b", address), TransferSettings::default());
    let bytes = content(MIB, 4);
    let hash = here.put(&bytes).await;
    let soon = || Instant::now() + Duration::from_millis(300);
    let mut fan = transfer.start_copy(PIN, None, 1);
    upload(&mut fan, &bytes).await;
    assert_eq!(fan.live(), 1);
    let ended = timeout(PATIENCE, fan.finish(hash, MIB as u64, soon())).await;
    assert_eq!(ended.expect("the fan ends"), []);
    let ended = timeout(PATIENCE, transfer.copy_existing(hash, MIB as u64, PIN, &[], 1, soon())).await;
    assert_eq!(ended.expect("the copies end"), []);
}

/// A peer whose links swallow everything looks like one that is far away. The next one is asked beside it.
#[tokio::test]
async fn a_silent_peer_holds_up_neither_an_upload_nor_a_later_copy() {
    let (here, well) = (Node::new(), Node::new());
    let peers = TestPeers::default().with(2, "b", silent_address().await).with(3, "c", serve_node(&well).await);
    let settings = TransferSettings { call: 10 * PATIENCE, ..TransferSettings::default() };
    let transfer = here.transfer(peers, settings);
    let bytes = content(MIB, 5);
    let hash = here.put(&bytes).await;
    let mut fan = transfer.start_copy(PIN, None, 1);
    upload(&mut fan, &bytes).await;
    assert_eq!(sorted(fan.finish(hash, MIB as u64, in_time()).await), [3]);
    let later = PinId(8);
    assert_eq!(sorted(transfer.copy_existing(hash, MIB as u64, later, &[], 1, in_time()).await), [3]);
    assert_eq!(well.pins(hash).await, [PIN, later]);
}

#[tokio::test]
async fn a_dead_peer_is_replaced_before_the_first_byte() {
    let (here, well) = (Node::new(), Node::new());
    let peers = TestPeers::default().with(2, "b", dead_address()).with(3, "c", dead_address()).with(4, "here", serve_node(&well).await);
    let transfer = here.transfer(peers, TransferSettings::default());
    let bytes = content(MIB, 5);
    let mut fan = transfer.start_copy(PIN, None, 1);
    upload(&mut fan, &bytes).await;
    assert_eq!(sorted(fan.finish(blake3::hash(&bytes), MIB as u64, in_time()).await), [4]);
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let (here, peer) = (Node::new(), Node::new());
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let bytes = content(8 * MIB, 6);
    let mut fan = transfer.start_copy(PIN, None, 1);
    upload(&mut fan, &bytes).await;
    eventually("bytes arrive", || get(&peer.metrics.bytes_received) > 2 * MIB as u64).await;
    fan.abort();
    eventually("the bytes are gone", || peer.incoming() == 0).await;
    assert!(!peer.has(blake3::hash(&bytes)));
    assert_eq!(peer.store.pins(None, 10).await.expect("pins"), []);
}

#[tokio::test]
async fn a_push_that_stands_still_is_ended_by_the_peer() {
    let settings = ServiceSettings { idle: Duration::from_millis(200), ..ServiceSettings::default() };
    let (here, peer) = (Node::new(), Node::with(0, settings));
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let bytes = content(MIB, 7);
    let mut fan = transfer.start_copy(PIN, None, 1);
    upload(&mut fan, &bytes).await;
    eventually("the peer gives up", || get(&peer.metrics.idle) == 1).await;
    assert_eq!(fan.finish(blake3::hash(&bytes), MIB as u64, in_time()).await, []);
}

#[tokio::test]
async fn a_busy_peer_refuses_and_the_next_is_asked() {
    let settings = ServiceSettings { pushes: 1, turn: Duration::from_millis(50), ..ServiceSettings::default() };
    let (here, busy, well) = (Node::new(), Node::with(0, settings), Node::new());
    let busy_address = serve_node(&busy).await;
    let only_busy = here.transfer(TestPeers::default().with(2, "b", busy_address), TransferSettings::default());
    let bytes = content(MIB, 8);
    let hash = here.put(&bytes).await;
    let mut first = only_busy.start_copy(PIN, None, 1);
    upload(&mut first, &bytes).await;
    eventually("the first push has the turn", || get(&busy.metrics.bytes_received) > 0).await;
    let peers = TestPeers::default().with(2, "b", busy_address).with(3, "b", serve_node(&well).await);
    let transfer = here.transfer(peers, TransferSettings::default());
    assert_eq!(sorted(transfer.copy_existing(hash, MIB as u64, PIN, &[], 1, in_time()).await), [3]);
    assert!(get(&busy.metrics.refused_busy) > 0);
    assert_eq!(sorted(first.finish(hash, MIB as u64, in_time()).await), [2]);
}

#[tokio::test]
async fn a_copy_that_is_there_already_is_pinned_and_not_sent() {
    let (here, has, damaged, lacks) = (Node::new(), Node::new(), Node::new(), Node::new());
    let bytes = content(2 * MIB, 9);
    let hash = here.put(&bytes).await;
    has.put(&bytes).await;
    damaged.put(&bytes).await;
    damaged.damage(hash, 5);
    let peers = TestPeers::default().with(2, "b", serve_node(&has).await).with(3, "c", serve_node(&damaged).await).with(
        4,
        "d",
        serve_node(&lacks).await,
    );
    let transfer = here.transfer(peers, TransferSettings::default());
    let size = bytes.len() as u64;
    assert_eq!(sorted(transfer.copy_existing(hash, size, PIN, &[NodeId(3), NodeId(4)], 5, in_time()).await), [2]);
    assert_eq!(get(&transfer.metrics().bytes_copied), 0);
    assert_eq!(sorted(transfer.copy_existing(hash, size, PIN, &[NodeId(2)], 2, in_time()).await), [3, 4]);
    assert_eq!(get(&transfer.metrics().bytes_copied), 2 * size);
    for node in [&has, &damaged, &lacks] {
        assert_eq!(node.pins(hash).await, [PIN]);
        assert_eq!(node.content(hash, size).await, bytes);
    }
}
