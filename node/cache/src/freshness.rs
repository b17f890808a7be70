//! How long a stored response is fresh, and how old it is (RFC 9111 §4.2).

use http::{
    HeaderMap, StatusCode,
    header::{AGE, DATE, EXPIRES, LAST_MODIFIED},
};

use crate::{
    cache_control::{Flag, ResponseDirectives, seconds},
    http_date,
    targeted::Directives,
};

/// When a response was asked for and when it came, by the clock of this cache, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When the request was sent.
    pub requested_s: u64,
    /// When the head of the response had arrived.
    pub received_s: u64,
}

/// How long a response is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// From when it was made, in seconds.
    pub seconds: u64,
    /// What says so.
    pub source: LifetimeSource,
}

/// What a lifetime follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifetimeSource {
    /// A directive for shared caches.
    SharedMaxAge,
    /// A directive for all caches.
    MaxAge,
    /// The field `Expires`.
    Expires,
    /// The response says nothing, and this cache has guessed (RFC 9111 §4.2.2).
    Heuristic,
    /// The response says nothing, and there is nothing to guess by.
    Nothing,
}

/// How a lifetime is guessed where a response has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heuristic {
    /// Of the time since the content changed, how many hundredths.
    pub percent: u64,
    /// And no more than this, in seconds.
    pub max_s: u64,
}

impl Heuristic {
    /// A tenth (RFC 9111 §4.2.2 calls it typical), and a day at most.
    pub const TYPICAL: Self = Self { percent: 10, max_s: 24 * 60 * 60 };
}

impl LifetimeSource {
    /// Its name in what explains an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SharedMaxAge => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::Heuristic => "heuristic",
            Self::Nothing => "nothing",
        }
    }

    /// Whether the response itself says how long it is fresh.
    #[must_use]
    pub const fn is_explicit(self) -> bool {
        matches!(self, Self::SharedMaxAge | Self::MaxAge | Self::Expires)
    }
}

/// How long a response is fresh for a shared cache.
#[must_use]
pub fn lifetime(status: StatusCode, headers: &HeaderMap, directives: &Directives, times: Times, heuristic: Heuristic) -> Lifetime {
    let said = directives.get();
    if let Some(seconds) = said.s_maxage_s {
        return Lifetime { seconds, source: LifetimeSource::SharedMaxAge };
    }
    if let Some(seconds) = said.max_age_s {
        return Lifetime { seconds, source: LifetimeSource::MaxAge };
    }
    let made_s = made(headers, times);
    // Where a targeted field decides, Expires is as if it were not there (RFC 9213 §2.2).
    if matches!(directives, Directives::Common(_)) && headers.contains_key(EXPIRES) {
        return Lifetime { seconds: expires(headers).saturating_sub(made_s), source: LifetimeSource::Expires };
    }
    guessed(status, headers, said, made_s, heuristic)
}

/// The age of a response when it arrived, in seconds (RFC 9111 §4.2.3: `corrected_initial_age`).
#[must_use]
pub fn initial_age_s(headers: &HeaderMap, times: Times) -> u64 {
    let apparent = date(headers).map_or(0, |made_s| times.received_s.saturating_sub(made_s));
    let delay = times.received_s.saturating_sub(times.requested_s);
    apparent.max(age(headers).saturating_add(delay))
}

/// The age of a stored response now, in seconds (`current_age`). A clock that went back makes nothing younger than it came.
#[must_use]
pub fn current_age_s(initial_age_s: u64, received_s: u64, now_s: u64) -> u64 {
    initial_age_s.saturating_add(now_s.saturating_sub(received_s))
}

/// Whether a response without a lifetime of its own may be given one by its status (RFC 9110 §15.1).
#[must_use]
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn guessed(status: StatusCode, headers: &HeaderMap, said: &ResponseDirectives, made_s: u64, heuristic: Heuristic) -> Lifetime {
    let may_guess = is_heuristically_cacheable(status) || said.has(Flag::Public);
    let changed_s = headers.get(LAST_MODIFIED).and_then(http_date::parse).filter(|_| may_guess);
    match changed_s.filter(|changed_s| *changed_s <= made_s) {
        Some(changed_s) => {
            let part = (made_s - changed_s).saturating_mul(heuristic.percent) / 100;
            Lifetime { seconds: part.min(heuristic.max_s), source: LifetimeSource::Heuristic }
        }
        None => Lifetime { seconds: 0, source: LifetimeSource::Nothing },
    }
}

/// When a response was made: by its `Date`, or when it came.
fn made(headers: &HeaderMap, times: Times) -> u64 {
    date(headers).unwrap_or(times.received_s)
}

fn date(headers: &HeaderMap) -> Option<u64> {
    headers.get(DATE).and_then(http_date::parse)
}

/// Of several the earliest, and what is no date is past (RFC 9111 §5.3).
fn expires(headers: &HeaderMap) -> u64 {
    headers.get_all(EXPIRES).into_iter().map(|field| http_date::parse(field).unwrap_or(0)).min().unwrap_or(0)
}

/// `Age`: the first member counts, and what is no number says nothing (RFC 9111 §5.1).
fn age(headers: &HeaderMap) -> u64 {
    let first = headers.get(AGE).and_then(|field| field.to_str().ok()).and_then(|line| line.split(',').next());
    seconds(first.map(str::trim)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Heuristic, Lifetime, LifetimeSource, Times, current_age_s, initial_age_s, lifetime};
    use crate::{
        http_date,
        targeted::{CDN_CACHE_CONTROL, Directives},
    };
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
    use proptest::prelude::proptest;

    const NOW: u64 = 1_700_000_000;
    const AT_ONCE: Times = Times { requested_s: NOW, received_s: NOW };

    fn date(offset: i64) -> String {
        http_date::format(NOW.saturating_add_signed(offset)).to_str().expect("ASCII").to_owned()
    }

    fn headers(lines: &[(&'static str, String)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn of(status: u16, lines: &[(&'static str, String)]) -> (u64, LifetimeSource) {
        let headers = headers(lines);
        let directives = Directives::of(&headers, &[CDN_CACHE_CONTROL]);
        let status = StatusCode::from_u16(status).expect("a status");
        let Lifetime { seconds, source } = lifetime(status, &headers, &directives, AT_ONCE, Heuristic::TYPICAL);
        (seconds, source)
    }

    #[test]
    fn lifetimes() {
        use LifetimeSource::{Expires, Heuristic, MaxAge, Nothing, SharedMaxAge};
        let text = |text: &str| text.to_owned();
        let day = 24 * 60 * 60;
        let cases = [
            (vec![("cache-control", text("max-age=60, s-maxage=5"))], (5, SharedMaxAge)),
            (vec![("cache-control", text("max-age=60")), ("expires", date(5))], (60, MaxAge)),
            (vec![("expires", date(100)), ("date", date(0))], (100, Expires)),
            (vec![("expires", date(100))], (100, Expires)),
            (vec![("expires", date(100)), ("date", date(40))], (60, Expires)),
            (vec![("expires", date(-100)), ("date", date(0))], (0, Expires)),
            (vec![("expires", text("0")), ("date", date(0))], (0, Expires)),
            (vec![("expires", date(100)), ("expires", date(5)), ("date", date(0))], (5, Expires)),
            (vec![("expires", date(100)), ("cdn-cache-control", text("max-age=7")), ("date", date(0))], (7, MaxAge)),
            (vec![("expires", date(100)), ("cdn-cache-control", text("public")), ("date", date(0))], (0, Nothing)),
            (vec![("last-modified", date(-1_000)), ("date", date(0))], (100, Heuristic)),
            (vec![("last-modified", date(-i64::from(u32::MAX) / 4)), ("date", date(0))], (day, Heuristic)),
            (vec![("last-modified", date(1_000)), ("date", date(0))], (0, Nothing)),
            (vec![("date", date(0))], (0, Nothing)),
        ];
        for (lines, expected) in cases {
            assert_eq!(of(200, &lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_may_be_guessed() {
        let lines = [("last-modified", date(-1_000)), ("date", date(0))];
        assert_eq!(of(404, &lines), (100, LifetimeSource::Heuristic));
        assert_eq!(of(302, &lines), (0, LifetimeSource::Nothing));
        let public = [lines[0].clone(), lines[1].clone(), ("cache-control", "public".to_owned())];
        assert_eq!(of(302, &public), (100, LifetimeSource::Heuristic));
    }

    #[test]
    fn ages() {
        let text = |text: &str| text.to_owned();
        let late = Times { requested_s: NOW - 4, received_s: NOW };
        let cases = [
            (vec![], AT_ONCE, 0),
            (vec![("age", text("30"))], AT_ONCE, 30),
            (vec![("age", text("30"))], late, 34),
            (vec![("date", date(-50))], AT_ONCE, 50),
            (vec![("date", date(-50)), ("age", text("30"))], late, 50),
            (vec![("date", date(50))], AT_ONCE, 0),
            (vec![("age", text("30, 7"))], AT_ONCE, 30),
            (vec![("age", text("7")), ("age", text("30"))], AT_ONCE, 7),
            (vec![("age", text("-7"))], AT_ONCE, 0),
            (vec![("age", text("7.5"))], AT_ONCE, 0),
            (vec![("age", text("x"))], late, 4),
        ];
        for (lines, times, expected) in cases {
            assert_eq!(initial_age_s(&headers(&lines), times), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_grows_younger(initial in 0_u64..1_000, received in 0_u64..1_000, now in 0_u64..2_000, later in 0_u64..1_000) {
            let then = current_age_s(initial, received, now);
            assert!(then >= initial && current_age_s(initial, received, now + later) >= then);
        }
    }
}
