//! What a request for an asset gets, as far as its head decides it: conditions first, then ranges (RFC 9110 §13.2.2).

use http::{HeaderMap, Method, header::RANGE};
use ncore_cache::{
    conditional::{self, Precondition},
    if_range::{self, IfRange},
    range::{self, ByteRange, RangeRequest},
};

use super::catalog::AssetEntry;

/// What the head of a request comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    NotModified,
    PreconditionFailed,
    RangeNotSatisfiable,
    Deliver(Selection),
}

/// Which bytes of the asset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    Range(ByteRange),
    Ranges(Vec<ByteRange>),
}

pub(super) fn judge(method: &Method, headers: &HeaderMap, entry: &AssetEntry, now_s: u64) -> Verdict {
    let validators = entry.validators();
    match conditional::evaluate(method, headers, &validators) {
        Precondition::NotModified => return Verdict::NotModified,
        Precondition::Failed => return Verdict::PreconditionFailed,
        Precondition::Proceed => {}
    }
    // A range has a meaning for GET only, and If-Range only with a range.
    if method != Method::GET || !headers.contains_key(RANGE) {
        return Verdict::Deliver(Selection::Whole);
    }
    match if_range::evaluate(headers, &validators, now_s) {
        IfRange::Fails => return Verdict::Deliver(Selection::Whole),
        IfRange::Absent | IfRange::Holds => {}
    }
    match range::resolve(headers, entry.size()) {
        RangeRequest::None => Verdict::Deliver(Selection::Whole),
        RangeRequest::Ignored(reason) => {
            tracing::debug!(reason = reason.as_str(), "range ignored");
            Verdict::Deliver(Selection::Whole)
        }
        RangeRequest::Unsatisfiable => Verdict::RangeNotSatisfiable,
        RangeRequest::Single(range) => Verdict::Deliver(Selection::Range(range)),
        RangeRequest::Multiple(ranges) => Verdict::Deliver(Selection::Ranges(ranges)),
    }
}
