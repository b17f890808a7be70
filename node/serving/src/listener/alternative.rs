//! `Alt-Svc` (RFC 7838): how clients of HTTP/1.1 and HTTP/2 learn that HTTP/3 is spoken here. Only over TLS, where it can be believed.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::settings::ListenerSettings;

/// What to say of HTTP/3, if there is something to say.
pub(super) fn advertised(settings: &ListenerSettings, https: Option<SocketAddr>) -> Option<HeaderValue> {
    let (http3, https) = (settings.http3.as_ref().filter(|_| cfg!(feature = "http3"))?, https?);
    let for_s = http3.advertised_for.as_secs();
    let port = http3.advertised_port.unwrap_or(https.port());
    (for_s > 0).then(|| HeaderValue::try_from(format!("h3=\":{port}\"; ma={for_s}")).ok()).flatten()
}

/// Says it. What the origin of a zone says of itself is about the connection to it, and would lead viewers around this node.
pub(super) fn say(headers: &mut HeaderMap, advertised: Option<&HeaderValue>) {
    match advertised {
        Some(advertised) => {
            headers.insert(ALT_SVC, advertised.clone());
        }
        None => {
            headers.remove(ALT_SVC);
        }
    }
}

const ALT_SVC: HeaderName = http::header::ALT_SVC;
