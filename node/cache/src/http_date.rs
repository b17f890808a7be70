//! HTTP dates (RFC 9110 §5.6.7), as whole seconds since the Unix epoch: the only precision that HTTP has.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

/// The date in `field`, in Unix seconds. `None` if it is not an HTTP date of 1970 or later; the conditions that carry
/// dates say that such a field is ignored. All three forms of the RFC are understood.
#[must_use]
pub fn parse(field: &HeaderValue) -> Option<u64> {
    let date = httpdate::parse_http_date(field.to_str().ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// `unix_s` as a header value in the form that senders must use. Times after the year 9999 are written as its last
/// second, since the form has four digits for the year.
#[must_use]
pub fn format(unix_s: u64) -> HeaderValue {
    let date = UNIX_EPOCH + Duration::from_secs(unix_s.min(END_OF_9999_S));
    HeaderValue::try_from(httpdate::fmt_http_date(date)).expect("an HTTP date is visible ASCII")
}

/// 9999-12-31T23:59:59Z.
const END_OF_9999_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    #[test]
    fn forms() {
        let cases = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
            ("784111777", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(super::parse(&HeaderValue::from_static(text)), expected, "{text}");
        }
    }

    #[test]
    fn round_trip() {
        for unix_s in [0, 1, 784_111_777, 4_102_444_800, super::END_OF_9999_S] {
            assert_eq!(super::parse(&super::format(unix_s)), Some(unix_s));
        }
        assert_eq!(super::format(u64::MAX), super::format(super::END_OF_9999_S), "a time beyond the form is clamped");
    }
}
