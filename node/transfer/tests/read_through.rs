//! Reading what may be in memory, on the disk, on a peer, or damaged.

mod harness;

use std::sync::Arc;

use futures_util::future::join_all;
use harness::{
    Node, TestPeers, content, eventually,
    faulty::{Fault, Faulty},
    get, hasty, serve, serve_node,
};
use ncore_store::{PinId, Quarantine};
use ncore_transfer::{CopyStatus, ReadThrough, ReadThroughError, Repairs, Source, TransferSettings};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn memory_then_disk_then_peers() {
    let (here, peer) = (Node::new(), Node::new());
    let (local, remote) = (content(MIB + 3, 1), content(2 * MIB, 2));
    let (local_hash, remote_hash) = (here.put(&local).await, peer.put(&remote).await);
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let (repairs, _queue) = Repairs::channel(4);
    let reader = ReadThrough::new(here.store.clone(), transfer, repairs);
    let cases = [
        (local_hash, &local, 1, Source::Disk),
        (local_hash, &local, 1, Source::Memory),
        (remote_hash, &remote, 0, Source::Peer),
        (remote_hash, &remote, 0, Source::Memory),
    ];
    for (hash, content, slice, expected) in cases {
        let (bytes, source) = reader.slice(hash, content.len() as u64, slice as u64).await.expect("a slice");
        assert_eq!(source, expected);
        assert_eq!(bytes, content[slice * MIB..content.len().min((slice + 1) * MIB)]);
        assert_eq!(reader.cached(hash, slice as u64), Some(bytes));
    }
    assert_eq!(reader.cached(remote_hash, 1), None);
    let wrong = reader.slice(local_hash, local.len() as u64, 2).await;
    assert!(matches!(wrong, Err(ReadThroughError::NoSuchSlice(_))), "{wrong:?}");
}

#[tokio::test]
async fn a_crowd_shares_one_fetch() {
    let (here, peer) = (Node::new(), Node::new());
    let bytes = content(MIB, 3);
    let hash = peer.put(&bytes).await;
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let (repairs, _queue) = Repairs::channel(4);
    let reader = ReadThrough::new(here.store.clone(), transfer, repairs);
    let reads = join_all((0..50).map(|_| reader.slice(hash, MIB as u64, 0))).await;
    assert!(reads.iter().all(|read| read.as_ref().is_ok_and(|(got, _)| *got == bytes)));
    assert_eq!(reads.iter().filter(|read| matches!(read, Ok((_, Source::Peer)))).count(), 1);
    assert_eq!(get(&peer.metrics.frames_sent), 1);
}

#[tokio::test]
async fn a_damaged_disk_never_shows_and_is_reported_once() {
    let (here, peer) = (Node::new(), Node::new());
    let bytes = content(3 * MIB, 4);
    let size = bytes.len() as u64;
    let hash = here.put(&bytes).await;
    peer.put(&bytes).await;
    here.damage(hash, 4_711);
    here.damage(hash, 2 * MIB as u64 + 1);
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
    let (repairs, mut queue) = Repairs::channel(4);
    let reader = ReadThrough::new(here.store.clone(), Arc::clone(&transfer), repairs);
    for (slice, expected) in [(0_usize, Source::Peer), (1, Source::Disk), (2, Source::Peer)] {
        let (got, source) = reader.slice(hash, size, slice as u64).await.expect("a slice");
        assert_eq!(got, bytes[slice * MIB..(slice + 1) * MIB]);
        assert_eq!(source, expected, "slice {slice}");
    }
    let repair = queue.next().await.expect("a report");
    assert_eq!((repair.hash(), repair.size()), (hash, size));

    // What the agent does with it.
    assert_eq!(here.store.quarantine(hash).await.expect("quarantines"), Quarantine::SetAside);
    let stats = transfer.stat(ncore_model::NodeId(2), &[hash]).await.expect("stat");
    assert!(matches!(stats[0].status, CopyStatus::Present { .. }));
    transfer.fetch_blob(hash, size, PinId(1)).await.expect("a new copy");
    drop(repair);
    assert_eq!(here.content(hash, size).await, bytes);
    let pending = tokio::time::timeout(std::time::Duration::from_millis(20), queue.next()).await;
    assert!(pending.is_err(), "the second damaged slice was the same report");
}

#[tokio::test]
async fn when_nobody_has_it_the_error_says_so() {
    let (here, empty, liar) = (Node::new(), Node::new(), Node::new());
    let bytes = content(MIB, 5);
    let hash = liar.put(&bytes).await;
    let (repairs, _queue) = Repairs::channel(4);
    let nobody = here.transfer(TestPeers::default().with(2, "b", serve_node(&empty).await), TransferSettings::default());
    let reader = ReadThrough::new(here.store.clone(), nobody, repairs.clone());
    let read = reader.slice(hash, MIB as u64, 0).await;
    assert!(matches!(read, Err(ReadThroughError::Elsewhere(error)) if !error.is_corrupt()), "{read:?}");

    here.put(&bytes).await;
    here.damage(hash, 1);
    let lies = serve(Faulty { inner: liar.service.clone(), fault: Fault::FlipAt(500) }).await;
    let lying = here.transfer(TestPeers::default().with(2, "b", lies), TransferSettings::default());
    let reader = ReadThrough::new(here.store.clone(), lying, repairs);
    let read = reader.slice(hash, MIB as u64, 0).await;
    assert!(matches!(&read, Err(ReadThroughError::Damaged { source, .. }) if source.is_corrupt()), "{read:?}");
    assert_eq!(reader.cached(hash, 0), None);
}

#[tokio::test]
async fn a_reader_that_goes_away_does_not_take_the_others_along() {
    let (here, peer) = (Node::new(), Node::new());
    let bytes = content(MIB, 6);
    let hash = peer.put(&bytes).await;
    let slow = serve(Faulty { inner: peer.service.clone(), fault: Fault::StallAfter(0) }).await;
    let transfer = here.transfer(TestPeers::default().with(2, "b", slow).with(3, "c", serve_node(&peer).await), hasty());
    let (repairs, _queue) = Repairs::channel(4);
    let reader = ReadThrough::new(here.store.clone(), transfer, repairs);
    let first = tokio::spawn({
        let reader = reader.clone();
        async move { reader.slice(hash, MIB as u64, 0).await }
    });
    // The first one is under way when the peer has read the frame that it never sends.
    eventually("the first reader asked", || get(&peer.metrics.frames_sent) > 0).await;
    let second = reader.slice(hash, MIB as u64, 0);
    let cancel = async {
        tokio::task::yield_now().await;
        first.abort();
    };
    let (second, ()) = tokio::join!(second, cancel);
    assert_eq!(second.expect("the second takes over").0, bytes);
}
