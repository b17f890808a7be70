//! Content in memory may be moved to where it can be sent from, which changes nothing of what is there.

use super::*;

const LEN: usize = 100_000;

fn in_memory() -> Cached {
    Cached::open(Path::new(""), CachedSettings { memory_bytes: 8 << 20, disk_bytes: 0, ..small() }).unwrap()
}

#[test]
fn content_stays_where_it_was_moved_to() {
    let cached = in_memory();
    cached.put(key(1), entry(1, 7, LEN));
    let moved = cached.in_pages(&key(1), cached.in_memory(&key(1)).unwrap().bytes);
    let found = cached.in_memory(&key(1)).unwrap();
    assert_eq!((found.fill, &found.bytes), (7, &entry(1, 7, LEN).bytes));
    assert!(ncore_pages::holds(&found.bytes));
    assert_eq!(found.bytes.as_ptr(), moved.as_ptr());
    let again = cached.in_pages(&key(1), found.bytes);
    assert_eq!(again.as_ptr(), moved.as_ptr(), "once is enough");
}

#[test]
fn little_is_not_moved() {
    let cached = in_memory();
    cached.put(key(1), entry(1, 1, 10_000));
    let bytes = cached.in_pages(&key(1), cached.in_memory(&key(1)).unwrap().bytes);
    assert!(!ncore_pages::holds(&bytes));
}

/// Who moves a content may have looked before somebody else removed it, or put another.
#[tokio::test]
async fn what_was_removed_or_replaced_meanwhile_does_not_come_back() {
    let cached = in_memory();
    cached.put(key(1), entry(1, 1, LEN));
    let looked = cached.in_memory(&key(1)).unwrap().bytes;
    cached.remove(&key(1)).await.unwrap();
    assert_eq!(cached.in_pages(&key(1), looked.clone()), looked);
    assert_eq!(cached.in_memory(&key(1)), None);
    cached.put(key(1), entry(1, 2, LEN));
    assert_eq!(cached.in_pages(&key(1), looked.clone()), looked);
    assert_eq!(cached.in_memory(&key(1)), Some(entry(1, 2, LEN)));
}
