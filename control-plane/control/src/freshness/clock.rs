//! The two clocks of this machine.

use ncore_freshness::{Boottime, WallTime};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Time since the machine was started, suspension included.
pub(super) fn boottime() -> Boottime {
    Boottime::from_nanos(nanos(clock_gettime(ClockId::Boottime)))
}

/// The time of day.
pub(super) fn wall() -> WallTime {
    WallTime::from_unix_nanos(nanos(clock_gettime(ClockId::Realtime)))
}

/// Both clocks start at or after zero.
fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
