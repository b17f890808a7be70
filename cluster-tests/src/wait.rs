//! Waiting for a condition, with a deadline and with the last thing that was seen.
//!
//! No test of this package sleeps for a fixed time and hopes. It asks again and again, at first every 10 ms and
//! then less and less often, until the condition holds or the deadline passes. A wait that fails says what it
//! waited for and what the last attempt saw, which is most of what one needs to understand a failed run.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// Calls `probe` until it finds something, for at most `deadline`.
///
/// The probe returns an [`Attempt`]: `Some` or `Ok` ends the wait, `None` or `Err` means "not yet". The error of
/// the last attempt becomes part of the failure. One attempt that hangs is given up at the deadline.
///
/// # Errors
/// [`NotInTime`] when the deadline passed first.
///
/// # Cancel safety
/// Dropping the future drops the attempt that is under way and does nothing else.
pub async fn until<P, F, A>(deadline: Duration, what: &str, mut probe: P) -> Result<A::Found, NotInTime>
where
    P: FnMut() -> F,
    F: Future<Output = A>,
    A: Attempt,
{
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut seen = String::from("no attempt came to an end");
    loop {
        let left = deadline.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(attempt) => match attempt.found() {
                Ok(found) => return Ok(found),
                Err(not_yet) => seen = not_yet,
            },
            Err(_) => seen = format!("the last attempt hung until the deadline; before it: {seen}"),
        }
        let left = deadline.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(NotInTime { what: what.to_owned(), waited: start.elapsed(), seen });
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(LAST_PAUSE);
    }
}

/// Asks again and again for the whole of `time` whether something is still so.
///
/// For "it never happens", which no finite test can show: it did not happen for that long.
///
/// # Errors
/// The first failure of the probe.
pub async fn throughout<P, F>(time: Duration, mut probe: P) -> anyhow::Result<()>
where
    P: FnMut() -> F,
    F: Future<Output = anyhow::Result<()>>,
{
    let start = Instant::now();
    while start.elapsed() < time {
        probe().await?;
        tokio::time::sleep(FIRST_PAUSE * 10).await;
    }
    Ok(())
}

/// A condition did not come true before its deadline.
#[derive(Debug, Clone, thiserror::Error)]
#[error("waited {waited:.1?} for {what}; last seen: {seen}")]
pub struct NotInTime {
    /// What was waited for, in the words of the test.
    pub what: String,
    /// How long.
    pub waited: Duration,
    /// What the last attempt saw.
    pub seen: String,
}

/// The result of one look: either what was waited for, or why not yet.
pub trait Attempt {
    /// What the wait returns.
    type Found;

    /// Splits into the thing found, or the text to show should the deadline pass now.
    ///
    /// # Errors
    /// "Not yet", with what was seen.
    fn found(self) -> Result<Self::Found, String>;
}

impl<T> Attempt for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| String::from("nothing yet"))
    }
}

impl<T, E: Display> Attempt for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        // The alternate form prints the chain of causes of an `anyhow::Error`.
        self.map_err(|error| format!("{error:#}"))
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::{Duration, throughout, until};
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn returns_what_the_probe_found() {
        let calls = Cell::new(0);
        let found = until(Duration::from_secs(5), "the third call", || async {
            calls.set(calls.get() + 1);
            (calls.get() == 3).then_some("here")
        })
        .await;
        assert_eq!(found.expect("found"), "here");
        assert_eq!(calls.get(), 3);
    }

    #[tokio::test]
    async fn failure_tells_what_was_seen_last() {
        let calls = Cell::new(0);
        let failure = until(Duration::from_millis(60), "the moon", || async {
            calls.set(calls.get() + 1);
            Err::<(), _>(format!("cloud {}", calls.get()))
        })
        .await
        .expect_err("never true");
        assert_eq!(failure.what, "the moon");
        assert_eq!(failure.seen, format!("cloud {}", calls.get()));
    }

    #[tokio::test]
    async fn throughout_ends_with_the_first_failure() {
        assert!(throughout(Duration::from_millis(30), async || Ok(())).await.is_ok());
        let calls = Cell::new(0);
        let result = throughout(Duration::from_secs(600), || async {
            calls.set(calls.get() + 1);
            anyhow::ensure!(calls.get() < 2, "it happened");
            Ok(())
        });
        assert_eq!(result.await.expect_err("the second call fails").to_string(), "it happened");
    }

    #[tokio::test]
    async fn a_hanging_probe_ends_at_the_deadline() {
        let failure = until(Duration::from_millis(50), "an answer", std::future::pending::<Option<()>>).await.expect_err("it hangs");
        assert!(failure.seen.contains("hung"), "{failure}");
    }
}
