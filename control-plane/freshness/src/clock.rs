//! Times as this crate sees them: two clocks that are read by the caller, and are never sent to another node.

use std::time::Duration;

/// A reading of the machine's CLOCK_BOOTTIME, which never goes back and counts suspension. Of this machine only: readings of
/// two machines have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boottime {
    nanos: u64,
}

impl Boottime {
    /// A reading in nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// A reading in milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { nanos: millis.saturating_mul(1_000_000) }
    }

    /// The reading in nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.nanos
    }

    /// How much time passed since `earlier`; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// The reading `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)) }
    }
}

/// A reading of the wall clock (CLOCK_REALTIME). It is used for one thing: to see it jump against [`Boottime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    nanos: u64,
}

impl WallTime {
    /// A reading in nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// How far the wall clock is ahead of the other, in nanoseconds: constant unless one of them jumps.
    #[must_use]
    pub(crate) fn ahead_of(self, boottime: Boottime) -> i128 {
        i128::from(self.nanos) - i128::from(boottime.as_nanos())
    }
}
