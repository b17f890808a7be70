//! What nobody refers to goes; what somebody may refer to stays.

mod harness;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use harness::{Cluster, Machine, PATIENCE, brisk, collecting, content, eventually, get};
use ncore_model::{Command, Query};
use ncore_store::{PinId, Pinning};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_without_references_and_pins_go() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let (free, referenced, pinned) = (content(100, 1), content(100, 2), content(100, 3));
    let free = a.store(&free).await;
    let referenced_hash = a.store(&referenced).await;
    let asset = cluster.put("asset", &referenced, 60);
    let pinned = a.store_pinned(&pinned, PinId(9)).await;
    let agent = a.start(collecting(1, Duration::ZERO));
    eventually("the free one goes", || !a.has(free)).await;
    assert!(a.has(referenced_hash) && a.has(pinned));
    cluster.delete(&asset);
    eventually("it goes with its asset", || !a.has(referenced_hash)).await;
    assert!(a.has(pinned));
    a.store.unpin(pinned, PinId(9)).await.expect("unpins");
    eventually("it goes with its pin", || !a.has(pinned)).await;
    eventually("all are counted", || get(&agent.metrics().collected) == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_deletions_and_the_collector_do_not_race() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(collecting(1, Duration::ZERO));
    let bytes = content(100, 1);
    let hash = blake3::hash(&bytes);
    // The same content is put and deleted again and again: each upload meets a blob that is there, is going, or is gone.
    for round in 0..150_u32 {
        let pin = PinId(u128::from(round) + 10);
        a.store_pinned(&bytes, pin).await;
        if round % 3 == 0 {
            tokio::task::yield_now().await;
        }
        let asset = cluster.put("asset", &bytes, round);
        a.store.unpin(hash, pin).await.expect("unpins");
        assert!(a.has(hash), "round {round}: lost while it was referred to");
        let read = a.store.read_slice_from_disk(hash, bytes.len() as u64, 0).await;
        assert_eq!(read.expect("reads"), bytes, "round {round}");
        cluster.delete(&asset);
        if round % 10 == 9 {
            eventually("it goes", || !a.has(hash)).await;
        }
    }
    eventually("all are counted", || get(&agent.metrics().collected) >= 15).await;
}

/// A step of the collector first looks up what is unreferenced and then removes it, blob by blob. Blobs that get a reference in
/// between, by an upload that found them here, must be noticed when their turn comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_gets_a_reference_in_the_middle_of_a_step_stays() {
    // Where the machine is busy the step may be over before the upload gets its turn. Then it is done again.
    let start = Instant::now();
    while reference_in_the_middle_of_a_step().await == 0 {
        assert!(start.elapsed() < PATIENCE, "the upload always came too late to meet the step");
    }
}

/// Gives how many blobs got their reference before the step came to them.
async fn reference_in_the_middle_of_a_step() -> usize {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let mut blobs = Vec::new();
    for number in 0..60 {
        let bytes = content(100, number);
        blobs.push((a.store(&bytes).await, bytes));
    }
    // The collector goes in the order of the hashes. The upload comes from the other end.
    blobs.sort_by_key(|(hash, _)| std::cmp::Reverse(*hash.as_bytes()));
    let agent = a.start(collecting(1, Duration::ZERO));
    eventually("the step has begun", || get(&agent.metrics().collected) > 0).await;
    let mut referenced = Vec::new();
    for (number, (hash, bytes)) in blobs.iter().enumerate() {
        let pin = PinId(number as u128 + 10);
        if a.store.pin(*hash, pin).await.expect("pins") == Pinning::Absent {
            break;
        }
        cluster.put(&format!("asset/{number}"), bytes, 60);
        a.store.unpin(*hash, pin).await.expect("unpins");
        referenced.push(*hash);
    }
    for number in 100..102 {
        let sentinel = a.store(&content(100, number)).await;
        eventually("a later pass went by", || !a.has(sentinel)).await;
    }
    for hash in &referenced {
        assert!(a.has(*hash), "{hash} was removed although it is referred to");
    }
    let collected = (blobs.len() - referenced.len()) as u64 + 2;
    eventually("all others are counted", || get(&agent.metrics().collected) == collected).await;
    referenced.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_asset_leaves_its_blob_for_the_grace() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let bytes = content(100, 1);
    let hash = a.store(&bytes).await;
    let asset = cluster.put("asset", &bytes, 60);
    let grace = Duration::from_millis(400);
    let agent = a.start(collecting(1, grace));
    // By the store's clock the grace of the blob is over long before its asset is deleted.
    let begun = Instant::now();
    eventually("time passes", || begun.elapsed() > grace * 2).await;
    let deleted = Instant::now();
    cluster.delete(&asset);
    eventually("it goes", || !a.has(hash)).await;
    assert!(deleted.elapsed() >= grace, "gone after {:?}", deleted.elapsed());
    assert!(agent.shutdown().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_removes_nothing() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let hash = a.store(&content(100, 1)).await;
    let pinned = a.store_pinned(&content(100, 2), PinId(7)).await;
    cluster.pass_log_time(Duration::from_secs(1_000_000));
    cluster.apply(Command::RaiseSchema { level: 99 });
    a.plane.is_cut.store(true, Ordering::SeqCst);
    let agent = a.start(collecting(1, Duration::ZERO));
    eventually("it tried", || get(&agent.metrics().collections_skipped) > 20).await;
    assert!(a.has(hash) && a.has(pinned));
    assert_eq!(a.store.pins(None, 10).await.expect("pins").len(), 1);
    a.plane.is_cut.store(false, Ordering::SeqCst);
    eventually("both go", || !a.has(hash) && !a.has(pinned)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_ends_when_no_command_can_name_it_any_more() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let hash = a.store_pinned(&content(100, 1), PinId(7)).await;
    let mut settings = collecting(1, Duration::ZERO);
    settings.collection.pin_bound = Duration::from_secs(600);
    let agent = a.start(settings);
    cluster.pass_log_time(Duration::from_secs(590));
    cluster.apply(Command::RaiseSchema { level: 99 });
    let other = a.store(&content(100, 2)).await;
    eventually("a pass went by", || !a.has(other)).await;
    assert!(a.has(hash), "its time is not up");
    cluster.pass_log_time(Duration::from_secs(20));
    cluster.apply(Command::RaiseSchema { level: 99 });
    eventually("it goes", || !a.has(hash)).await;
    assert_eq!(get(&agent.metrics().pins_ended), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_transfers_of_what_is_gone_are_discarded() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let (wanted, unwanted) = (content(3 << 20, 1), content(3 << 20, 2));
    for bytes in [&wanted, &unwanted] {
        let mut partial = a.store.resume_or_start(blake3::hash(bytes), bytes.len() as u64).await.expect("begins");
        partial.append_verified(0, bytes[..1 << 20].to_vec().into()).await.expect("appends");
        assert_eq!(partial.next_slice(), Some(1));
    }
    cluster.put("wanted", &wanted, 60);
    let mut settings = collecting(1, Duration::ZERO);
    settings.replication = brisk(1).replication;
    let agent = a.start(settings);
    eventually("one is discarded", || get(&agent.metrics().partials_discarded) == 1).await;
    let left: Vec<blake3::Hash> = a.store.partials().await.expect("lists").into_iter().map(|partial| partial.hash).collect();
    assert_eq!(left, [blake3::hash(&wanted)]);
    assert!(cluster.replica.blob(blake3::hash(&wanted).into()).expect("reads").is_some());
}
