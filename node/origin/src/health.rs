//! How well an origin is, as a pure machine: what happened goes in with the time, how it stands comes out.
//!
//! ```text
//!            `failures` in a row                      time is over
//!   Well ──────────────────────────► Out until t ──────────────────────► Probe: one request may try
//!     ▲                                  ▲                                   │
//!     │                                  └──────── it failed: twice as long ─┤
//!     └───────────────────────────────────────────── it was answered ────────┘
//! ```
//!
//! Health checks, where there are any, add to this: as many failed checks in a row leave an origin out until one passes, and one that
//! passes brings it back at once.

use std::time::Duration;

use tokio::time::Instant;

use crate::settings::HealthSettings;

/// Doublings of the time that an origin is left out, at most; the longest time is reached before.
const MOST_DOUBLINGS: u32 = 16;

/// How an origin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is asked.
    Well,
    /// It was left out for long enough: one request may try.
    Probe,
    /// It is left out, until then or until a check passes.
    Out {
        /// When it may be tried, unless checks say that it is down.
        until: Option<Instant>,
    },
}

/// Whether what happened has the origin left out from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It stands as before.
    None,
    /// It is left out from now on.
    Ejected,
    /// It is asked again.
    Recovered,
}

/// How well one origin is.
#[derive(Debug)]
pub(crate) struct Health {
    failures: u32,
    first: Duration,
    most: Duration,
    consecutive: u32,
    ejections: u32,
    until: Option<Instant>,
    probing: bool,
    recovered: Option<Instant>,
    checks_failed: u32,
    down: bool,
}

impl Health {
    pub(crate) const fn new(settings: &HealthSettings) -> Self {
        Self {
            failures: settings.failures,
            first: settings.ejection,
            most: settings.ejection_most,
            consecutive: 0,
            ejections: 0,
            until: None,
            probing: false,
            recovered: None,
            checks_failed: 0,
            down: false,
        }
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        if self.down {
            return Standing::Out { until: None };
        }
        match self.until {
            None => Standing::Well,
            Some(until) if now >= until && !self.probing => Standing::Probe,
            until => Standing::Out { until },
        }
    }

    /// A request takes it on itself to try.
    pub(crate) const fn probe(&mut self) {
        self.probing = true;
    }

    /// A probe ended without saying anything about the origin.
    pub(crate) const fn probe_dropped(&mut self) {
        self.probing = false;
    }

    /// The origin gave the head of a response that is no failure.
    pub(crate) fn answered(&mut self, now: Instant) -> Change {
        self.probing = false;
        if self.until.take().is_none() {
            return Change::None;
        }
        self.recovered = Some(now);
        if self.down { Change::None } else { Change::Recovered }
    }

    /// The origin gave a whole response.
    pub(crate) fn completed(&mut self, now: Instant) {
        self.consecutive = 0;
        if self.recovered.is_some_and(|recovered| now.duration_since(recovered) > self.most) {
            self.ejections = 0;
            self.recovered = None;
        }
    }

    /// The origin failed a request.
    pub(crate) fn failed(&mut self, now: Instant, probe: bool) -> Change {
        if probe {
            self.probing = false;
        } else if self.until.is_some() {
            // Of requests that were under way when it was left out, or were sent because all others are left out as well: the time
            // that it is left out does not grow by these.
            return Change::None;
        } else {
            self.consecutive = self.consecutive.saturating_add(1);
            if self.consecutive < self.failures {
                return Change::None;
            }
        }
        self.eject(now);
        if self.down { Change::None } else { Change::Ejected }
    }

    /// A health check passed.
    pub(crate) fn check_passed(&mut self, now: Instant) -> Change {
        let was_out = self.down || self.until.is_some();
        self.checks_failed = 0;
        self.consecutive = 0;
        self.down = false;
        self.probing = false;
        if !was_out {
            return Change::None;
        }
        self.until = None;
        self.recovered = Some(now);
        Change::Recovered
    }

    /// A health check failed.
    pub(crate) const fn check_failed(&mut self) -> Change {
        self.checks_failed = self.checks_failed.saturating_add(1);
        if self.down || self.checks_failed < self.failures {
            return Change::None;
        }
        self.down = true;
        if self.until.is_some() { Change::None } else { Change::Ejected }
    }

    fn eject(&mut self, now: Instant) {
        let time = self.first.saturating_mul(1 << self.ejections.min(MOST_DOUBLINGS)).min(self.most);
        self.ejections = self.ejections.saturating_add(1);
        self.consecutive = 0;
        self.until = Some(now + time);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Change, Health, Standing};
    use crate::settings::HealthSettings;

    fn health() -> Health {
        Health::new(&HealthSettings {
            failures: 3,
            ejection: Duration::from_secs(5),
            ejection_most: Duration::from_secs(30),
            ..HealthSettings::default()
        })
    }

    /// Fails until it is left out; until when it then is.
    fn eject(health: &mut Health, now: Instant) -> Duration {
        let probe = health.standing(now) == Standing::Probe;
        if probe {
            health.probe();
        }
        while health.failed(now, probe) != Change::Ejected {}
        match health.standing(now) {
            Standing::Out { until: Some(until) } => until - now,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failures_in_a_row_leave_an_origin_out_and_others_do_not() {
        let (mut health, now) = (health(), Instant::now());
        for _ in 0..10 {
            assert_eq!(health.failed(now, false), Change::None);
            assert_eq!(health.failed(now, false), Change::None);
            assert_eq!(health.answered(now), Change::None);
            health.completed(now);
        }
        assert_eq!(health.standing(now), Standing::Well);
        assert_eq!(eject(&mut health, now), Duration::from_secs(5));
    }

    #[test]
    fn each_time_it_fails_again_it_is_left_out_for_longer_up_to_the_most() {
        let (mut health, mut now) = (health(), Instant::now());
        let mut times = Vec::new();
        for _ in 0..40 {
            let time = eject(&mut health, now);
            times.push(time.as_secs());
            now += time;
            assert_eq!(health.standing(now), Standing::Probe);
        }
        assert_eq!(times[..5], [5, 10, 20, 30, 30]);
        assert_eq!(times[39], 30);
    }

    #[test]
    fn one_request_probes_and_the_others_stay_away() {
        let (mut health, mut now) = (health(), Instant::now());
        now += eject(&mut health, now);
        health.probe();
        assert!(matches!(health.standing(now), Standing::Out { .. }));
        health.probe_dropped();
        assert_eq!(health.standing(now), Standing::Probe);
        health.probe();
        assert_eq!(health.answered(now), Change::Recovered);
        assert_eq!(health.standing(now), Standing::Well);
    }

    #[test]
    fn requests_that_were_under_way_do_not_lengthen_it() {
        let (mut health, now) = (health(), Instant::now());
        let time = eject(&mut health, now);
        for _ in 0..100 {
            assert_eq!(health.failed(now, false), Change::None);
        }
        assert_eq!(health.standing(now), Standing::Out { until: Some(now + time) });
    }

    #[test]
    fn an_origin_that_stays_well_is_forgiven() {
        let (mut health, mut now) = (health(), Instant::now());
        now += eject(&mut health, now);
        now += eject(&mut health, now);
        health.answered(now);
        now += Duration::from_secs(31);
        health.completed(now);
        assert_eq!(eject(&mut health, now), Duration::from_secs(5));
    }

    #[test]
    fn checks_leave_out_and_bring_back() {
        let (mut health, now) = (health(), Instant::now());
        assert_eq!(health.check_failed(), Change::None);
        assert_eq!(health.check_failed(), Change::None);
        assert_eq!(health.check_failed(), Change::Ejected);
        assert_eq!(health.standing(now + Duration::from_secs(3600)), Standing::Out { until: None });
        assert_eq!(health.check_passed(now), Change::Recovered);
        assert_eq!(health.standing(now), Standing::Well);
        eject(&mut health, now);
        assert_eq!(health.check_passed(now), Change::Recovered);
        assert_eq!(health.standing(now), Standing::Well);
    }
}
