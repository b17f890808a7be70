//! How often a client gives up requests before they are answered.
//!
//! To ask and take it back costs a client next to nothing, and a stream that was taken back does not count among those that are
//! open (CVE-2023-44487). People do it now and then, by leaving a page or moving in a film; a connection that does it all the
//! time is closed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// Counts what was given up on one connection.
#[derive(Debug)]
pub(super) struct Resets {
    max: usize,
    window: Duration,
    /// When the window began, and how many there were in it.
    counted: Mutex<(Instant, usize)>,
    exceeded: CancellationToken,
}

/// A request that is being answered. To drop it before [`Answering::done`] is to give it up.
#[derive(Debug)]
pub(super) struct Answering(Option<Arc<Resets>>);

impl Resets {
    /// At most `max` in each `window`.
    pub(super) fn new(max: usize, window: Duration) -> Arc<Self> {
        Arc::new(Self { max, window, counted: Mutex::new((Instant::now(), 0)), exceeded: CancellationToken::new() })
    }

    /// A request that begins.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        Answering(Some(Arc::clone(self)))
    }

    /// Completes when there were too many.
    pub(super) async fn exceeded(&self) {
        self.exceeded.cancelled().await;
    }

    fn given_up(&self) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = &mut *counted;
        if began.elapsed() >= self.window {
            (*began, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > self.max {
            self.exceeded.cancel();
        }
    }
}

impl Answering {
    /// It was answered.
    pub(super) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(resets) = self.0.take() {
            resets.given_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Resets;

    #[test]
    fn what_is_given_up_counts_and_what_is_answered_does_not() {
        let resets = Resets::new(2, Duration::from_secs(3_600));
        for _ in 0..10 {
            resets.answering().done();
        }
        for (given_up, exceeded) in [(1, false), (2, false), (3, true)] {
            drop(resets.answering());
            assert_eq!(resets.exceeded.is_cancelled(), exceeded, "after {given_up}");
        }
    }

    #[test]
    fn each_window_begins_anew() {
        let resets = Resets::new(1, Duration::ZERO);
        for _ in 0..10 {
            drop(resets.answering());
        }
        assert!(!resets.exceeded.is_cancelled());
    }
}
