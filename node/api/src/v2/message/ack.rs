//! How far a change is to have got when it is answered: `Prefer: ack=committed` or `ack=all` (RFC 7240, section 2), and `X-NCore-Ack` in
//! the answer.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use ncore_domain::{AckLevel, Acknowledged};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const X_NCORE_ACK: HeaderName = HeaderName::from_static("x-ncore-ack");
const X_NCORE_ACK_EXCEPT: HeaderName = HeaderName::from_static("x-ncore-ack-except");

/// What the caller prefers. Preferences that are not known, or not understood, are ignored, as the RFC has it; of several the first
/// counts.
pub(crate) fn level(headers: &HeaderMap, otherwise: AckLevel) -> AckLevel {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    let preferences = values.flat_map(|value| value.split(',')).map(|preference| preference.split(';').next().unwrap_or(preference));
    let mut levels = preferences.filter_map(|preference| {
        let (name, level) = preference.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("ack") {
            return None;
        }
        match level.trim().trim_matches('"') {
            "committed" => Some(AckLevel::Committed),
            "all" => Some(AckLevel::All),
            _ => None,
        }
    });
    levels.next().unwrap_or(otherwise)
}

/// Says in a response what was reached, and which nodes are the exception, by their ids.
pub(crate) fn say(acknowledged: &Acknowledged, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    let headers = response.headers_mut();
    headers.insert(X_NCORE_ACK, HeaderValue::from_static(acknowledged.as_str()));
    match acknowledged {
        Acknowledged::Committed => {}
        Acknowledged::All => {
            headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("ack=all"));
        }
        Acknowledged::AllExceptServing(nodes) => {
            let nodes = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if let Ok(nodes) = HeaderValue::try_from(nodes) {
                headers.insert(X_NCORE_ACK_EXCEPT, nodes);
            }
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use ncore_domain::AckLevel;

    use super::{PREFER, level};

    #[test]
    fn preferences() {
        let table: [(&[&str], AckLevel); 8] = [
            (&[], AckLevel::Committed),
            (&["ack=all"], AckLevel::All),
            (&["return=minimal, Ack=\"all\"; x=1"], AckLevel::All),
            (&["respond-async", "ack = all"], AckLevel::All),
            (&["ack=committed, ack=all"], AckLevel::Committed),
            (&["ack=some"], AckLevel::Committed),
            (&["ack"], AckLevel::Committed),
            (&["xack=all"], AckLevel::Committed),
        ];
        for (values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, HeaderValue::from_static(value));
            }
            assert_eq!(level(&headers, AckLevel::Committed), expected, "{values:?}");
        }
        assert_eq!(level(&HeaderMap::new(), AckLevel::All), AckLevel::All);
    }
}
