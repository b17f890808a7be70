//! What a host name is, as a zone may have one.

use std::net::IpAddr;

/// The longest host name, in bytes (RFC 1035, section 3.1, less the root).
const MAX_HOST_BYTES: usize = 253;
/// The longest part between two dots, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// Whether this is a host name of at least two parts, in lower case: no address, and nothing with `*`.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    text.contains('.') && is_name(text) && text.bytes().all(|byte| !byte.is_ascii_uppercase()) && text.parse::<IpAddr>().is_err()
}

/// Whether this is a name of one or more parts, in whatever case.
pub(super) fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_HOST_BYTES && text.split('.').all(is_label)
}

/// Whether this is a token (RFC 9110, section 5.6.2): the name of a cookie, for example.
pub(super) fn is_token(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
