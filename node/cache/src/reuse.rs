//! Whether a stored response answers a request, and what is due before it does (RFC 9111 §4, RFC 5861, RFC 8246).

use crate::{
    cache_control::{Extent, Flag, MaxStale, RequestDirectives, ResponseDirectives},
    freshness::Lifetime,
};

/// What a stored response is like now.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// What it says about its reuse.
    pub directives: &'a ResponseDirectives,
    /// How long it is fresh.
    pub lifetime: Lifetime,
    /// How old it is, in seconds.
    pub age_s: u64,
    /// Whether it was marked as stale, whatever its age: by a soft purge, or because a request changed what it is about (§4.4).
    pub mark: Mark,
}

/// Whether something other than time has ended the freshness of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing has.
    None,
    /// It has.
    Stale,
}

/// What a zone lets clients and origins decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReusePolicy {
    /// Whether requests can ask for something newer: `no-cache`, `max-age`, `min-fresh`.
    pub requests: Requests,
    /// For how long a response that says nothing of it may be reused while it is validated, in seconds.
    pub stale_while_revalidate_s: u64,
    /// For how long a response that says nothing of it may be reused when the origin fails, in seconds.
    pub stale_if_error_s: u64,
}

/// Whether what clients say of caching counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// It does, as RFC 9111 §5.2.1 has it.
    Obey,
    /// It does not: no client can make the origin work for it.
    Ignore,
}

impl ReusePolicy {
    /// By the book.
    pub const STRICT: Self = Self { requests: Requests::Obey, stale_while_revalidate_s: 0, stale_if_error_s: 0 };
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It is the answer.
    Fresh,
    /// It is the answer although it is stale: the request allows it.
    Stale,
    /// It is the answer, and is validated in the background.
    StaleWhileRevalidate,
    /// It has to be validated first. If that fails it may or may not be the answer.
    Validate(OnError),
}

/// What to do when validation fails because the origin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// Pass the failure on.
    Fail,
    /// Answer with what is stored.
    ServeStale,
}

/// What is due before `stored` answers a request with `request`.
#[must_use]
pub fn reuse(stored: Stored<'_>, request: &RequestDirectives, policy: ReusePolicy) -> Reuse {
    let said = stored.directives;
    if said.no_cache == Extent::Everything {
        return Reuse::Validate(OnError::Fail);
    }
    let wishes = match policy.requests {
        Requests::Obey => request.clone(),
        Requests::Ignore => RequestDirectives::default(),
    };
    let staleness = staleness_s(&stored);
    if let Some(wish) = wants_newer(&stored, &wishes, staleness) {
        return Reuse::Validate(if wish == Wish::Newest { OnError::Fail } else { on_error(said, staleness, policy) });
    }
    let Some(staleness) = staleness else { return Reuse::Fresh };
    if forbids_stale(said) {
        return Reuse::Validate(OnError::Fail);
    }
    match wishes.max_stale {
        Some(MaxStale::Any) => return Reuse::Stale,
        Some(MaxStale::Seconds(allowed)) if staleness <= allowed => return Reuse::Stale,
        _ => {}
    }
    if staleness < said.stale_while_revalidate_s.unwrap_or(policy.stale_while_revalidate_s) {
        return Reuse::StaleWhileRevalidate;
    }
    Reuse::Validate(on_error(said, Some(staleness), policy))
}

/// What a request wants that a stored response does not give.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    /// Whatever the origin has now.
    Newest,
    /// Something younger.
    Younger,
}

fn wants_newer(stored: &Stored<'_>, wishes: &RequestDirectives, staleness: Option<u64>) -> Option<Wish> {
    // What does not change while it is fresh cannot be newer (RFC 8246 §2).
    if stored.directives.has(Flag::Immutable) && staleness.is_none() && !wishes.has(Flag::NoCache) {
        return None;
    }
    if wishes.has(Flag::NoCache) {
        return Some(Wish::Newest);
    }
    // `max-stale` extends what `max-age` of a request allows (§5.2.1.1).
    let too_old = wishes.max_age_s.is_some_and(|most| stored.age_s > most) && wishes.max_stale.is_none();
    let too_short = wishes.min_fresh_s.is_some_and(|least| stored.lifetime.seconds.saturating_sub(stored.age_s) < least);
    (too_old || too_short).then_some(Wish::Younger)
}

/// For how long it has been stale; `None` while it is fresh. A response is fresh while its lifetime exceeds its age (§4.2).
fn staleness_s(stored: &Stored<'_>) -> Option<u64> {
    let (age, lifetime) = (stored.age_s, stored.lifetime.seconds);
    match stored.mark {
        Mark::Stale => Some(age.saturating_sub(lifetime)),
        Mark::None => (age >= lifetime).then(|| age - lifetime),
    }
}

/// §4.2.4, and for shared caches §5.2.2.10: `s-maxage` has the meaning of `proxy-revalidate`.
fn forbids_stale(said: &ResponseDirectives) -> bool {
    said.has(Flag::MustRevalidate) || said.has(Flag::ProxyRevalidate) || said.s_maxage_s.is_some()
}

fn on_error(said: &ResponseDirectives, staleness: Option<u64>, policy: ReusePolicy) -> OnError {
    let allowed = said.stale_if_error_s.unwrap_or(policy.stale_if_error_s);
    match staleness {
        Some(_) if forbids_stale(said) => OnError::Fail,
        Some(staleness) if staleness < allowed => OnError::ServeStale,
        Some(_) => OnError::Fail,
        // Still fresh, and only the client wanted better.
        None => OnError::ServeStale,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, OnError, Requests, Reuse, ReusePolicy, Stored, reuse};
    use crate::{
        cache_control::{RequestDirectives, ResponseDirectives},
        freshness::{Lifetime, LifetimeSource},
    };
    use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};
    use proptest::prelude::{prop, proptest};

    fn headers(line: &str) -> HeaderMap {
        [(CACHE_CONTROL, HeaderValue::from_str(line).expect("a value"))].into_iter().collect()
    }

    /// A response with a lifetime of 100 seconds.
    fn at(age_s: u64, response: &str, request: &str, policy: ReusePolicy) -> Reuse {
        marked(age_s, response, request, policy, Mark::None)
    }

    fn marked(age_s: u64, response: &str, request: &str, policy: ReusePolicy, mark: Mark) -> Reuse {
        let directives = ResponseDirectives::of(&headers(response));
        let lifetime = Lifetime { seconds: 100, source: LifetimeSource::MaxAge };
        let request = if request.is_empty() { HeaderMap::new() } else { headers(request) };
        reuse(Stored { directives: &directives, lifetime, age_s, mark }, &RequestDirectives::of(&request), policy)
    }

    #[test]
    fn rules() {
        use OnError::{Fail, ServeStale};
        use Reuse::{Fresh, Stale, StaleWhileRevalidate, Validate};
        let cases = [
            (99, "max-age=100", "", Fresh),
            (100, "max-age=100", "", Validate(Fail)),
            (0, "no-cache", "", Validate(Fail)),
            (0, "no-cache=\"set-cookie\"", "", Fresh),
            (10, "max-age=100", "no-cache", Validate(Fail)),
            (10, "max-age=100", "max-age=5", Validate(ServeStale)),
            (10, "max-age=100", "max-age=10", Fresh),
            (95, "max-age=100", "min-fresh=10", Validate(ServeStale)),
            (85, "max-age=100", "min-fresh=10", Fresh),
            (10, "max-age=100, immutable", "max-age=0", Fresh),
            (10, "max-age=100, immutable", "no-cache", Validate(Fail)),
            (110, "max-age=100", "max-stale", Stale),
            (110, "max-age=100", "max-stale=10", Stale),
            (111, "max-age=100", "max-stale=10", Validate(Fail)),
            (110, "max-age=100, must-revalidate", "max-stale", Validate(Fail)),
            (110, "max-age=100, proxy-revalidate", "max-stale", Validate(Fail)),
            (110, "s-maxage=100", "max-stale", Validate(Fail)),
            (110, "max-age=100, stale-while-revalidate=20", "", StaleWhileRevalidate),
            (120, "max-age=100, stale-while-revalidate=20", "", Validate(Fail)),
            (110, "max-age=100, stale-while-revalidate=20, must-revalidate", "", Validate(Fail)),
            (110, "max-age=100, stale-if-error=20", "", Validate(ServeStale)),
            (120, "max-age=100, stale-if-error=20", "", Validate(Fail)),
            (110, "s-maxage=100, stale-if-error=20", "", Validate(Fail)),
        ];
        for (age, response, request, expected) in cases {
            assert_eq!(at(age, response, request, ReusePolicy::STRICT), expected, "{age} s, {response}, {request}");
        }
    }

    #[test]
    fn policies() {
        let kind = ReusePolicy { requests: Requests::Ignore, stale_while_revalidate_s: 5, stale_if_error_s: 50 };
        assert_eq!(at(10, "max-age=100", "no-cache", kind), Reuse::Fresh);
        assert_eq!(at(104, "max-age=100", "", kind), Reuse::StaleWhileRevalidate);
        assert_eq!(at(110, "max-age=100", "", kind), Reuse::Validate(OnError::ServeStale));
        assert_eq!(
            at(104, "max-age=100, stale-while-revalidate=0", "", kind),
            Reuse::Validate(OnError::ServeStale),
            "the origin knows best"
        );
        assert_eq!(at(104, "max-age=100, must-revalidate", "", kind), Reuse::Validate(OnError::Fail));
    }

    #[test]
    fn a_mark_ends_freshness() {
        assert_eq!(marked(10, "max-age=100", "", ReusePolicy::STRICT, Mark::Stale), Reuse::Validate(OnError::Fail));
        let swr = "max-age=100, stale-while-revalidate=20";
        assert_eq!(marked(10, swr, "", ReusePolicy::STRICT, Mark::Stale), Reuse::StaleWhileRevalidate);
    }

    proptest! {
        /// Whatever is said, more age never makes an answer better.
        #[test]
        fn age_makes_nothing_better(age in 0_u64..300, more in 0_u64..300, response in said(), request in said()) {
            let rank = |reuse| match reuse {
                Reuse::Fresh => 0,
                Reuse::Stale | Reuse::StaleWhileRevalidate => 1,
                Reuse::Validate(_) => 2,
            };
            let now = rank(at(age, &response, &request, ReusePolicy::STRICT));
            assert!(rank(at(age + more, &response, &request, ReusePolicy::STRICT)) >= now);
        }

        /// What must be validated once it is stale is never an answer then.
        #[test]
        fn must_revalidate_holds(age in 100_u64..300, response in said(), request in said()) {
            let reuse = at(age, &format!("{response}, must-revalidate"), &request, ReusePolicy::STRICT);
            assert!(matches!(reuse, Reuse::Validate(_)), "{reuse:?}");
        }
    }

    fn said() -> impl proptest::strategy::Strategy<Value = String> {
        const WORDS: [&str; 9] = [
            "max-age=50",
            "max-stale",
            "max-stale=30",
            "min-fresh=20",
            "stale-while-revalidate=40",
            "stale-if-error=60",
            "immutable",
            "no-cache",
            "s-maxage=100",
        ];
        use proptest::strategy::Strategy as _;
        prop::sample::subsequence(WORDS.to_vec(), 1..4).prop_map(|words| words.join(", "))
    }
}
