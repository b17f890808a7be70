//! HTTP dates (RFC 9110 §5.6.7), as whole seconds since the Unix epoch: the only precision that HTTP has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// The date in `field`, in Unix seconds. `None` if it is not an HTTP date of 1970 or later; the conditions that carry
/// dates say that such a field is ignored. All three forms of the RFC are understood, in whatever case they are written (RFC 9111 §4.2),
/// and a weekday that is not the date's is passed over: it says nothing that the date does not.
#[must_use]
pub fn parse(field: &HeaderValue) -> Option<u64> {
    let text = field.to_str().ok()?;
    let date = httpdate::parse_http_date(text).ok().or_else(|| lenient(text))?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// A date whose case is not as senders must write it, or whose weekday is another one's.
fn lenient(text: &str) -> Option<SystemTime> {
    if text.len() > DATE_BYTES_MAX {
        return None;
    }
    let text = in_case(text);
    let (weekday, rest) = text.split_at(text.find([',', ' '])?);
    let names = WEEKDAYS.map(|name| if weekday.len() > 3 { name } else { &name[..3] });
    if !names.contains(&weekday) {
        return None;
    }
    names.iter().find_map(|name| httpdate::parse_http_date(&format!("{name}{rest}")).ok())
}

/// The text with each word of it in the case of names, and the time zone in capitals.
fn in_case(text: &str) -> String {
    let mut cased = String::with_capacity(text.len());
    for letter in text.chars() {
        let begins = !cased.ends_with(|before: char| before.is_ascii_alphabetic());
        cased.push(if begins { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() });
    }
    match cased.strip_suffix("Gmt") {
        Some(date) => format!("{date}GMT"),
        None => cased,
    }
}

/// `unix_s` as a header value in the form that senders must use. Times after the year 9999 are written as its last
/// second, since the form has four digits for the year.
#[must_use]
pub fn format(unix_s: u64) -> HeaderValue {
    let date = UNIX_EPOCH + Duration::from_secs(unix_s.min(END_OF_9999_S));
    HeaderValue::try_from(httpdate::fmt_http_date(date)).expect("an HTTP date is visible ASCII")
}

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The longest date: one of RFC 850, on a Wednesday.
const DATE_BYTES_MAX: usize = "Wednesday, 01-Jan-70 00:00:00 GMT".len();

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
            // In another case (RFC 9111 §4.2), and with a weekday that is not the date's.
            ("SUN, 06 nov 1994 08:49:37 gMT", Some(784_111_777)),
            ("sunday, 06-NOV-94 08:49:37 gmt", Some(784_111_777)),
            ("sun nov  6 08:49:37 1994", Some(784_111_777)),
            ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Wednesday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Tue Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Foo, 06 Nov 1994 08:49:37 GMT", None),
            ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06  Nov  1994 08:49:37 GMT", None),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08.49.37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            (",", None),
            (" ", None),
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
