//! Who waits for which revision of the state.
//!
//! Each waits by itself and is woken once, when what it waits for is there. With a signal for all, every entry would wake everybody who
//! waits for a later one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ncore_model::Revision;
use ncore_replica::Replica;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

/// Those who wait.
#[derive(Default)]
pub(crate) struct Arrivals {
    waiting: Mutex<BTreeMap<Place, oneshot::Sender<()>>>,
    next: AtomicU64,
}

/// What is waited for, and by which of those who wait for it.
type Place = (Revision, u64);

impl Arrivals {
    /// Wakes whoever waits for a revision of `replica`, as long as that lives.
    pub(crate) fn of(replica: &Replica) -> Arc<Self> {
        let arrivals = Arc::new(Self::default());
        tokio::spawn(Arc::clone(&arrivals).wake(replica.watch()));
        arrivals
    }

    /// Waits until the revision of `replica`, which is the one that this was made for, is at least `wanted`. Cancel safe.
    pub(crate) async fn wait(&self, replica: &Replica, wanted: Revision) {
        let (sender, arrived) = oneshot::channel();
        let place = (wanted, self.next.fetch_add(1, Ordering::Relaxed));
        {
            let mut waiting = self.waiting.lock();
            // Under the lock, so that whoever wakes either finds this one or has announced the revision before.
            if replica.revision() >= wanted {
                return;
            }
            waiting.insert(place, sender);
        }
        let _leave = Leave { arrivals: self, place };
        // The sender is dropped without a word only with the replica.
        let _ = arrived.await;
    }

    async fn wake(self: Arc<Self>, mut revisions: watch::Receiver<Revision>) {
        loop {
            let reached = *revisions.borrow_and_update();
            let arrived = {
                let mut waiting = self.waiting.lock();
                let later = waiting.split_off(&(reached, u64::MAX));
                std::mem::replace(&mut *waiting, later)
            };
            for (_, waiter) in arrived {
                // It may have given up.
                let _ = waiter.send(());
            }
            if revisions.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Gives the place up when the wait ends, in whatever way.
struct Leave<'a> {
    arrivals: &'a Arrivals,
    place: Place,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.arrivals.waiting.lock().remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use ncore_model::Revision;
    use ncore_replica::{Entry, Replica};
    use tokio::time::timeout;

    use super::Arrivals;

    fn at(index: u64) -> Revision {
        Revision { lineage: Revision::FIRST_LINEAGE, index }
    }

    #[tokio::test]
    async fn each_is_woken_for_its_own_revision_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let replica = Arc::new(Replica::open(dir.path()).expect("opens"));
        let arrivals = Arrivals::of(&replica);
        let wait = |index| {
            let (arrivals, replica) = (Arc::clone(&arrivals), Arc::clone(&replica));
            tokio::spawn(async move { arrivals.wait(&replica, at(index)).await })
        };
        let (second, third) = (wait(2), wait(3));
        let given_up = timeout(Duration::from_millis(1), arrivals.wait(&replica, at(9))).await;
        assert!(given_up.is_err());
        replica.apply(&[Entry { index: 1, proposal: None }, Entry { index: 2, proposal: None }], b"").expect("applies");
        second.await.expect("woken");
        arrivals.wait(&replica, at(2)).await;
        assert!(!third.is_finished());
        assert_eq!(arrivals.waiting.lock().keys().map(|(revision, _)| *revision).collect::<Vec<_>>(), [at(3)]);
        replica.apply(&[Entry { index: 3, proposal: None }], b"").expect("applies");
        third.await.expect("woken");
        assert!(arrivals.waiting.lock().is_empty());
    }
}
