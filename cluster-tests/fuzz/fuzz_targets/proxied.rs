//! Headers of the PROXY protocol: an answer in bounded time and about the beginning alone, whatever follows and wherever it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ncore_serving::{ProxyHeader, proxy_header};

fuzz_target!(|bytes: &[u8]| {
    let answer = proxy_header(bytes);
    for cut in 0..bytes.len().min(300) {
        match proxy_header(&bytes[..cut]) {
            ProxyHeader::Incomplete { length_min } => assert!(length_min > cut),
            earlier => assert_eq!(earlier, answer, "what follows changed it"),
        }
    }
    match answer {
        ProxyHeader::Whole { length, .. } => assert!(length <= bytes.len()),
        ProxyHeader::Incomplete { length_min } => assert!(length_min > bytes.len() && length_min <= 16 + 4_096),
        ProxyHeader::Malformed => {}
    }
});
