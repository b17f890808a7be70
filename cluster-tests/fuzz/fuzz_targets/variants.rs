//! Stored responses of zones as bytes: bytes that are none are nothing, and those that are some say the same when they are written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ncore_serving::fuzzed::record_again;

fuzz_target!(|bytes: &[u8]| {
    if let Some(again) = record_again(bytes) {
        assert_eq!(record_again(&again).expect("it was one"), again);
        assert!(again.len() <= bytes.len(), "it has grown");
    }
});
