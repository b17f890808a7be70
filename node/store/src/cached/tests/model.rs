//! Against a model that knows what was put last: what comes back is that, or nothing. With restarts, damage, a full disk and a
//! broken index in between.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::*;
use crate::cached::shared::State;

#[derive(Debug, Clone)]
enum Op {
    Put {
        n: u64,
        len: usize,
    },
    Remove {
        n: u64,
    },
    Get {
        n: u64,
    },
    InMemory {
        n: u64,
    },
    Settle,
    Reopen,
    /// A bit of a segment.
    Flip {
        at: prop::sample::Index,
        file: prop::sample::Index,
    },
    /// The tail of a segment.
    Cut {
        at: prop::sample::Index,
        file: prop::sample::Index,
    },
    Full(bool),
    Broken(bool),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_back_is_what_was_put_last_or_nothing(ops in prop::collection::vec(op(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Run::new().all(&ops));
    }
}

fn op() -> impl Strategy<Value = Op> {
    let n = || 0..16_u64;
    let index = || any::<prop::sample::Index>();
    let len = prop_oneof![4 => 0..2_000_usize, 1 => 0..120_000_usize];
    prop_oneof![
        24 => (n(), len).prop_map(|(n, len)| Op::Put { n, len }),
        8 => n().prop_map(|n| Op::Remove { n }),
        20 => n().prop_map(|n| Op::Get { n }),
        4 => n().prop_map(|n| Op::InMemory { n }),
        6 => Just(Op::Settle),
        4 => Just(Op::Reopen),
        3 => (index(), index()).prop_map(|(at, file)| Op::Flip { at, file }),
        1 => (index(), index()).prop_map(|(at, file)| Op::Cut { at, file }),
        1 => any::<bool>().prop_map(Op::Full),
        1 => prop::bool::weighted(0.3).prop_map(Op::Broken),
    ]
}

struct Run {
    dir: tempfile::TempDir,
    cached: Cached,
    /// The version and length that was put last, unless it was removed.
    model: HashMap<u64, (u64, usize)>,
    version: u64,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cached = open(dir.path(), &settings());
        Self { dir, cached, model: HashMap::new(), version: 0 }
    }

    async fn all(mut self, ops: &[Op]) {
        for op in ops {
            self.apply(op).await;
        }
        self.reopen().await;
        for n in 0..16 {
            self.check(n, self.cached.get(&key(n)).await.unwrap());
        }
        assert!(bytes_on_disk(self.dir.path()) <= settings().disk_bytes);
    }

    async fn apply(&mut self, op: &Op) {
        match *op {
            Op::Put { n, len } => {
                self.version += 1;
                self.model.insert(n, (self.version, len));
                self.cached.put(key(n), entry(n, self.version, len));
            }
            Op::Remove { n } => {
                self.model.remove(&n);
                // When it cannot be struck out it is gone for this process, which heals before it ends.
                let _ = self.cached.remove(&key(n)).await;
                self.check(n, self.cached.get(&key(n)).await.unwrap());
            }
            Op::Get { n } => self.check(n, self.cached.get(&key(n)).await.unwrap()),
            Op::InMemory { n } => self.check(n, self.cached.in_memory(&key(n))),
            Op::Settle => self.settle().await,
            Op::Reopen => self.reopen().await,
            Op::Flip { at, file } => self.change(file, |file, len| {
                let at = at.index(len);
                let mut byte = [0];
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                file.read_exact(&mut byte).unwrap();
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                file.write_all(&[byte[0] ^ 0x10]).unwrap();
            }),
            Op::Cut { at, file } => self.change(file, |file, len| file.set_len(at.index(len) as u64).unwrap()),
            Op::Full(full) => self.cached.shared().parts().unwrap().segments.faults.full.store(full, Relaxed),
            Op::Broken(broken) => self.cached.shared().parts().unwrap().index.broken.store(broken, Relaxed),
        }
    }

    fn check(&self, n: u64, found: Option<Entry>) {
        let Some(found) = found else { return };
        let expected = self.model.get(&n).map(|&(version, len)| entry(n, version, len));
        assert!(
            expected.as_ref() == Some(&found),
            "key {n}: version {} of {} bytes, where {:?} is due",
            found.fill,
            found.bytes.len(),
            self.model.get(&n)
        );
    }

    /// Waits for the queue, unless the index is broken.
    async fn settle(&self) {
        until("the queue is empty", || self.cached.figures().queued_bytes == 0 || self.cached.shared().state() != State::On).await;
    }

    /// Stops and starts, after the disk works again: a process that ends with strikes in its memory leaves them undone, and has said so.
    async fn reopen(&mut self) {
        let parts = self.cached.shared().parts().unwrap();
        parts.segments.faults.full.store(false, Relaxed);
        parts.index.broken.store(false, Relaxed);
        until("the disk works", || self.cached.shared().state() == State::On).await;
        self.cached.close().await;
        self.cached = open(self.dir.path(), &settings());
    }

    fn change(&self, file: prop::sample::Index, change: impl FnOnce(&mut std::fs::File, usize)) {
        let files = segments(self.dir.path());
        if files.is_empty() {
            return;
        }
        // It may be evicted at this moment.
        let Ok(mut file) = std::fs::File::options().read(true).write(true).open(file.get(&files)) else { return };
        let len = usize::try_from(file.metadata().unwrap().len()).unwrap();
        if len > 0 {
            change(&mut file, len);
        }
    }
}

/// So small that a few dozen entries are more than there is room for.
fn settings() -> CachedSettings {
    CachedSettings { memory_bytes: 20_000, disk_bytes: 1_500_000, queue_bytes: 400_000, readers: 2 }
}
