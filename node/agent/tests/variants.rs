//! Content in content codings: made once, kept within its room, gone with its source.

mod harness;

use std::{io::Read, sync::Arc, time::Duration};

use harness::{Cluster, Machine, brisk, collecting, content, eventually, get};
use ncore_agent::{AgentHandle, AgentSettings};
use ncore_cache::content_coding::Coding;
use ncore_model::{Asset, Command, PurgeAssets};
use ncore_serving::{Absent, AssetEntry, Catalog, Lookup, Slices, Variants};
use ncore_store::{StoredVariant, Variant, VariantKey};

/// Text of this length, of which a coding saves about half.
fn text(bytes: usize, seed: u64) -> Vec<u8> {
    content(bytes.div_ceil(2), seed).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).take(bytes).collect()
}

fn entry(agent: &AgentHandle, path: &str) -> Arc<AssetEntry> {
    match agent.catalog().lookup(path) {
        Lookup::Found(entry, _) => entry,
        other => panic!("{path}: {other:?}"),
    }
}

fn find(agent: &AgentHandle, path: &str, coding: Coding) -> Option<Arc<AssetEntry>> {
    agent.variants().find(&entry(agent, path), coding, Absent::Make)
}

async fn made(agent: &AgentHandle, path: &str, coding: Coding) -> Arc<AssetEntry> {
    eventually("the variant is made", || find(agent, path, coding).is_some()).await;
    find(agent, path, coding).expect("it is there")
}

/// What the store has, with the number of the coding as it is on disk.
fn stored(machine: &Machine, source: blake3::Hash, coding: u8) -> Option<StoredVariant> {
    match machine.store.variant(VariantKey { source, coding }).expect("an answer") {
        Some(Variant::Stored(stored)) => Some(stored),
        _ => None,
    }
}

async fn put(cluster: &Cluster, machine: &Machine, path: &str, bytes: &[u8]) -> (Asset, blake3::Hash) {
    // Referred to before it is here, so that no collector takes it for nobody's.
    let asset = cluster.put(path, bytes, 60);
    (asset, machine.store(bytes).await)
}

/// Stops an agent; what it was doing is given up.
async fn stop(agent: AgentHandle) {
    agent.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variant_is_made_once_for_all_that_have_the_content() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    let bytes = text(1_500_000, 1);
    put(&cluster, &a, "one.txt", &bytes).await;
    cluster.put("two.txt", &bytes, 60);
    let asset = entry(&agent, "one.txt");
    assert!(agent.variants().find(&asset, Coding::Gzip, Absent::Leave).is_none());

    let variant = made(&agent, "one.txt", Coding::Gzip).await;
    assert!(variant.is_coded() && variant.size() < asset.size() * 95 / 100);
    let mut encoded = Vec::new();
    for slice in 0..2 {
        if variant.slice_bytes(slice) > 0 {
            encoded.extend_from_slice(&agent.slices().load(Arc::clone(&variant), slice).await.expect("a slice").bytes);
        }
    }
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&encoded[..]).read_to_end(&mut decoded).expect("gzip");
    assert!(decoded == bytes, "it decodes to the content");

    let other = made(&agent, "two.txt", Coding::Gzip).await;
    assert_eq!(other.blob(), variant.blob());
    // It can be found a moment before it is counted.
    eventually("its bytes are counted", || get(&agent.metrics().variants_bytes) == variant.size()).await;
    assert_eq!(get(&agent.metrics().variants_made), 1);

    // The next life finds it.
    stop(agent).await;
    let agent = a.start(brisk(2));
    assert_eq!(find(&agent, "one.txt", Coding::Gzip).expect("it is there at once").blob(), variant.blob());
    eventually("its bytes are counted", || get(&agent.metrics().variants_bytes) == variant.size()).await;
    assert_eq!(get(&agent.metrics().variants_made), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_get_smaller_is_tried_once() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    let noise = content(20_000, 1);
    let (_, source) = put(&cluster, &a, "noise.txt", &noise).await;
    assert!(find(&agent, "noise.txt", Coding::Br).is_none());
    eventually("it is tried", || get(&agent.metrics().variants_not_worth_it) == 1).await;
    stop(agent).await;
    let agent = a.start(brisk(2));
    assert_eq!(a.store.variant(VariantKey { source, coding: 1 }).expect("an answer"), Some(Variant::NotWorthIt));
    assert!(find(&agent, "noise.txt", Coding::Br).is_none());
    // What is asked for later is made later: so nothing was asked for before.
    put(&cluster, &a, "text.txt", &text(20_000, 2)).await;
    made(&agent, "text.txt", Coding::Br).await;
    assert_eq!(get(&agent.metrics().variants_not_worth_it), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variants_go_with_their_asset() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let mut settings = collecting(1, Duration::ZERO);
    settings.variants.every = Duration::from_millis(20);
    let agent = a.start(settings);
    let (asset, source) = put(&cluster, &a, "a.txt", &text(20_000, 1)).await;
    let variant = made(&agent, "a.txt", Coding::Zstd).await;
    let blob = blake3::Hash::from_bytes(variant.blob().0);
    let collected = get(&agent.metrics().collected);
    put(&cluster, &a, "b.txt", &text(20_000, 2)).await;
    made(&agent, "b.txt", Coding::Zstd).await;
    assert!(a.has(blob), "passes of the collector leave it alone");
    assert_eq!(get(&agent.metrics().collected), collected);
    cluster.delete(&asset);
    eventually("source and variant go", || !a.has(source) && !a.has(blob)).await;
    let left = stored(&a, blake3::hash(&text(20_000, 2)), 2).expect("the other stays");
    eventually("the bytes are free", || get(&agent.metrics().variants_bytes) == left.size).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_variant_is_made_anew() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    let (_, source) = put(&cluster, &a, "a.txt", &text(20_000, 1)).await;
    let variant = made(&agent, "a.txt", Coding::Br).await;
    a.damage(blake3::Hash::from_bytes(variant.blob().0));
    agent.slices().load(Arc::clone(&variant), 0).await.expect_err("it is damaged");
    assert_eq!(stored(&a, source, 1), None);
    eventually("it is made anew", || get(&agent.metrics().variants_made) == 2 || find(&agent, "a.txt", Coding::Br).is_some()).await;
    let anew = made(&agent, "a.txt", Coding::Br).await;
    assert_eq!(anew.blob(), variant.blob());
    agent.slices().load(anew, 0).await.expect("it is good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_recently_used_go_when_there_is_no_room() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let mut settings = collecting(1, Duration::ZERO);
    // Each takes about 57,000: there is room for two, also after it was cleared.
    settings.variants.bytes_max = 140_000;
    let agent = a.start(settings);
    let mut sources = Vec::new();
    for number in 0..2 {
        let path = format!("{number}.txt");
        sources.push(put(&cluster, &a, &path, &text(100_000, number)).await.1);
        made(&agent, &path, Coding::Gzip).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    a.store.touch_variant(VariantKey { source: sources[0], coding: 3 }).await.expect("noted");
    let least = stored(&a, sources[1], 3).expect("it is there");
    sources.push(put(&cluster, &a, "2.txt", &text(100_000, 2)).await.1);
    made(&agent, "2.txt", Coding::Gzip).await;
    eventually("one goes", || get(&agent.metrics().variants_evicted) == 1).await;
    let left = sources.iter().map(|source| stored(&a, *source, 3).is_some()).collect::<Vec<_>>();
    assert_eq!(left, [true, false, true]);
    assert!(get(&agent.metrics().variants_bytes) <= 126_000);
    eventually("its bytes go", || !a.has(least.blob)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_has_them_made_anew() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    let (asset, source) = put(&cluster, &a, "a.txt", &text(20_000, 1)).await;
    made(&agent, "a.txt", Coding::Gzip).await;
    cluster.apply(Command::PurgeAssets(PurgeAssets { client: asset.client, pattern: "*".to_owned() }));
    eventually("the purge is carried out", || get(&agent.metrics().purges) == 1).await;
    assert_eq!(stored(&a, source, 3), None);
    made(&agent, "a.txt", Coding::Gzip).await;
    eventually("both are counted", || get(&agent.metrics().variants_made) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_there_are_none() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    put(&cluster, &a, "a.txt", &text(20_000, 1)).await;
    made(&agent, "a.txt", Coding::Gzip).await;
    stop(agent).await;
    let none = AgentSettings { variants: ncore_agent::VariantSettings { bytes_max: 0, ..Default::default() }, ..brisk(2) };
    let agent = a.start(none);
    assert!(find(&agent, "a.txt", Coding::Gzip).is_none());
    assert!(find(&agent, "a.txt", Coding::Br).is_none());
}

/// What is not here is fetched for whoever reads it, and is not encoded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_here_is_encoded() {
    let cluster = Cluster::new(1);
    let a = Machine::new(&cluster, 0).await;
    let agent = a.start(brisk(1));
    cluster.put("elsewhere.txt", &text(20_000, 1), 60);
    assert!(find(&agent, "elsewhere.txt", Coding::Br).is_none());
    put(&cluster, &a, "here.txt", &text(20_000, 2)).await;
    made(&agent, "here.txt", Coding::Br).await;
    let metrics = agent.metrics();
    eventually("it is counted", || get(&metrics.variants_made) == 1).await;
    assert_eq!(get(&metrics.variants_failed), 0);
}
