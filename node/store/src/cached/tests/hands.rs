//! What somebody still has is given to the next who asks, and nothing else.

use super::*;

const LEN: usize = 100_000;

/// A store with an entry on disk, and the directory that it is in.
async fn on_disk() -> (Cached, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &disk_only());
    cached.put(key(1), entry(1, 1, LEN));
    settle(&cached).await;
    (cached, dir)
}

#[tokio::test]
async fn what_somebody_still_has_is_not_read_again() {
    let (cached, _dir) = on_disk().await;
    let first = cached.get(&key(1)).await.unwrap().unwrap();
    let again = cached.get(&key(1)).await.unwrap().unwrap();
    assert_eq!((&first, first.bytes.as_ptr()), (&entry(1, 1, LEN), again.bytes.as_ptr()));
    drop((first, again));
    assert_eq!(cached.get(&key(1)).await.unwrap(), Some(entry(1, 1, LEN)), "from the disk, for nobody has it");
}

#[tokio::test]
async fn what_was_replaced_or_removed_is_given_to_nobody() {
    let (cached, _dir) = on_disk().await;
    let old = cached.get(&key(1)).await.unwrap().unwrap();
    cached.put(key(1), entry(1, 2, LEN));
    let new = cached.get(&key(1)).await.unwrap();
    assert_eq!(new, Some(entry(1, 2, LEN)));
    settle(&cached).await;
    let read = cached.get(&key(1)).await.unwrap();
    assert_eq!(read, Some(entry(1, 2, LEN)));
    cached.remove(&key(1)).await.unwrap();
    assert_eq!(cached.get(&key(1)).await.unwrap(), None);
    assert_eq!(old, entry(1, 1, LEN), "who has it has it");
}
