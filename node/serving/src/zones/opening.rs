//! The beginning of a content that many wait for: each of them gets its first bytes before any of them gets more.
//!
//! ```text
//!   the origin's first bytes ──► every viewer: a few of them ──► all have theirs, or nobody gets on ──► over: the rest, at everybody's pace
//! ```
//! Without it, who is woken first takes all that its connection takes, which may be a megabyte, while others have nothing yet; and the order in
//! which tasks run is no help, for one that can go on is run again before those that wait in a longer queue. Meanwhile nothing more is read
//! from the origin either: a processor that copies what nobody may have yet is missing where first bytes are handed out.
//!
//! Who cannot take its first bytes (a stream without a window) is not waited for: as soon as nobody has got any for [`PAUSE`] the opening is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// What a viewer gets first, in bytes: a record of TLS, or a frame of HTTP/2.
pub(crate) const FIRST_BYTES: usize = 16 << 10;

/// How long is waited for others while none of them gets anything.
const PAUSE: Duration = Duration::from_millis(20);

/// How long is waited for others in any case.
const LONGEST: Duration = Duration::from_secs(1);

/// How far the beginning of one content is.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// Viewers who read from the beginning, and have nothing yet.
    unserved: AtomicUsize,
    over: AtomicBool,
    /// The last of those has its first bytes, or is gone.
    served: Notify,
}

/// A viewer who has nothing yet.
#[derive(Debug)]
pub(crate) struct Unserved(Arc<Opening>);

impl Opening {
    /// One more viewer, until what is returned is dropped.
    pub(crate) fn admit(self: &Arc<Self>) -> Unserved {
        self.unserved.fetch_add(1, Ordering::AcqRel);
        Unserved(Arc::clone(self))
    }

    /// Whether everybody may have all there is.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// From now on everybody may have all there is.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Viewers who have nothing yet.
    pub(crate) fn unserved(&self) -> usize {
        self.unserved.load(Ordering::Acquire)
    }

    /// Waits until everybody has something, those who are on their way here included, or nobody gets on.
    pub(crate) async fn all_served(&self, on_their_way: impl Fn() -> usize) {
        let unserved = || on_their_way() + self.unserved();
        let (until, mut before) = (Instant::now() + LONGEST, unserved());
        while before > 0 && Instant::now() < until {
            let told = timeout(PAUSE, self.served.notified()).await;
            let now = unserved();
            if told.is_err() && now == before {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Unserved {
    fn drop(&mut self) {
        if self.0.unserved.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.served.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::{LONGEST, Opening, PAUSE};

    #[tokio::test(start_paused = true)]
    async fn all_are_waited_for_as_long_as_some_get_on() {
        let opening = Arc::<Opening>::default();
        let unserved: Vec<_> = (0..10).map(|_| opening.admit()).collect();
        let start = Instant::now();
        tokio::join!(opening.all_served(|| 0), async {
            for one in unserved {
                sleep(PAUSE / 2).await;
                drop(one);
            }
        });
        assert_eq!((start.elapsed(), opening.unserved()), (5 * PAUSE, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_nowhere_is_not_waited_for() {
        let opening = Arc::<Opening>::default();
        let (_stuck, start) = (opening.admit(), Instant::now());
        opening.all_served(|| 0).await;
        assert_eq!(start.elapsed(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_for_ever() {
        let opening = Arc::<Opening>::default();
        let start = Instant::now();
        // Some come and some go, and it is never the last.
        let coming = || usize::try_from(start.elapsed().as_millis()).expect("few") + 1;
        opening.all_served(coming).await;
        assert!((LONGEST..LONGEST + 2 * PAUSE).contains(&start.elapsed()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_on_the_way_is_waited_for() {
        let opening = Arc::<Opening>::default();
        let start = Instant::now();
        let on_their_way = || usize::from(start.elapsed() < Duration::from_millis(5));
        let one = opening.admit();
        tokio::join!(opening.all_served(on_their_way), async {
            drop(one);
            sleep(Duration::from_millis(5)).await;
            drop(opening.admit());
        });
        assert_eq!(start.elapsed(), Duration::from_millis(5));
    }
}
