//! Blobs that are made out of others: they stay as long as these do, and go with them.

use std::time::Duration;

use ncore_store::{BlobStatus, Collection, Commit, StoredVariant, Variant, VariantKey};

use crate::support::{PIN, TestStore, content, stage};

const NO_GRACE: Duration = Duration::ZERO;

async fn put_variant(test: &TestStore, source: blake3::Hash, coding: u8, bytes: &[u8]) -> StoredVariant {
    let staged = stage(&test.store, bytes).await;
    let stored = StoredVariant { blob: staged.blake3(), size: staged.size(), sha256: staged.sha256() };
    staged.commit_variant(VariantKey { source, coding }).await.expect("the commit");
    stored
}

fn find(test: &TestStore, source: blake3::Hash, coding: u8) -> Option<Variant> {
    test.store.variant(VariantKey { source, coding }).expect("an answer")
}

async fn collect(test: &TestStore, hash: blake3::Hash) -> Collection {
    test.store.collect(hash, NO_GRACE, || true).await.expect("an answer")
}

fn status(test: &TestStore, hash: blake3::Hash) -> BlobStatus {
    test.store.status(hash).expect("a status")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_stays_with_its_source_and_goes_with_it() {
    let test = TestStore::new();
    let source = test.put(&content(100_000, 1)).await;
    let first = put_variant(&test, source, 1, &content(50_000, 2)).await;
    let second = put_variant(&test, source, 2, &content(40_000, 3)).await;
    test.store.refuse_variant(VariantKey { source, coding: 3 }).await.expect("noted");

    let test = test.reopen();
    assert_eq!(find(&test, source, 1), Some(Variant::Stored(first)));
    assert_eq!(find(&test, source, 2), Some(Variant::Stored(second)));
    assert_eq!(find(&test, source, 3), Some(Variant::NotWorthIt));
    assert_eq!(find(&test, source, 4), None);
    assert_eq!(collect(&test, first.blob).await, Collection::Referenced);
    assert!(test.store.pins(None, 9).await.expect("a list").iter().all(|pin| pin.hash == source), "a variant needs no pin");

    test.store.unpin(source, PIN).await.expect("an answer");
    assert_eq!(collect(&test, source).await, Collection::Removed { size: 100_000 });
    assert!((1..=3).all(|coding| find(&test, source, coding).is_none()));
    assert!(test.store.variants(None, 9).await.expect("a list").is_empty());
    assert!(matches!(status(&test, first.blob), BlobStatus::Present { .. }), "its bytes are the collector's");
    assert_eq!(collect(&test, first.blob).await, Collection::Removed { size: 50_000 });
    assert_eq!(collect(&test, second.blob).await, Collection::Removed { size: 40_000 });
    assert_eq!((collect(&test, first.blob).await, status(&test, first.blob)), (Collection::Absent, BlobStatus::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_gets_no_variant() {
    let test = TestStore::new();
    let source = blake3::hash(b"never here");
    let orphan = put_variant(&test, source, 1, &content(5_000, 1)).await;
    test.store.refuse_variant(VariantKey { source, coding: 2 }).await.expect("an answer");
    assert!(test.store.variants(None, 9).await.expect("a list").is_empty());
    assert_eq!(collect(&test, orphan.blob).await, Collection::Removed { size: 5_000 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_is_replaced_or_removed_is_let_go() {
    let test = TestStore::new();
    let source = test.put(&content(100_000, 1)).await;
    let other = test.put(&content(100_000, 2)).await;
    let old = put_variant(&test, source, 1, &content(5_000, 3)).await;
    let new = put_variant(&test, source, 1, &content(5_000, 4)).await;
    assert_eq!(find(&test, source, 1), Some(Variant::Stored(new)));
    assert_eq!(collect(&test, old.blob).await, Collection::Removed { size: 5_000 });

    // One blob can be a variant of two, and an asset of its own.
    let shared = put_variant(&test, other, 1, &content(5_000, 4)).await;
    assert_eq!(shared, new);
    test.store.remove_variant(VariantKey { source, coding: 1 }).await.expect("removed");
    assert_eq!((find(&test, source, 1), find(&test, other, 1)), (None, Some(Variant::Stored(new))));
    assert_eq!(collect(&test, new.blob).await, Collection::Referenced);
    let staged = stage(&test.store, &content(5_000, 4)).await;
    assert_eq!(staged.commit(PIN).await.expect("the commit"), Commit::AlreadyPresent);
    test.store.disown_variant(new.blob).await.expect("disowned");
    assert_eq!(find(&test, other, 1), None);
    assert_eq!(collect(&test, new.blob).await, Collection::Pinned);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_variant_does_not_count_and_can_be_made_anew() {
    let test = TestStore::new();
    let source = test.put(&content(100_000, 1)).await;
    let bytes = content(50_000, 2);
    let stored = put_variant(&test, source, 1, &bytes).await;
    let mut spoiled = bytes.clone();
    spoiled[7] ^= 1;
    std::fs::write(test.data_path(&stored.blob), spoiled).expect("a write");
    test.store.quarantine(stored.blob).await.expect("an answer");
    assert_eq!(find(&test, source, 1), None);
    assert_eq!(put_variant(&test, source, 1, &bytes).await, stored);
    assert_eq!(find(&test, source, 1), Some(Variant::Stored(stored)));
    let slice = test.store.read_slice_from_disk(stored.blob, 50_000, 0).await;
    assert_eq!(slice.expect("a slice"), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_listed_page_by_page_with_their_last_use() {
    let test = TestStore::new();
    let mut sources = Vec::new();
    for seed in 0..3 {
        sources.push(test.put(&content(9_000, seed)).await);
    }
    sources.sort_by_key(|source| *source.as_bytes());
    for (source, seed) in sources.iter().zip(10..) {
        put_variant(&test, *source, 1, &content(1_000, seed)).await;
        test.store.refuse_variant(VariantKey { source: *source, coding: 2 }).await.expect("noted");
    }
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = test.store.variants(after, 2).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        found.extend(page);
    }
    let keys: Vec<_> = found.iter().map(|entry| entry.key).collect();
    let expected: Vec<_> = sources.iter().flat_map(|source| [1, 2].map(|coding| VariantKey { source: *source, coding })).collect();
    assert_eq!(keys, expected);
    let before = found[0].used_at_ms;
    tokio::time::sleep(Duration::from_millis(2)).await;
    test.store.touch_variant(keys[0]).await.expect("noted");
    let entry = test.store.variants(None, 1).await.expect("a page")[0];
    assert!(entry.used_at_ms > before && entry.variant == found[0].variant);
    assert!(!test.store.remove_stale_variant(keys[0]).await.expect("an answer"), "it is of use");
}
