//! What the data plane counts: plain atomics that it writes and that telemetry reads. Each is counted at one place in
//! the code, the one that every request, slice or connection of its kind has to pass.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use http::{Method, StatusCode};
use ncore_telemetry::Latency;

use crate::zones::{CacheUsed, PassedBy, Tier};

/// How a request ended, as far as its head goes. The names are the same in metrics, logs and problem documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Outcome {
    /// 200 with the whole asset.
    Whole,
    /// 206 with one range.
    Range,
    /// 206 with several ranges.
    Ranges,
    /// 200 to a HEAD.
    Head,
    /// 304.
    NotModified,
    /// 204 to an OPTIONS.
    Options,
    /// 400: an HTTP/1.1 request without exactly one `Host`.
    BadHost,
    /// 400: the path cannot name an asset.
    BadPath,
    /// 404.
    AssetNotFound,
    /// 405.
    MethodNotAllowed,
    /// 412.
    PreconditionFailed,
    /// 416.
    RangeNotSatisfiable,
    /// 502: bytes were found, and none of them verified.
    ContentCorrupt,
    /// 503: no copy can be reached.
    ContentUnreachable,
    /// 503: the first bytes took too long.
    ContentDeadline,
    /// 503: the node has no capacity for another load.
    NodeBusy,
    /// 503: the node's view does not let it say what is at the path.
    ViewUnavailable,
    /// 503: the node's view may be too old to say, and the operator's policy is not to.
    Fenced,
    /// 401: a restricted asset, and nothing was shown for it.
    TokenMissing,
    /// 400: a restricted asset, and what was shown is no token.
    TokenMalformed,
    /// 401: a restricted asset, and the token is not good.
    TokenInvalid,
    /// 403: a restricted asset, and the token is good for other things.
    ScopeMissing,
    /// 403: a restricted asset, and the token is of another client.
    AssetOfOther,
    /// 403: a restricted asset, and the token may not be used from this address.
    AddressNotAllowed,
    /// 403: a restricted asset, and the token may not be used by pages of this site.
    SiteNotAllowed,
    /// 401: a restricted asset, and the signed address is not good for it.
    AddressInvalid,
    /// 403: as much was served for the client as its plan allows.
    BandwidthSpent,
    /// 500: the node cannot find out whether a restricted asset may be given.
    Internal,
    /// 500: a handler panicked.
    Panicked,
    /// Answered for a zone, whatever the status.
    Zone,
    /// 508: a request for a zone that has been through it before.
    LoopDetected,
    /// 504: a request for a zone that wants nothing but what is stored, and nothing is.
    NotStored,
    /// 502: the origin of a zone cannot be reached, or its answer cannot be understood.
    OriginFailed,
    /// 504: the origin of a zone did not answer in time.
    OriginLate,
    /// 503: the origin of a zone is asked as much as it may be.
    OriginBusy,
    /// Answered by the [`ApiService`](crate::ApiService), whatever the status.
    Api,
}

impl Outcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: [Self; 36] = [
        Self::Whole,
        Self::Range,
        Self::Ranges,
        Self::Head,
        Self::NotModified,
        Self::Options,
        Self::BadHost,
        Self::BadPath,
        Self::AssetNotFound,
        Self::MethodNotAllowed,
        Self::PreconditionFailed,
        Self::RangeNotSatisfiable,
        Self::ContentCorrupt,
        Self::ContentUnreachable,
        Self::ContentDeadline,
        Self::NodeBusy,
        Self::ViewUnavailable,
        Self::Fenced,
        Self::TokenMissing,
        Self::TokenMalformed,
        Self::TokenInvalid,
        Self::ScopeMissing,
        Self::AssetOfOther,
        Self::AddressNotAllowed,
        Self::SiteNotAllowed,
        Self::AddressInvalid,
        Self::BandwidthSpent,
        Self::Internal,
        Self::Panicked,
        Self::Zone,
        Self::LoopDetected,
        Self::NotStored,
        Self::OriginFailed,
        Self::OriginLate,
        Self::OriginBusy,
        Self::Api,
    ];

    /// Its name in logs, metric labels and the `code` of problem documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Range => "range",
            Self::Ranges => "ranges",
            Self::Head => "head",
            Self::NotModified => "not_modified",
            Self::Options => "options",
            Self::BadHost => "bad_host",
            Self::BadPath => "bad_path",
            Self::AssetNotFound => "asset_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::PreconditionFailed => "precondition_failed",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::ContentCorrupt => "content_corrupt",
            Self::ContentUnreachable => "content_unreachable",
            Self::ContentDeadline => "content_deadline",
            Self::NodeBusy => "node_busy",
            Self::ViewUnavailable => "view_unavailable",
            Self::Fenced => "fenced",
            Self::TokenMissing => "token_missing",
            Self::TokenMalformed => "token_malformed",
            Self::TokenInvalid => "token_invalid",
            Self::ScopeMissing => "scope_missing",
            Self::AssetOfOther => "asset_of_other_client",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::SiteNotAllowed => "site_not_allowed",
            Self::AddressInvalid => "signed_url_invalid",
            Self::BandwidthSpent => "bandwidth_quota_exceeded",
            Self::Internal => "internal",
            Self::Panicked => "panicked",
            Self::Zone => "zone",
            Self::LoopDetected => "loop_detected",
            Self::NotStored => "not_stored",
            Self::OriginFailed => "origin_failed",
            Self::OriginLate => "origin_late",
            Self::OriginBusy => "origin_busy",
            Self::Api => "api",
        }
    }
}

/// The counters. All but `connections_active`, `tunnels_active`, `zone_asks`, `zone_waiting` and those of certificates only grow.
#[derive(Debug, Default)]
pub struct ServingMetrics {
    requests: Counters<{ Outcome::ALL.len() }>,
    statuses: [AtomicU64; 5],
    zones: [AtomicU64; CacheUsed::ALL.len()],
    answered_by: [AtomicU64; Tier::ALL.len()],
    tiers_answered: AtomicU64,
    tiers_passed_by: [AtomicU64; PassedBy::ALL.len()],
    handed_down: [AtomicU64; CacheUsed::ALL.len()],
    /// How long it took to the head of a response. Of GET and HEAD alone: the others wait for what the client sends.
    pub latency: Latency,
    /// Asset responses whose first byte was on this node: `X-Cache: HIT`.
    pub hits: AtomicU64,
    /// Asset responses whose first byte came from a peer: `X-Cache: MISS`.
    pub misses: AtomicU64,
    /// Bytes of asset bodies handed to connections.
    pub bytes_out: AtomicU64,
    /// Slices taken from memory.
    pub slices_memory: AtomicU64,
    /// Slices read and verified from this node's disk.
    pub slices_disk: AtomicU64,
    /// Slices fetched from a peer.
    pub slices_peer: AtomicU64,
    /// Slices that could not be had verified.
    pub slices_failed: AtomicU64,
    /// Asset responses broken off by the node because a later slice could not be had.
    pub responses_broken: AtomicU64,
    /// Asset responses given up by the client before their end.
    pub responses_abandoned: AtomicU64,
    /// Connections of zones joined with their origins' now, after the protocol changed.
    pub tunnels_active: AtomicU64,
    /// Connections that were joined.
    pub tunnels: AtomicU64,
    /// Requests of the cache to origins that are under way, their contents included.
    pub zone_asks: AtomicU64,
    /// Viewers who wait for the answer to what another one has asked for.
    pub zone_waiting: AtomicU64,
    /// Connections open now.
    pub connections_active: AtomicU64,
    /// Connections accepted.
    pub connections_accepted: AtomicU64,
    /// Connections closed at once, since the cap was reached and stayed reached.
    pub connections_refused: AtomicU64,
    /// Connections and HTTP/2 streams cut off because the peer took nothing for too long.
    pub connections_stalled: AtomicU64,
    /// Connections closed at once, since their address had as many as it may.
    pub connections_refused_address: AtomicU64,
    /// Connections closed because no header of the PROXY protocol came from a balancer.
    pub proxy_headers_failed: AtomicU64,
    /// Connections closed because the client gave up requests faster than it may.
    pub connections_resetting: AtomicU64,
    /// Connections that failed, or ran out of time, in the TLS handshake.
    pub handshakes_failed: AtomicU64,
    /// TLS handshakes that were full ones.
    pub handshakes_full: AtomicU64,
    /// TLS handshakes that took up a session again.
    pub handshakes_resumed: AtomicU64,
    /// Connections over QUIC that were begun, of those accepted.
    pub http3_accepted: AtomicU64,
    /// Clients that had to prove their address before a connection over QUIC was begun.
    pub http3_retries: AtomicU64,
    /// Connections over QUIC that were not begun, because too many were beginning.
    pub http3_refused: AtomicU64,
    /// Certificates in use. Not a counter, as the next two.
    pub certificates: AtomicU64,
    /// Certificates that are there and cannot be used.
    pub certificates_refused: AtomicU64,
    /// When the first of those in use expires, in seconds since 1970; 0 without TLS.
    pub certificate_expires_s: AtomicU64,
    /// How often other certificates were shown from then on.
    pub certificate_swaps: AtomicU64,
    /// Errors of accept(2) that made a loop back off.
    pub accept_errors: AtomicU64,
}

/// Counters that begin at nothing, however many there are.
#[derive(Debug)]
struct Counters<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

impl ServingMetrics {
    /// How many requests had `outcome`.
    #[must_use]
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests.0[outcome as usize].load(Ordering::Relaxed)
    }

    /// Responses by the hundreds of their status, from 1xx to 5xx.
    #[must_use]
    pub fn statuses(&self) -> [u64; 5] {
        std::array::from_fn(|at| self.statuses[at].load(Ordering::Relaxed))
    }

    /// How many requests for zones the cache did this for.
    #[must_use]
    pub fn zones(&self, used: CacheUsed) -> u64 {
        self.zones[used as usize].load(Ordering::Relaxed)
    }

    /// Counts a request for a zone.
    pub(crate) fn used(&self, used: CacheUsed) {
        add(&self.zones[used as usize], 1);
    }

    /// How many responses for zones came out of this cache.
    #[must_use]
    pub fn zones_answered_by(&self, tier: Tier) -> u64 {
        self.answered_by[tier as usize].load(Ordering::Relaxed)
    }

    /// Counts a response for a zone.
    pub(crate) fn answered_by(&self, tier: Tier) {
        add(&self.answered_by[tier as usize], 1);
    }

    /// How often other nodes were asked before the origin, and answered (`None`) or were passed by.
    #[must_use]
    pub fn tiers_asked(&self, passed_by: Option<PassedBy>) -> u64 {
        passed_by.map_or(&self.tiers_answered, |why| &self.tiers_passed_by[why as usize]).load(Ordering::Relaxed)
    }

    /// Counts a request to another node.
    pub(crate) fn tier_asked(&self, passed_by: Option<PassedBy>) {
        add(passed_by.map_or(&self.tiers_answered, |why| &self.tiers_passed_by[why as usize]), 1);
    }

    /// How many requests of other nodes the cache did this for.
    #[must_use]
    pub fn zones_handed_down(&self, used: CacheUsed) -> u64 {
        self.handed_down[used as usize].load(Ordering::Relaxed)
    }

    /// Counts a request of another node.
    pub(crate) fn handed_down(&self, used: CacheUsed) {
        add(&self.handed_down[used as usize], 1);
    }

    /// Counts a response by its status, and how long its head took.
    pub(crate) fn answered(&self, method: &Method, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        add(&self.statuses[class], 1);
        if *method == Method::GET || *method == Method::HEAD {
            self.latency.record(took);
        }
    }

    pub(crate) fn record(&self, outcome: Outcome) {
        add(&self.requests.0[outcome as usize], 1);
    }
}

/// Counts something for as long as it lasts.
pub(crate) struct During<'a>(&'a AtomicU64);

impl<'a> During<'a> {
    pub(crate) fn of(gauge: &'a AtomicU64) -> Self {
        add(gauge, 1);
        Self(gauge)
    }
}

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Outcome, ServingMetrics};

    #[test]
    fn every_outcome_has_its_own_counter_and_name() {
        let metrics = ServingMetrics::default();
        let mut names = HashSet::new();
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            assert!(names.insert(outcome.as_str()));
            metrics.record(outcome);
            assert_eq!(metrics.requests(outcome), 1);
        }
    }
}
