//! How much may be under way between two nodes: as much as the way between them holds, and not more.
//!
//! What has come and nobody has read yet waits in memory, up to the window. A reader who is slower than the network, as a disk is slower than a
//! machine next door, has all of it waiting. So the windows of HTTP/2 grow with the round trip: between nodes that are near each other a
//! large one gains nothing, and costs its whole size.

use std::time::Duration;

/// Bytes under way on a stream, and on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) stream: u32,
    /// Of several streams, so that one that nobody reads does not hold up the others at once.
    pub(crate) connection: u32,
}

impl Windows {
    /// For nodes that are so far apart: enough for [`BYTES_A_MICROSECOND`], within [`LEAST`] and [`MOST`].
    pub(crate) fn over(round_trip: Duration) -> Self {
        let under_way = round_trip.as_micros().saturating_mul(BYTES_A_MICROSECOND);
        // In steps, so that noise of a measurement seldom changes it.
        let stream = u32::try_from(under_way).map_or(MOST, |bytes| bytes.min(MOST).next_power_of_two().max(LEAST));
        Self { stream, connection: stream.saturating_mul(STREAMS).min(MOST) }
    }

    /// Whether a connection that has these is to be made anew with others: it is too slow, or by far too large.
    pub(crate) const fn gives_way_to(self, other: Self) -> bool {
        other.stream > self.stream || other.stream <= self.stream / 4
    }
}

/// 1 Gbit/s.
const BYTES_A_MICROSECOND: u128 = 125;
/// What is under way however near the nodes are: a slice of a blob, with its proof behind it.
const LEAST: u32 = 1 << 20;
/// What is under way however far away they are: enough for 1 Gbit/s over a round trip of 130 ms.
const MOST: u32 = 16 << 20;
/// Streams whose windows a connection holds, as far as it may.
const STREAMS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::{LEAST, MOST, Windows};
    use std::time::Duration;

    fn over(millis: u64) -> Windows {
        Windows::over(Duration::from_millis(millis))
    }

    #[test]
    fn a_gigabit_a_second_is_under_way_and_not_much_more() {
        for millis in 0..=130 {
            let (needed, Windows { stream, connection }) = (u32::try_from(millis).unwrap() * 125_000, over(millis));
            assert!(stream >= needed && stream <= (2 * needed).max(LEAST), "{millis} ms: {stream}");
            assert!((stream..=MOST).contains(&connection), "{millis} ms: {connection}");
        }
        assert_eq!(over(0), Windows { stream: LEAST, connection: 4 * LEAST });
        for far in [over(131), over(10_000), Windows::over(Duration::MAX)] {
            assert_eq!(far, Windows { stream: MOST, connection: MOST });
        }
    }

    #[test]
    fn noise_makes_no_connection_anew() {
        assert!(over(0).gives_way_to(over(20)), "it is too slow");
        assert!(!over(20).gives_way_to(over(20)));
        assert!(!over(20).gives_way_to(over(12)), "half of it does not matter");
        assert!(over(120).gives_way_to(over(1)), "it is by far too large");
    }
}
