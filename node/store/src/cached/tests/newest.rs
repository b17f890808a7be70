//! Readers beside writers: nobody sees what was replaced or removed before they asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const KEYS: u64 = 24;
const ROUNDS: u64 = 600;

/// Of each key the newest version that a put or remove has returned for.
type Published = Arc<Vec<AtomicU64>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_sees_what_was_replaced_or_removed_before_they_asked() {
    let dir = tempfile::tempdir().unwrap();
    // Memory holds a few of them, so that most lookups go to the disk and bring entries back up.
    let settings = CachedSettings { memory_bytes: 8 << 10, ..small() };
    let cached = open(dir.path(), &settings);
    let published: Published = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let readers: Vec<_> = (0..4).map(|reader| tokio::spawn(read(cached.clone(), Arc::clone(&published), reader))).collect();
    let writers: Vec<_> = (0..3).map(|writer| tokio::spawn(write(cached.clone(), Arc::clone(&published), writer))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut found = 0;
    for reader in readers {
        found += reader.await.unwrap();
    }
    let figures = cached.figures();
    assert!(found > 300 && figures.hits_disk > 30, "{found} found: {figures:?}");
    assert_eq!((figures.damaged, figures.read_errors), (0, 0));
}

/// Each key has one writer, so its versions come in order.
async fn write(cached: Cached, published: Published, writer: u64) {
    for version in 1..=ROUNDS {
        for n in (0..KEYS).filter(|n| n % 3 == writer) {
            if (version + n) % 5 == 0 {
                cached.remove(&key(n)).await.unwrap();
            } else {
                cached.put(key(n), entry(n, version, 700));
            }
            published[usize::try_from(n).unwrap()].store(version, Ordering::SeqCst);
        }
        tokio::task::yield_now().await;
    }
}

async fn read(cached: Cached, published: Published, reader: u64) -> u64 {
    let (mut found, mut at) = (0, reader);
    loop {
        at += 7;
        let n = at % KEYS;
        let newest = published[usize::try_from(n).unwrap()].load(Ordering::SeqCst);
        let got = if at % 2 == 0 { cached.in_memory(&key(n)) } else { cached.get(&key(n)).await.unwrap() };
        if let Some(got) = got {
            found += 1;
            assert!(got.fill >= newest, "version {} of key {n} after {newest} was there", got.fill);
            assert_ne!((got.fill + n) % 5, 0, "that version was a removal");
            assert_eq!(got, entry(n, got.fill, 700));
        }
        if newest == ROUNDS {
            return found;
        }
        tokio::task::yield_now().await;
    }
}
