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
