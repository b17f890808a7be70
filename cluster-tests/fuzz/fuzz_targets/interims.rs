//! Interim responses: whatever fields an origin has put into one, what the viewer gets is one head with these fields, and ends where it ends.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use ncore_serving::fuzzed::interim_head;

fuzz_target!(|input: (u8, Vec<(&str, &[u8])>)| {
    let (status, fields) = input;
    let status = StatusCode::from_u16(100 + u16::from(status % 100)).expect("a status");
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let head = interim_head(status, &headers);
    let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an end");
    assert_eq!(end + 4, head.len(), "something follows the head");
    let mut lines = head[..end].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().expect("a status line");
    assert!(first.starts_with(format!("HTTP/1.1 {} ", status.as_str()).as_bytes()));
    let mut read = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').expect("a field");
        let name = HeaderName::from_bytes(&line[..colon]).expect("a name");
        let value = line[colon + 1..].strip_prefix(b" ").expect("a space");
        read.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    assert_eq!(read, headers);
});
