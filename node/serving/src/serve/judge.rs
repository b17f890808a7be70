//! What a request for an asset gets, as far as its head decides it: conditions first, then ranges (RFC 9110 §13.2.2).

use http::{HeaderMap, Method, header::RANGE};
use ncore_cache::{
    conditional::{self, Precondition, Validators},
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

/// What the date in `Last-Modified` tells of a representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    /// Which bytes it has: there is no other.
    Bytes,
    /// Of which content it is: in several codings the date is the same.
    Content,
}

pub(super) fn judge(method: &Method, headers: &HeaderMap, entry: &AssetEntry, dates: Dates, now_s: u64) -> Verdict {
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
    let validators = match dates {
        Dates::Bytes => validators,
        Dates::Content => Validators { last_modified_s: None, ..validators },
    };
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
        // The parts of a multipart are not themselves in a coding, and clients differ in what `Content-Encoding` of the whole means.
        RangeRequest::Multiple(_) if entry.is_coded() => Verdict::Deliver(Selection::Whole),
        RangeRequest::Multiple(ranges) => Verdict::Deliver(Selection::Ranges(ranges)),
    }
}
