//! The three figures that freshness and the barrier depend on.

use std::time::Duration;

/// How long a node may go without news, and what is assumed of clocks.
///
/// The bound and the drift must be the same on every node of a cluster: the leader concludes from its own figures when
/// another node fenced itself. Compare them when a child says hello, or keep them in the replicated state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// A node whose view may be this old is fenced.
    pub bound: Duration,
    /// How much faster the clock of one node may run than that of another, in millionths.
    pub drift_ppm: u32,
    /// A jump of the wall clock against CLOCK_BOOTTIME by more than this ends freshness.
    pub clock_jump: Duration,
}

impl Settings {
    /// How long after it was granted, by the clock of whoever granted it, freshness has ended for certain at whoever got it:
    /// `bound * (1 + drift)`, rounded up to a nanosecond.
    ///
    /// If this much passed here, at least `hold / (1 + drift) >= bound` passed there, and at `bound` a node is fenced.
    #[must_use]
    pub fn hold(&self) -> Duration {
        const MILLION: u128 = 1_000_000;
        let nanos = self.bound.as_nanos().saturating_mul(MILLION + u128::from(self.drift_ppm)).div_ceil(MILLION);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Default for Settings {
    /// 5 s, 1000 ppm, 500 ms.
    fn default() -> Self {
        Self { bound: Duration::from_secs(5), drift_ppm: 1000, clock_jump: Duration::from_millis(500) }
    }
}
