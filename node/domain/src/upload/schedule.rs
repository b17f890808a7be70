//! How long an upload may wait for other nodes once all of its content is here and durable.
//!
//! ```text
//!   content is here                                                           the caller has an answer
//!   │◄──── copies that went along ────►│◄── others in place of these ──►│◄──── the change ────►│
//!   0                                 1/2                              3/4                     1   of the request deadline
//! ```
//!
//! What comes before takes as long as the client takes to send. Each part begins when the one before is done, so what is not used is
//! left to those after it. The first two bounds move out with the size, by the time that a slow node needs for so many bytes: most of
//! them it had while they came in, but a copy that was lost on the way has to be made again.

use std::time::Duration;

use tokio::time::Instant;

/// The pace below which a node that takes or reads a copy is not waited for, in bytes a second.
const COPY_BYTES_S: u64 = 32 << 20;

/// The bounds of one upload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// When the copies that went along with the upload are given up.
    pub(super) fan: Instant,
    /// When no more copies are made.
    pub(super) copies: Instant,
    /// When the caller is to have an answer.
    pub(super) answer: Instant,
}

impl Schedule {
    /// The bounds of an upload of `size` bytes that are all here now.
    pub(super) fn from_now(request_deadline: Duration, size: u64) -> Self {
        let size_allowance = Duration::from_millis(size / (COPY_BYTES_S / 1_000));
        let start = Instant::now() + size_allowance;
        Self { fan: start + request_deadline / 2, copies: start + request_deadline * 3 / 4, answer: start + request_deadline }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Schedule};

    #[tokio::test(start_paused = true)]
    async fn small_uploads_are_answered_within_the_deadline_and_large_ones_get_the_time_that_their_bytes_take() {
        let (now, deadline) = (Instant::now(), Duration::from_secs(4));
        let small = Schedule::from_now(deadline, 1_000);
        let parts = [small.fan, small.copies, small.answer].map(|bound| bound - now);
        assert_eq!(parts, [2, 3, 4].map(Duration::from_secs));
        let large = Schedule::from_now(deadline, 512 << 20);
        let longer = large.answer - small.answer;
        assert!((15..=17).contains(&longer.as_secs()), "{longer:?}");
    }
}
