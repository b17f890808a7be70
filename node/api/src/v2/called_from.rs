//! From where a request comes.

use http::{
    HeaderValue,
    header::{HOST, ORIGIN},
    request::Parts,
};
use ncore_domain::CalledFrom;

use crate::front::PeerAddress;

/// The address of the other end, and the site of the page that asks.
pub(super) fn of(head: &Parts) -> CalledFrom {
    let named = || head.headers.get(HOST)?.to_str().ok();
    let asked = head.uri.authority().map(http::uri::Authority::as_str).or_else(named);
    CalledFrom { address: head.extensions.get::<PeerAddress>().map(|peer| peer.0), site: site_of(head.headers.get(ORIGIN), asked) }
}

/// The site of the page that asks the host `asked`, by the `Origin` of the request: none, if no page does, or one of that host itself.
#[must_use]
pub fn site_of(origin: Option<&HeaderValue>, asked: Option<&str>) -> Option<String> {
    // What is no text is the origin of no domain.
    let origin = origin?.to_str().unwrap_or("null");
    (asked.is_none() || origin.split_once("://").map(|(_, authority)| authority) != asked).then(|| host(origin))
}

/// The host of an origin; the origin itself if it has none, as `null`, which is that of no domain.
fn host(origin: &str) -> String {
    let uri = origin.parse::<http::Uri>().ok();
    uri.as_ref().and_then(http::Uri::host).unwrap_or(origin).to_owned()
}
