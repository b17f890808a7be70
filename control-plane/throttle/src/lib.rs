//! Bytes a second: a bucket of tokens, seen as a clock that runs ahead of time by what was taken.
//!
//! Who takes tokens reserves the next stretch of that clock and sleeps until it begins. So takers are served in the order in which
//! they came, and there is no queue to bound. A taker that goes away while it sleeps has spent its tokens.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// A limit of bytes a second that several tasks share.
#[derive(Debug)]
pub struct Throttle {
    bytes_s: u64,
    /// When the tokens that are taken already will have come in.
    paid_until: Mutex<Option<Instant>>,
}

/// What may be taken at once after a pause, in time.
const BURST: Duration = Duration::from_millis(200);

impl Throttle {
    /// `bytes_s` of zero is no limit.
    #[must_use]
    pub const fn new(bytes_s: u64) -> Self {
        Self { bytes_s, paid_until: Mutex::new(None) }
    }

    /// Whether there is a limit, and which.
    #[must_use]
    pub const fn bytes_s(&self) -> Option<u64> {
        match self.bytes_s {
            0 => None,
            limit => Some(limit),
        }
    }

    /// Waits until `bytes` may pass.
    pub async fn take(&self, bytes: u64) {
        let Some(limit) = self.bytes_s() else { return };
        let begins = {
            let mut paid_until = self.paid_until.lock();
            let now = Instant::now();
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            let begins = paid_until.map_or(earliest, |until| until.max(earliest));
            *paid_until = Some(begins + cost(bytes, limit));
            begins
        };
        sleep_until(begins).await;
    }

    /// Returns tokens that were taken for bytes that did not come.
    pub fn give_back(&self, bytes: u64) {
        let Some(limit) = self.bytes_s() else { return };
        let mut paid_until = self.paid_until.lock();
        *paid_until = paid_until.and_then(|until| until.checked_sub(cost(bytes, limit)));
    }
}

/// How long `bytes` take at `limit` bytes a second.
fn cost(bytes: u64, limit: u64) -> Duration {
    Duration::from_nanos(u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(limit)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_over_several_takers() {
        let throttle = Arc::new(Throttle::new(1_000_000));
        let start = Instant::now();
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let throttle = Arc::clone(&throttle);
                tokio::spawn(async move {
                    for _ in 0..10 {
                        throttle.take(100_000).await;
                    }
                })
            })
            .collect();
        for taker in takers {
            taker.await.expect("no panic");
        }
        // 4 MB at 1 MB/s, less the burst and the last take, which is let through before it is paid.
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(3_650), "{took:?}");
        assert!(took <= Duration::from_millis(4_000), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_saved_up() {
        let throttle = Throttle::new(1_000_000);
        throttle.take(1).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..10 {
            throttle.take(100_000).await;
        }
        assert!(start.elapsed() >= Duration::from_millis(650), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_no_wait() {
        let throttle = Throttle::new(0);
        let start = Instant::now();
        throttle.take(u64::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
