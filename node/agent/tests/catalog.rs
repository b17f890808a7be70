//! What serving sees is never older than an announced revision.

mod harness;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use harness::{Cluster, Machine, brisk, content, eventually, get};
use ncore_freshness::{Boottime, Fence, FenceAction, FencePolicies, FencePolicy, FenceReason, Fences, FreshState, Guarded};
use ncore_model::{Command, PurgeAssets};
use ncore_serving::{AssetEntry, Catalog, Lookup, ViewAge};

fn found(lookup: Lookup) -> Arc<AssetEntry> {
    match lookup {
        Lookup::Found(entry, ViewAge::Current) => entry,
        other => panic!("not found: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_follow_puts_and_deletions() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    let catalog = agent.catalog();
    assert!(matches!(catalog.lookup("a/b.txt"), Lookup::NotFound(ViewAge::Current)));
    let asset = cluster.put("a/b.txt", &content(10, 1), 60);
    let entry = found(catalog.lookup("a/b.txt"));
    let facts = entry.facts();
    assert_eq!((facts.id.as_str(), facts.size, facts.cache_ttl_s, facts.blob.0), (asset.id.as_str(), 10, 60, asset.blob.0));
    assert_eq!(facts.modified_at_s, asset.modified_at_ms / 1_000);
    assert!(facts.revision.1 >= asset.version);
    assert!(Arc::ptr_eq(&entry, &found(catalog.lookup("a/b.txt"))), "the second comes from memory");
    assert_eq!((get(&agent.metrics().catalog_hits), get(&agent.metrics().catalog_misses)), (1, 2));

    cluster.put("other", &content(10, 3), 60);
    assert!(Arc::ptr_eq(&entry, &found(catalog.lookup("a/b.txt"))), "another asset has changed");
    let replaced = cluster.put("a/b.txt", &content(20, 2), 61);
    assert_eq!(found(catalog.lookup("a/b.txt")).size(), 20);
    cluster.delete(&replaced);
    assert!(matches!(catalog.lookup("a/b.txt"), Lookup::NotFound(ViewAge::Current)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_replaced_is_seen_at_once() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    cluster.put("asset", &content(10, 1), 1);
    let before = cluster.checkpoint("before");
    cluster.put("asset", &content(10, 1), 2);
    assert_eq!(found(agent.catalog().lookup("asset")).facts().cache_ttl_s, 2);
    cluster.replica.install(&before).expect("installs");
    assert_eq!(found(agent.catalog().lookup("asset")).facts().cache_ttl_s, 1);
}

/// A writer announces ever newer descriptions of a few paths; whoever looks up after an announcement finds one at least as new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lookup_is_older_than_an_announcement_before_it() {
    const PATHS: usize = 2;
    const ROUNDS: u32 = 3_000;
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let mut settings = brisk(1);
    settings.replication.wake = std::time::Duration::from_secs(3_600);
    let agent = a.start(settings);
    let catalog = agent.catalog();
    let bytes = content(10, 1);
    let announced: [AtomicU32; PATHS] = Default::default();
    let is_over = AtomicBool::new(false);
    for path in 0..PATHS {
        cluster.put(&format!("path/{path}"), &bytes, 0);
    }
    thread::scope(|scope| {
        for reader in 0..4_usize {
            let (catalog, announced, is_over) = (&catalog, &announced, &is_over);
            scope.spawn(move || {
                let path = reader % PATHS;
                while !is_over.load(Ordering::SeqCst) {
                    let floor = announced[path].load(Ordering::SeqCst);
                    let seen = found(catalog.lookup(&format!("path/{path}"))).facts().cache_ttl_s;
                    assert!(seen >= floor, "path {path}: {seen} was seen after {floor} was announced");
                }
            });
        }
        for round in 1..=ROUNDS {
            let path = round as usize % PATHS;
            cluster.put(&format!("path/{path}"), &bytes, round);
            announced[path].store(round, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert!(get(&agent.metrics().catalog_hits) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_drops_what_matches() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let bytes = content(10, 1);
    for number in 0..300 {
        cluster.put(&format!("images/{number}.png"), &bytes, 60);
    }
    cluster.put("text/readme", &bytes, 60);
    purge(&cluster, "text/*");
    let agent = a.start(brisk(1));
    let catalog = agent.catalog();
    let (image, text) = (found(catalog.lookup("images/299.png")), found(catalog.lookup("text/readme")));
    purge(&cluster, "images/*.png");
    eventually("it is carried out", || get(&agent.metrics().purges) == 1).await;
    assert_eq!(get(&agent.metrics().purged_assets), 300, "and the purge before the start is not");
    assert!(!Arc::ptr_eq(&image, &found(catalog.lookup("images/299.png"))));
    assert!(Arc::ptr_eq(&text, &found(catalog.lookup("text/readme"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_drops_the_slices_in_memory_and_no_copy_on_disk() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let (image, text) = (content((1 << 20) + 10, 1), content(10, 2));
    for (path, bytes) in [("images/a.png", &image), ("text/readme", &text)] {
        a.store(bytes).await;
        cluster.put(path, bytes, 60);
    }
    let agent = a.start(brisk(1));
    let is_in_memory = |bytes: &[u8], slice| a.store.memory_lookup(blake3::hash(bytes), slice).is_some();
    for (bytes, slice) in [(&image, 0), (&image, 1), (&text, 0)] {
        a.store.read_slice(blake3::hash(bytes), bytes.len() as u64, slice).await.expect("a slice");
        assert!(is_in_memory(bytes, slice));
    }
    purge(&cluster, "images/*");
    eventually("it is carried out", || get(&agent.metrics().purges) == 1).await;
    assert!(!is_in_memory(&image, 0) && !is_in_memory(&image, 1));
    assert!(is_in_memory(&text, 0), "it does not match");
    assert!(a.has(blake3::hash(&image)), "the stored asset stays");
}

fn purge(cluster: &Cluster, pattern: &str) {
    let purge = PurgeAssets { client: cluster.client.clone(), pattern: pattern.to_owned() };
    let outcome = cluster.apply(Command::PurgeAssets(purge)).1;
    assert_eq!(outcome, ncore_model::Outcome::Purged);
}

/// What a node that has lost touch with the cluster says of an asset follows its policy, and is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_node_follows_its_policy() {
    let cluster = Cluster::new(1);
    cluster.put("asset", &content(10, 1), 1);
    let fenced = FreshState::Fenced(Fence { since: Boottime::from_millis(2), reason: FenceReason::BoundExceeded });
    for (policy, action) in [(FencePolicy::Serve, FenceAction::ServeStale), (FencePolicy::Refuse, FenceAction::Refuse)] {
        let a = Machine::new(&cluster, 0).await;
        let fences = Arc::new(Fences::new(FencePolicies::default().with(Guarded::PublicAsset, policy)));
        let agent = a.start_with(brisk(1), Arc::clone(&fences));
        assert!(matches!(agent.catalog().lookup("asset"), Lookup::Found(_, ViewAge::Current)));
        a.plane.state.send_replace(fenced);
        match policy {
            FencePolicy::Serve => {
                assert!(matches!(agent.catalog().lookup("asset"), Lookup::Found(_, ViewAge::Stale)));
                assert!(matches!(agent.catalog().lookup("none"), Lookup::NotFound(ViewAge::Stale)));
            }
            _ => {
                assert!(matches!(agent.catalog().lookup("asset"), Lookup::Fenced));
                assert!(matches!(agent.catalog().lookup("none"), Lookup::Fenced));
            }
        }
        assert_eq!(fences.decided(Guarded::PublicAsset, action), 2);
    }
}
