//! Fields of requests and responses where each has a stream of its own: what hyper sees to on HTTP/1.1.

use std::{cell::RefCell, time::SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TE, TRANSFER_ENCODING, UPGRADE},
};

/// What a request says of the length of its body; `None` if that is nonsense.
pub(super) fn said_length(headers: &HeaderMap) -> Option<Option<u64>> {
    let mut said = headers.get_all(CONTENT_LENGTH).into_iter();
    let Some(first) = said.next() else { return Some(None) };
    let digits = first.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    let length = digits.parse().ok()?;
    said.next().is_none().then_some(Some(length))
}

/// Completes the head of a response: without what is about connections, with the length of its body where that is known, and with the time.
pub(super) fn complete(headers: &mut HeaderMap, length: Option<u64>) {
    strip(headers);
    if let Some(length) = length {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    headers.entry(DATE).or_insert_with(now);
}

/// Takes out what is about connections (RFC 9113 §8.2.2, RFC 9114 §4.2), and what `Connection` says is.
pub(super) fn strip(headers: &mut HeaderMap) {
    // Almost none has any, and to look at the names once costs less than to look for each.
    if !headers.keys().any(is_about_connections) {
        return;
    }
    for line in headers.get_all(CONNECTION).into_iter().cloned().collect::<Vec<_>>() {
        for named in line.to_str().unwrap_or_default().split(',') {
            headers.remove(named.trim());
        }
    }
    for name in &ABOUT_CONNECTIONS {
        headers.remove(name);
    }
    headers.remove(TE);
}

/// Whether a field is about the connection. `TE` is in responses; in requests it has one value that is not.
pub(super) fn is_about_connections(name: &HeaderName) -> bool {
    *name == TE || ABOUT_CONNECTIONS.contains(name)
}

/// The time, as `Date` has it.
fn now() -> HeaderValue {
    thread_local! {
        static LAST: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(last, value)| {
        if *last != second
            && let Ok(text) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            (*last, *value) = (second, text);
        }
        value.clone()
    })
}

/// Fields that have no place where a request has a stream of its own, whatever they say.
pub(super) const ABOUT_CONNECTIONS: [HeaderName; 5] =
    [CONNECTION, HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection"), TRANSFER_ENCODING, UPGRADE];

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_LENGTH};
    use proptest::prelude::*;

    use super::{complete, is_about_connections, said_length, strip};

    fn fields(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"));
        }
        map
    }

    #[test]
    fn what_a_length_says() {
        type Row = (&'static [(&'static str, &'static str)], Option<Option<u64>>);
        let table: [Row; 8] = [
            (&[], Some(None)),
            (&[("content-length", "0")], Some(Some(0))),
            (&[("content-length", "12")], Some(Some(12))),
            (&[("content-length", "+1")], None),
            (&[("content-length", "")], None),
            (&[("content-length", "1, 1")], None),
            (&[("content-length", "1"), ("content-length", "1")], None),
            (&[("content-length", "99999999999999999999")], None),
        ];
        for (said, expected) in table {
            assert_eq!(said_length(&fields(said)), expected, "{said:?}");
        }
    }

    #[test]
    fn what_was_said_is_left() {
        let mut said = fields(&[("content-length", "3"), ("date", "then")]);
        complete(&mut said, Some(4));
        assert_eq!(said["content-length"], "3");
        assert_eq!(said["date"], "then");
        let mut nothing = HeaderMap::new();
        complete(&mut nothing, Some(4));
        assert_eq!(nothing["content-length"], "4");
        assert!(httpdate::parse_http_date(nothing["date"].to_str().expect("ASCII")).is_ok());
        let mut unknown = HeaderMap::new();
        complete(&mut unknown, None);
        assert!(!unknown.contains_key(CONTENT_LENGTH));
    }

    proptest! {
        /// What is about the connection goes, what it names as well, and nothing else.
        #[test]
        fn what_is_about_the_connection_goes(
            names in proptest::collection::vec(
                prop_oneof![Just("connection"), Just("keep-alive"), Just("te"), Just("upgrade"), Just("transfer-encoding"), Just("x-a"), Just("x-b"), Just("via")],
                0..8,
            ),
            named in prop_oneof![Just("close"), Just("x-a"), Just("X-A , via"), Just(",,")],
        ) {
            let said: Vec<_> = names.iter().map(|name| (*name, if *name == "connection" { named } else { "1" })).collect();
            let mut headers = fields(&said);
            strip(&mut headers);
            prop_assert!(!headers.keys().any(is_about_connections));
            let is_named = |name: &str| names.contains(&"connection") && named.split(',').any(|one| one.trim().eq_ignore_ascii_case(name));
            for name in ["x-a", "x-b", "via"] {
                prop_assert_eq!(headers.contains_key(name), names.contains(&name) && !is_named(name));
            }
        }
    }
}
