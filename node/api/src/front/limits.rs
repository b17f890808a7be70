//! How many requests there may be: with a token, by the token; without a good one, by the address that they come from.
//!
//! Whether a token is good is found out by the handler, which then sends the request through the [`Turnstile`] that it finds in its extensions. A
//! request that shows no token counts for its address before it gets that far. Each answer says how the limits stand that its request counts
//! for (draft-ietf-httpapi-ratelimit-headers, and the older names with `X-`).

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use ncore_domain::{Domain, Principal};
use ncore_limits::{Class, Limiter, Policy, Standing, Verdict};
use ncore_model::{PurgeLimit, Scope};

use super::{PeerAddress, at};
use crate::{
    problem::{Kind, Problem},
    v2::{BearerError, STATUS_PATH, bearer_token},
};

/// In the extensions of a request: what it has to pass, and how the limits stand that it passed or was refused by.
#[derive(Clone)]
pub(crate) struct Turnstile {
    limiter: Limiter,
    remote: IpAddr,
    standings: Arc<Standings>,
}

/// At most two limits hold for one request.
#[derive(Default)]
struct Standings {
    first: OnceLock<Standing>,
    second: OnceLock<Standing>,
    /// What the log said of the second, which is what counts then.
    last: OnceLock<Standing>,
}

impl Turnstile {
    /// Counts a request with a good token, which needs this scope, if any.
    ///
    /// # Errors
    /// 429.
    pub(crate) async fn pass(&self, principal: &Principal, scope: Option<Scope>) -> Result<(), Problem> {
        self.decided(self.limiter.take(principal.client.as_str(), &principal.token_id, Class::Default).await)?;
        match scope {
            Some(Scope::CachePurge) => self.decided(self.limiter.take(principal.client.as_str(), &principal.token_id, Class::Purge).await),
            Some(Scope::AssetsRead | Scope::AssetsWrite | Scope::MetricsRead | Scope::ZonesRead | Scope::ZonesWrite) | None => Ok(()),
        }
    }

    /// Counts a request with a good token for one limit alone.
    ///
    /// # Errors
    /// 429.
    pub(crate) async fn pass_as(&self, principal: &Principal, class: Class) -> Result<(), Problem> {
        self.decided(self.limiter.take(principal.client.as_str(), &principal.token_id, class).await)
    }

    /// The limit that the log holds purges with this token to. Nodes count in memory, and what one of them knew is lost with it; the log
    /// forgets nothing.
    pub(crate) fn purge_limit(&self, principal: &Principal) -> Option<PurgeLimit> {
        let (Policy { limit, span_ms }, subject) = self.limiter.limit_of(principal.client.as_str(), &principal.token_id, Class::Purge)?;
        Some(PurgeLimit { subject, limit, span_ms })
    }

    /// What a purge is refused with that the log did not let in, and for how long it will not.
    pub(crate) fn purge_refused(&self, limit: &PurgeLimit, frees_in_ms: u64) -> Problem {
        let policy = Policy { limit: limit.limit, span_ms: limit.span_ms };
        let standing = Standing { class: Class::Purge, policy, remaining: 0, frees_in_ms };
        // It is asked once.
        let _ = self.standings.last.set(standing);
        refusal(&standing)
    }

    /// Counts a request whose token is not good, and gives what it is refused with.
    pub(crate) fn pass_refused(&self, problem: Problem) -> Problem {
        match problem.kind() {
            // What showed no token at all was counted before it got here, and what this node could not check is not the caller's fault.
            Kind::TokenInvalid | Kind::TokenMalformed => self.pass_anonymous().err().unwrap_or(problem),
            _ => problem,
        }
    }

    fn pass_anonymous(&self) -> Result<(), Problem> {
        self.decided(self.limiter.take_anonymous(self.remote))
    }

    fn decided(&self, verdict: Verdict) -> Result<(), Problem> {
        match verdict {
            Verdict::Unlimited => Ok(()),
            Verdict::Admitted(standing) => {
                self.note(standing);
                Ok(())
            }
            Verdict::Refused(standing) => {
                self.note(standing);
                Err(refusal(&standing))
            }
        }
    }

    fn note(&self, standing: Standing) {
        if let Err(standing) = self.standings.first.set(standing) {
            // There is no third.
            let _ = self.standings.second.set(standing);
        }
    }
}

/// Gives the request its turnstile, and the answer what came of it.
pub(super) async fn limited(State((domain, limiter)): State<(Arc<Domain>, Limiter)>, mut request: Request, next: Next) -> Response {
    let remote = request.extensions().get::<PeerAddress>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let turnstile = Turnstile { limiter, remote, standings: Arc::default() };
    let shows_none = matches!(bearer_token(request.headers().get_all(AUTHORIZATION)), Err(BearerError::Missing));
    // Balancers ask for the status all the time, from one address.
    let passed = if shows_none && request.uri().path() != STATUS_PATH { turnstile.pass_anonymous() } else { Ok(()) };
    let standings = Arc::clone(&turnstile.standings);
    let mut response = match passed {
        Ok(()) => {
            request.extensions_mut().insert(turnstile);
            next.run(request).await
        }
        Err(problem) => at(domain.revision(), problem),
    };
    say(&standings, response.headers_mut());
    response
}

fn refusal(standing: &Standing) -> Problem {
    let Standing { class, policy, frees_in_ms, .. } = standing;
    let whose = match class {
        Class::Default => "requests with this token",
        Class::Purge => "purges with this token",
        Class::Anonymous => "requests without a token from this address",
        Class::V1Reads => "requests of version 1 with this token that read",
        Class::V1Writes => "requests of version 1 with this token that change something",
        Class::V1Purges => "purges of version 1 with this token",
    };
    let (limit, span_s, after_s) = (policy.limit, seconds(policy.span_ms), seconds(*frees_in_ms));
    let detail = format!("there were {limit} {whose} within {span_s} seconds, which is the limit; there will be more in {after_s} seconds");
    Problem::over_quota(class.as_str(), detail, after_s)
}

/// The headers, if a limit holds. The older ones have room for one limit: the one of which less is left.
fn say(standings: &Standings, headers: &mut HeaderMap) {
    let all = || standings.first.get().into_iter().chain(standings.last.get().or_else(|| standings.second.get()));
    let Some(tightest) = all().min_by_key(|standing| standing.remaining) else { return };
    let (mut policies, mut limits) = (String::new(), String::new());
    for standing in all() {
        let Standing { class, policy, remaining, frees_in_ms } = standing;
        let (name, comma) = (class.as_str(), if policies.is_empty() { "" } else { ", " });
        // Writing to a String cannot fail.
        let _ = write!(policies, r#"{comma}"{name}";q={};w={}"#, policy.limit, seconds(policy.span_ms));
        let _ = write!(limits, r#"{comma}"{name}";r={remaining};t={}"#, seconds(*frees_in_ms));
    }
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let values = [
        HeaderValue::try_from(policies).ok(),
        HeaderValue::try_from(limits).ok(),
        Some(HeaderValue::from(tightest.policy.limit)),
        Some(HeaderValue::from(tightest.remaining)),
        Some(HeaderValue::from(now_s.saturating_add(seconds(tightest.frees_in_ms)))),
    ];
    for ((name, _), value) in LIMIT_HEADERS.into_iter().zip(values) {
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name), value) {
            headers.insert(name, value);
        }
    }
}

/// Whole seconds, at least one, and never too few.
fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1_000).max(1)
}

/// The headers in which answers say how limits stand, and what they say.
pub(crate) const LIMIT_HEADERS: [(&str, &str); 5] = [
    ("RateLimit-Policy", "the limits that the request counts for: requests (`q`) in any so many seconds (`w`)"),
    ("RateLimit", "how they stand: requests left (`r`), and seconds until there are more (`t`)"),
    ("X-RateLimit-Limit", "of the limit of which least is left: what it is"),
    ("X-RateLimit-Remaining", "what is left of it"),
    ("X-RateLimit-Reset", "when there will be more, in Unix seconds"),
];
