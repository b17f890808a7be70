//! What is noted of a request on its walk, for the access log. Nothing is kept for what is answered from the cache.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, Version, header::RANGE};
use ncore_origin::Answered;
use ncore_telemetry::{Protocol, ZoneAccess, ZoneAsked};

use super::{tiers::Source, zone::Zone};

/// Which origin answered, once that is known. It goes along with the request to there.
pub(crate) type WhoAnswered = Arc<OnceLock<Answered>>;

/// What is noted.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    asked: OnceLock<WhoAnswered>,
    is_collapsed: AtomicBool,
}

/// What is known of a request before its walk.
#[derive(Debug)]
pub(crate) struct Came {
    protocol: Protocol,
    is_secure: bool,
    range: Option<Box<str>>,
}

impl Trace {
    /// Where the origin of this request is noted.
    pub(crate) fn asks(&self) -> WhoAnswered {
        Arc::clone(self.asked.get_or_init(Default::default))
    }

    /// It waits for another request's answer.
    pub(crate) fn follows(&self) {
        self.is_collapsed.store(true, Ordering::Relaxed);
    }

    /// All of it, with where the answer came from.
    pub(crate) fn told(&self, zone: &Zone, came: Came, source: Option<&Source>) -> ZoneAccess {
        let Came { protocol, is_secure, range } = came;
        let answered = self.asked.get().and_then(|asked| asked.get());
        let asked = answered.map(|answered| ZoneAsked {
            origin: Arc::clone(&answered.origin),
            retries: answered.retries,
            is_reused: answered.reused,
        });
        let is_collapsed = self.is_collapsed.load(Ordering::Relaxed);
        let (tier, tier_node) = source.map(|source| (source.tier, source.node)).unzip();
        let zone = zone.uuid.as_u128();
        ZoneAccess { zone, head_us: 0, protocol, is_secure, is_collapsed, tier, tier_node: tier_node.flatten(), asked, range: None }
            .with_range(range.as_deref())
    }
}

impl Came {
    /// Of a request in this version, over TLS or not.
    pub(crate) fn new(version: Version, is_secure: bool, headers: &HeaderMap) -> Self {
        let protocol = match version {
            Version::HTTP_3 => Protocol::Http3,
            Version::HTTP_2 => Protocol::Http2,
            Version::HTTP_11 => Protocol::Http11,
            _ => Protocol::Http10,
        };
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
        Self { protocol, is_secure, range: range.map(Into::into) }
    }
}

/// Notes which origin answered. Of several answers to one request the first is noted.
pub(crate) fn note(asked: &WhoAnswered, answered: Option<&Answered>) {
    if let Some(answered) = answered {
        let _ = asked.set(answered.clone());
    }
}
