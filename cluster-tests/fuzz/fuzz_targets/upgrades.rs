//! Heads of requests that want to change the protocol: none is handed on that is about the viewer's own connection, and only HTTP/1.1 has any.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderName, HeaderValue, Method, Request, Version, header};
use libfuzzer_sys::fuzz_target;
use ncore_serving::fuzzed::wanted_protocol;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    is_get: bool,
    version: u8,
    connection: Vec<Option<&'a [u8]>>,
    upgrade: Vec<Protocol<'a>>,
}

/// What stands in `Upgrade`: what matters is tried often.
#[derive(Debug, Arbitrary)]
enum Protocol<'a> {
    WebSocket,
    Clear,
    Tls(&'a str),
    Other(&'a [u8]),
    Several(&'a str, u8, &'a str),
}

fuzz_target!(|input: Input<'_>| {
    let method = if input.is_get { Method::GET } else { Method::POST };
    let version = [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3][usize::from(input.version % 5)];
    let mut request = Request::builder().method(method).version(version).body(()).expect("a request");
    let mut put = |name: HeaderName, value: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(name, value);
        }
    };
    for line in &input.connection {
        put(header::CONNECTION, line.unwrap_or(b"Upgrade"));
    }
    for protocol in &input.upgrade {
        match protocol {
            Protocol::WebSocket => put(header::UPGRADE, b"websocket"),
            Protocol::Clear => put(header::UPGRADE, b"h2c"),
            Protocol::Tls(version) => put(header::UPGRADE, format!("TLS/{version}").as_bytes()),
            Protocol::Other(bytes) => put(header::UPGRADE, bytes),
            Protocol::Several(one, own, other) => {
                let own = ["HTTP/2.0", "h2c", "tls/1.3", "x"][usize::from(own % 4)];
                put(header::UPGRADE, format!("{one},{own} , {other}").as_bytes());
            }
        }
    }
    let (parts, ()) = request.into_parts();
    let Some(wanted) = wanted_protocol(&parts) else { return };
    assert!(input.is_get && version == Version::HTTP_11);
    let has_option = |line: &HeaderValue| {
        let line = String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
        line.split(',').any(|option| option.trim() == "upgrade")
    };
    assert!(parts.headers.get_all(header::CONNECTION).iter().any(has_option), "nobody says that the connection is to change");
    let wanted = wanted.to_str().expect("visible").to_ascii_lowercase();
    for protocol in wanted.split(',') {
        let name = protocol.split('/').next().unwrap_or_default().trim();
        assert!(!["", "h2c", "http", "tls"].contains(&name), "{wanted:?}");
    }
});
