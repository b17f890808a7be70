//! Which responses a shared cache may keep (RFC 9111 §3).

use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, SET_COOKIE, VARY},
};

use crate::{
    cache_control::{Extent, Flag, RequestDirectives},
    freshness::{LifetimeSource, is_heuristically_cacheable},
    targeted::Directives,
};

/// Whether a response may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storable {
    /// It may.
    Yes,
    /// It may not.
    No(Why),
}

/// Why a response is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its request is of a method whose answers are not reused.
    Method,
    /// It is not final, or its status is not understood although it must be.
    Status,
    /// `no-store`, of the response or of its request.
    NoStore,
    /// It is for one user.
    Private,
    /// Its request was authorised, and it does not say that others may have it (§3.5).
    Authorised,
    /// It varies by more than the request.
    VaryAny,
    /// It sets a cookie, which the zone does not let others have.
    SetCookie,
    /// It is partial, and whole content is what is kept here.
    Partial,
    /// Nothing says that it may be reused.
    NotCacheable,
}

impl Why {
    /// Its name in logs and in what explains an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NoStore => "no_store",
            Self::Private => "private",
            Self::Authorised => "authorised",
            Self::VaryAny => "vary_any",
            Self::SetCookie => "set_cookie",
            Self::Partial => "partial",
            Self::NotCacheable => "not_cacheable",
        }
    }
}

/// What becomes of responses that set cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// They are not kept, unless they say that they are `public` or how long shared caches may reuse them.
    Refuse,
    /// They are kept as any other: RFC 9111 §7.3 allows it.
    Keep,
}

/// A request and what it was answered with.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The method.
    pub method: &'a Method,
    /// The fields of the request.
    pub request: &'a HeaderMap,
    /// The status of the response.
    pub status: StatusCode,
    /// The fields of the response.
    pub response: &'a HeaderMap,
}

/// Whether the response of `exchange` may be kept. `directives` are those of the response.
#[must_use]
pub fn storable(exchange: Exchange<'_>, directives: &Directives, lifetime: LifetimeSource, cookies: Cookies) -> Storable {
    refusal(exchange, directives, lifetime, cookies).map_or(Storable::Yes, Storable::No)
}

fn refusal(exchange: Exchange<'_>, directives: &Directives, lifetime: LifetimeSource, cookies: Cookies) -> Option<Why> {
    let Exchange { method, request, status, response } = exchange;
    let said = directives.get();
    if *method != Method::GET {
        return Some(Why::Method);
    }
    // A 304 updates what is stored, and is nothing by itself.
    if status.is_informational() || status == StatusCode::NOT_MODIFIED {
        return Some(Why::Status);
    }
    let must_understand = said.has(Flag::MustUnderstand);
    if must_understand && !is_understood(status) {
        return Some(Why::Status);
    }
    // `must-understand` comes with `no-store` for caches that do not know it (§5.2.2.3).
    if (said.has(Flag::NoStore) && !must_understand) || RequestDirectives::of(request).has(Flag::NoStore) {
        return Some(Why::NoStore);
    }
    if said.private == Extent::Everything {
        return Some(Why::Private);
    }
    let is_for_all = said.has(Flag::Public) || said.s_maxage_s.is_some();
    if request.contains_key(AUTHORIZATION) && !is_for_all && !said.has(Flag::MustRevalidate) {
        return Some(Why::Authorised);
    }
    if varies_by_anything(response) {
        return Some(Why::VaryAny);
    }
    if cookies == Cookies::Refuse && response.contains_key(SET_COOKIE) && !is_for_all && !said.no_cache.covers(&SET_COOKIE) {
        return Some(Why::SetCookie);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        return Some(Why::Partial);
    }
    let is_cacheable = lifetime.is_explicit() || said.has(Flag::Public) || is_heuristically_cacheable(status);
    (!is_cacheable).then_some(Why::NotCacheable)
}

/// Whether `Vary` has `*`: then no other request gets this response (§4.1).
fn varies_by_anything(response: &HeaderMap) -> bool {
    let lines = response.get_all(VARY).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|name| name.trim() == "*")
}

/// The statuses whose meaning for a cache this cache knows: those of RFC 9110, and 308, 421, 422, 425, 426, 428, 429, 431, 451 and 511.
/// Of 206 and 304 it does what is due elsewhere.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 425 | 426 | 428 | 429 | 431 | 451 | 500..=505 | 511
    )
}

#[cfg(test)]
mod tests {
    use super::{Cookies, Exchange, Storable, Why, storable};
    use crate::{freshness::LifetimeSource, targeted::Directives};
    use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    type Lines = &'static [(&'static str, &'static str)];

    fn judge(method: &Method, request: Lines, status: u16, response: Lines, cookies: Cookies) -> Option<Why> {
        let (request, response) = (headers(request), headers(response));
        let directives = Directives::of(&response, &[]);
        let said = directives.get();
        let lifetime = if said.s_maxage_s.is_some() {
            LifetimeSource::SharedMaxAge
        } else if said.max_age_s.is_some() {
            LifetimeSource::MaxAge
        } else {
            LifetimeSource::Nothing
        };
        let status = StatusCode::from_u16(status).expect("a status");
        match storable(Exchange { method, request: &request, status, response: &response }, &directives, lifetime, cookies) {
            Storable::Yes => None,
            Storable::No(why) => Some(why),
        }
    }

    #[test]
    fn rules() {
        const TOKEN: Lines = &[("authorization", "Bearer x")];
        let cases: [(Lines, u16, Lines, Option<Why>); 27] = [
            (&[], 200, &[], None),
            (&[], 200, &[("cache-control", "max-age=60")], None),
            (&[], 200, &[("cache-control", "no-store, max-age=60")], Some(Why::NoStore)),
            (&[], 200, &[("cache-control", "No-Store")], Some(Why::NoStore)),
            (&[("cache-control", "no-store")], 200, &[("cache-control", "max-age=60")], Some(Why::NoStore)),
            (&[], 200, &[("cache-control", "private, max-age=60")], Some(Why::Private)),
            (&[], 200, &[("cache-control", "private=\"x-a\", max-age=60")], None),
            (&[], 200, &[("cache-control", "no-cache")], None),
            (TOKEN, 200, &[("cache-control", "max-age=60")], Some(Why::Authorised)),
            (TOKEN, 200, &[("cache-control", "max-age=60, public")], None),
            (TOKEN, 200, &[("cache-control", "max-age=60, must-revalidate")], None),
            (TOKEN, 200, &[("cache-control", "s-maxage=60")], None),
            (&[], 200, &[("vary", "accept, *"), ("cache-control", "max-age=60")], Some(Why::VaryAny)),
            (&[], 200, &[("set-cookie", "a=b"), ("cache-control", "max-age=60")], Some(Why::SetCookie)),
            (&[], 200, &[("set-cookie", "a=b"), ("cache-control", "max-age=60, public")], None),
            (&[], 200, &[("set-cookie", "a=b"), ("cache-control", "max-age=60, no-cache=\"set-cookie\"")], None),
            (&[], 206, &[("cache-control", "max-age=60")], Some(Why::Partial)),
            (&[], 302, &[], Some(Why::NotCacheable)),
            (&[], 302, &[("cache-control", "max-age=60")], None),
            (&[], 404, &[], None),
            (&[], 500, &[], Some(Why::NotCacheable)),
            (&[], 500, &[("cache-control", "max-age=60")], None),
            (&[], 599, &[("cache-control", "max-age=60")], None),
            (&[], 599, &[("cache-control", "max-age=60, must-understand, no-store")], Some(Why::Status)),
            (&[], 200, &[("cache-control", "max-age=60, must-understand, no-store")], None),
            (&[], 304, &[("cache-control", "max-age=60")], Some(Why::Status)),
            (&[], 103, &[("cache-control", "max-age=60")], Some(Why::Status)),
        ];
        for (request, status, response, expected) in cases {
            assert_eq!(judge(&Method::GET, request, status, response, Cookies::Refuse), expected, "{request:?} {status} {response:?}");
        }
    }

    #[test]
    fn methods_and_cookies() {
        const FRESH: Lines = &[("set-cookie", "a=b"), ("cache-control", "max-age=60")];
        for method in [Method::HEAD, Method::POST, Method::PUT] {
            assert_eq!(judge(&method, &[], 200, FRESH, Cookies::Keep), Some(Why::Method), "{method}");
        }
        assert_eq!(judge(&Method::GET, &[], 200, FRESH, Cookies::Keep), None);
    }
}
