//! Fetching from peers that are well, absent, broken, slow, or lying.

mod harness;

use std::time::{Duration, Instant};

use harness::{
    Node, PATIENCE, TestPeers, content, dead_address,
    faulty::{Fault, Faulty},
    get, hasty, serve, serve_node,
};
use ncore_store::{BlobStatus, PinId};
use ncore_transfer::{FetchBlobError, FetchError, TransferSettings};
use tokio::time::timeout;

const MIB: usize = 1 << 20;
const PIN: PinId = PinId(42);

#[tokio::test]
async fn a_slice_comes_from_the_first_peer_that_has_it() {
    let (here, without, with) = (Node::new(), Node::new(), Node::new());
    let bytes = content(2 * MIB + 77, 1);
    let hash = with.put(&bytes).await;
    let peers =
        TestPeers::default().with(2, "b", dead_address()).with(3, "b", serve_node(&without).await).with(4, "c", serve_node(&with).await);
    let transfer = here.transfer(peers, TransferSettings::default());
    for slice in 0..3_usize {
        let got = transfer.fetch_slice(hash, bytes.len() as u64, slice as u64).await.expect("a slice");
        assert_eq!(got, bytes[slice * MIB..bytes.len().min((slice + 1) * MIB)], "slice {slice}");
    }
    assert_eq!(get(&transfer.metrics().slices_fetched), 3);
    assert!(!here.has(hash), "a slice for a viewer is not stored");
    let beyond = transfer.fetch_slice(hash, bytes.len() as u64, 3).await;
    assert!(matches!(beyond, Err(FetchError::Exhausted(_))), "{beyond:?}");
}

#[tokio::test]
async fn known_holders_are_asked_before_others() {
    let (here, other, holder) = (Node::new(), Node::new(), Node::new());
    let bytes = content(10, 1);
    let hash = holder.put(&bytes).await;
    other.put(&bytes).await;
    let peers = TestPeers::default().with(2, "b", serve_node(&other).await).with(3, "c", serve_node(&holder).await).holding(&[3]);
    let transfer = here.transfer(peers, TransferSettings::default());
    transfer.fetch_slice(hash, 10, 0).await.expect("a slice");
    assert_eq!((get(&other.metrics.frames_sent), get(&holder.metrics.frames_sent)), (0, 1));
}

#[tokio::test]
async fn bad_bytes_are_never_accepted() {
    let (here, liar, honest) = (Node::new(), Node::new(), Node::new());
    let bytes = content(3 * MIB + 5_000, 2);
    let size = bytes.len() as u64;
    let hash = liar.put(&bytes).await;
    honest.put(&bytes).await;
    let honest_address = serve_node(&honest).await;
    let flips = (0..=1_000).step_by(50).map(Fault::FlipAt);
    for fault in flips.chain([Fault::Shorten, Fault::Misnumber]) {
        let lies = serve(Faulty { inner: liar.service.clone(), fault }).await;
        let alone = here.transfer(TestPeers::default().with(2, "b", lies), TransferSettings::default());
        for slice in [0, 3] {
            match alone.fetch_slice(hash, size, slice).await {
                Err(error) => assert!(error.is_corrupt(), "{fault:?}: {error:?}"),
                Ok(_) => panic!("{fault:?}: slice {slice} was accepted"),
            }
        }
        let blob = alone.fetch_blob(hash, size, PIN).await;
        assert!(matches!(blob, Err(FetchBlobError::Peers(error)) if error.is_corrupt()), "{fault:?}: {blob:?}");
        assert_eq!(get(&alone.metrics().frames_bad), 3, "{fault:?}");
        assert_eq!(get(&alone.metrics().bytes_fetched), 0, "{fault:?}");
        assert_eq!(here.store.status(hash).expect("status"), BlobStatus::Absent);

        let both = here.transfer(TestPeers::default().with(2, "b", lies).with(3, "c", honest_address), TransferSettings::default());
        let got = both.fetch_slice(hash, size, 3).await.expect("from the honest one");
        assert_eq!(got, bytes[3 * MIB..]);
    }
}

#[tokio::test]
async fn a_damaged_peer_says_so_and_tells_its_repairs() {
    let (here, damaged) = (Node::new(), Node::new());
    let bytes = content(2 * MIB, 3);
    let hash = damaged.put(&bytes).await;
    damaged.damage(hash, MIB as u64 + 9);
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&damaged).await), TransferSettings::default());
    let got = transfer.fetch_slice(hash, 2 * MIB as u64, 1).await;
    assert!(got.is_err_and(|error| error.is_corrupt()));
    assert_eq!(get(&transfer.metrics().frames_bad), 0, "it sent no bad frame");
    let mut repairs = damaged.repairs.lock().take().expect("the queue");
    assert_eq!(repairs.next().await.expect("a repair").hash(), hash);
}

#[tokio::test]
async fn a_blob_comes_whole_and_pinned() {
    for len in [0, 1, 16 << 10, MIB, MIB + 1, 5 * MIB + 12_345] {
        let (here, peer) = (Node::new(), Node::new());
        let bytes = content(len, 4);
        let hash = peer.put(&bytes).await;
        let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), TransferSettings::default());
        transfer.fetch_blob(hash, len as u64, PIN).await.expect("the blob");
        assert!(here.has(hash));
        assert_eq!(here.pins(hash).await, [PIN]);
        assert_eq!(here.content(hash, len as u64).await, bytes, "{len} bytes");
        assert_eq!(here.incoming(), 0);
    }
}

#[tokio::test]
async fn after_a_break_it_goes_on_at_the_next_slice_from_another_peer() {
    for fault in [Fault::CutAfter(3), Fault::EndAfter(3), Fault::StallAfter(3)] {
        let (here, first, second) = (Node::new(), Node::new(), Node::new());
        let bytes = content(7 * MIB + 1, 5);
        let hash = first.put(&bytes).await;
        second.put(&bytes).await;
        let peers = TestPeers::default().with(2, "b", serve(Faulty { inner: first.service.clone(), fault }).await).with(
            3,
            "c",
            serve_node(&second).await,
        );
        let transfer = here.transfer(peers, hasty());
        transfer.fetch_blob(hash, bytes.len() as u64, PIN).await.expect("the blob");
        assert_eq!(here.content(hash, bytes.len() as u64).await, bytes);
        assert_eq!(get(&second.metrics.frames_sent), 5, "{fault:?}: only what was missing");
        assert_eq!(get(&transfer.metrics().resumed), 1, "{fault:?}");
        assert_eq!(get(&transfer.metrics().bytes_fetched), bytes.len() as u64, "{fault:?}: nothing twice");
    }
}

#[tokio::test]
async fn a_peer_that_cuts_again_and_again_gets_there_in_the_end() {
    let (here, peer) = (Node::new(), Node::new());
    let bytes = content(5 * MIB, 6);
    let hash = peer.put(&bytes).await;
    let address = serve(Faulty { inner: peer.service.clone(), fault: Fault::CutAfter(1) }).await;
    let transfer = here.transfer(TestPeers::default().with(2, "b", address), TransferSettings::default());
    transfer.fetch_blob(hash, bytes.len() as u64, PIN).await.expect("the blob");
    assert_eq!(get(&transfer.metrics().resumed), 4);
}

#[tokio::test]
async fn what_came_before_a_failure_is_not_fetched_again() {
    let (here, broken, well) = (Node::new(), Node::new(), Node::new());
    let bytes = content(4 * MIB, 7);
    let hash = well.put(&bytes).await;
    // A copy that is damaged in its third slice gives two slices and no more.
    broken.put(&bytes).await;
    broken.damage(hash, 2 * MIB as u64);
    let alone = here.transfer(TestPeers::default().with(2, "b", serve_node(&broken).await), TransferSettings::default());
    let error = alone.fetch_blob(hash, bytes.len() as u64, PIN).await.expect_err("a damaged copy");
    assert!(matches!(error, FetchBlobError::Peers(error) if error.is_corrupt()), "{error:?}");
    assert_eq!(get(&alone.metrics().bytes_fetched), 2 * MIB as u64);
    drop(alone);

    let later = here.transfer(TestPeers::default().with(3, "b", serve_node(&well).await), TransferSettings::default());
    later.fetch_blob(hash, bytes.len() as u64, PIN).await.expect("the rest");
    assert_eq!(get(&well.metrics.frames_sent), 2);
    assert_eq!(here.content(hash, bytes.len() as u64).await, bytes);
}

#[tokio::test]
async fn peers_that_stand_still_cost_a_bounded_time() {
    let (here, peer) = (Node::new(), Node::new());
    let bytes = content(MIB, 8);
    let hash = peer.put(&bytes).await;
    let mut peers = TestPeers::default();
    for node in 2..12 {
        peers = peers.with(node, "b", serve(Faulty { inner: peer.service.clone(), fault: Fault::StallAfter(0) }).await);
    }
    // All ten together would take twenty seconds.
    let transfer = here.transfer(peers, hasty());
    let got = transfer.fetch_slice(hash, MIB as u64, 0).await;
    assert!(matches!(got, Err(FetchError::Deadline(tally)) if (1..10).contains(&tally.failed)), "{got:?}");
}

#[tokio::test]
async fn without_peers_there_is_nothing_to_wait_for() {
    let here = Node::new();
    let transfer = here.transfer(TestPeers::default(), TransferSettings::default());
    let hash = blake3::hash(b"nowhere");
    assert_eq!(transfer.fetch_slice(hash, 7, 0).await, Err(FetchError::NoPeers));
    let blob = transfer.fetch_blob(hash, 7, PIN).await;
    assert!(matches!(blob, Err(FetchBlobError::Peers(FetchError::NoPeers))), "{blob:?}");
}

#[tokio::test]
async fn a_blob_is_fetched_by_one_task_at_a_time() {
    let (here, peer) = (Node::new(), Node::new());
    let bytes = content(2 * MIB, 9);
    let hash = peer.put(&bytes).await;
    let address = serve(Faulty { inner: peer.service.clone(), fault: Fault::StallAfter(1) }).await;
    let transfer = here.transfer(TestPeers::default().with(2, "b", address), hasty());
    let size = bytes.len() as u64;
    let (one, other) = tokio::join!(transfer.fetch_blob(hash, size, PIN), async {
        tokio::task::yield_now().await;
        transfer.fetch_blob(hash, size, PIN).await
    });
    let both = [one, other];
    assert_eq!(both.iter().filter(|end| matches!(end, Err(FetchBlobError::InProgress))).count(), 1, "{both:?}");
}

#[tokio::test]
async fn the_rate_of_blobs_is_limited() {
    let (here, peer) = (Node::new(), Node::new());
    let settings = TransferSettings { rate_bytes_s: 4 * MIB as u64, ..TransferSettings::default() };
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), settings);
    // The first batch of four slices passes, and has to be paid for before the next.
    let start = Instant::now();
    for len in [4 * MIB, MIB] {
        let bytes = content(len, 10);
        let hash = peer.put(&bytes).await;
        transfer.fetch_blob(hash, len as u64, PIN).await.expect("the blob");
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(700), "{took:?}");
}

#[tokio::test]
async fn viewers_do_not_wait_for_the_limit_of_blobs() {
    let (here, peer) = (Node::new(), Node::new());
    let bytes = content(4 * MIB, 11);
    let hash = peer.put(&bytes).await;
    let small = content(MIB, 12);
    let small_hash = peer.put(&small).await;
    let settings = TransferSettings { rate_bytes_s: 4 << 10, ..TransferSettings::default() };
    let transfer = here.transfer(TestPeers::default().with(2, "b", serve_node(&peer).await), settings);
    // It passes, and the next blob would have to wait for minutes.
    transfer.fetch_blob(small_hash, MIB as u64, PIN).await.expect("the blob");
    let slices = async {
        for slice in 0..4 {
            transfer.fetch_slice(hash, bytes.len() as u64, slice).await.expect("a slice");
        }
    };
    timeout(PATIENCE, slices).await.expect("slices for viewers come at once");
}
