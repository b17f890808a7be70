//! `If-Range` (RFC 9110 §13.1.5): use the range only if the client's part belongs to what is served now.

use http::{HeaderMap, header::IF_RANGE};

use crate::{
    conditional::Validators,
    etag::{Comparison, EntityTag},
    http_date,
};

/// What `If-Range` says about a request that has a `Range`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfRange {
    /// There is none: use the range.
    Absent,
    /// The client's part is of the current representation: use the range.
    Holds,
    /// It is not, or nobody can know: send the whole.
    Fails,
}

/// Evaluates `If-Range` at `now_s` (Unix seconds).
///
/// A tag is compared strongly. A date has to be exactly the current one, and a strong validator: a representation can
/// change twice in the second in which it was modified, so until that second is over its date proves nothing (§8.8.2.2).
/// Whatever cannot be read, or is given twice, fails, which costs a transfer and never correctness.
#[must_use]
pub fn evaluate(headers: &HeaderMap, validators: &Validators<'_>, now_s: u64) -> IfRange {
    let mut lines = headers.get_all(IF_RANGE).into_iter();
    let Some(line) = lines.next() else {
        return IfRange::Absent;
    };
    if lines.next().is_some() {
        return IfRange::Fails;
    }
    let holds = match EntityTag::parse(line.as_bytes()) {
        Ok(tag) => validators.etag.is_some_and(|current| current.matches(&tag, Comparison::Strong)),
        Err(_) => validators.last_modified_s.is_some_and(|modified_s| modified_s < now_s && http_date::parse(line) == Some(modified_s)),
    };
    if holds { IfRange::Holds } else { IfRange::Fails }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::IF_RANGE};

    use super::{IfRange, evaluate};
    use crate::{conditional::Validators, etag::EntityTag};

    const MODIFIED_S: u64 = 784_111_777;

    fn judge(lines: &[&'static str], etag: &'static str, now_s: u64) -> IfRange {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_RANGE, HeaderValue::from_static(line));
        }
        let validators = Validators { etag: EntityTag::parse(etag.as_bytes()).ok(), last_modified_s: Some(MODIFIED_S), dated_s: None };
        evaluate(&headers, &validators, now_s)
    }

    #[test]
    fn table() {
        let cases: [(&[&'static str], IfRange); 9] = [
            (&[], IfRange::Absent),
            (&["\"v1\""], IfRange::Holds),
            (&["\"v0\""], IfRange::Fails),
            (&["W/\"v1\""], IfRange::Fails),
            (&["\"v1\", \"v2\""], IfRange::Fails),
            (&["Sun, 06 Nov 1994 08:49:37 GMT"], IfRange::Holds),
            (&["Sun, 06 Nov 1994 08:49:36 GMT"], IfRange::Fails),
            // Later than the modification: fine for If-Unmodified-Since, not here.
            (&["Sun, 06 Nov 1994 08:49:38 GMT"], IfRange::Fails),
            (&["\"v1\"", "\"v1\""], IfRange::Fails),
        ];
        for (lines, expected) in cases {
            assert_eq!(judge(lines, "\"v1\"", MODIFIED_S + 60), expected, "{lines:?}");
        }
        assert_eq!(judge(&["*"], "\"v1\"", MODIFIED_S + 60), IfRange::Fails);
    }

    #[test]
    fn weak_validators_never_hold() {
        let now_s = MODIFIED_S + 60;
        assert_eq!(judge(&["W/\"v1\""], "W/\"v1\"", now_s), IfRange::Fails);
        assert_eq!(judge(&["\"v1\""], "W/\"v1\"", now_s), IfRange::Fails);
        // The second of the modification is not over.
        let date = ["Sun, 06 Nov 1994 08:49:37 GMT"];
        assert_eq!(judge(&date, "\"v1\"", MODIFIED_S), IfRange::Fails);
        assert_eq!(judge(&date, "\"v1\"", MODIFIED_S + 1), IfRange::Holds);
    }
}
