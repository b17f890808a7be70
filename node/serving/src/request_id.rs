//! The id of a request: on every response, in every log line about it, and in every problem document.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const BYTES_MAX: usize = 64;

/// An id that the client chose, or else a UUID of version 7. It stands in the extensions of requests that go to the
/// [`ApiService`](crate::ApiService).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id in `headers` if it is one of at most 64 letters, digits, `.`, `_` and `-`, which can go to any log as it
    /// is; otherwise a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(X_REQUEST_ID) {
            Some(value) if is_sane(value.as_bytes()) => Self(value.clone()),
            _ => Self::generate(),
        }
    }

    /// A new id.
    ///
    /// The clock gives an order that people can read; uniqueness rests on the random bits alone.
    #[must_use]
    pub fn generate() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since_epoch.map_or(0, |elapsed| elapsed.as_millis());
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        let text = uuid.hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).expect("a UUID is visible ASCII"))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=BYTES_MAX).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{RequestId, X_REQUEST_ID};

    #[test]
    fn inbound() {
        let long = "x".repeat(64);
        let too_long = "x".repeat(65);
        let cases = [
            ("abc-1.2_Z", true),
            (long.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a\u{fc}", false),
        ];
        for (text, kept) in cases {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(text.as_bytes()).expect("a value");
            headers.insert(X_REQUEST_ID, value);
            let id = RequestId::of(&headers);
            assert_eq!(id.as_str() == text, kept, "{text:?}");
        }
    }

    #[test]
    fn generated() {
        let ids = [RequestId::generate(), RequestId::generate()];
        assert_ne!(ids[0], ids[1]);
        for id in ids {
            let uuid = uuid::Uuid::parse_str(id.as_str()).expect("a UUID");
            assert_eq!(uuid.get_version_num(), 7);
            assert_eq!(RequestId::of(&HeaderMap::new()).as_str().len(), 36);
        }
    }
}
