//! Records of the replicated state and of the log: bytes that are no record are refused, and those that are one are written again as
//! the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ncore_model::{Asset, Client, Node, NodeReport, Outcome, Proposal, Record, UsageReport, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    same::<Proposal>(bytes);
    same::<Outcome>(bytes);
    same::<NodeReport>(bytes);
    same::<UsageReport>(bytes);
    same::<Asset>(bytes);
    same::<Client>(bytes);
    same::<Node>(bytes);
});

fn same<R: Record>(payload: &[u8]) {
    let bytes = enveloped::<R>(payload);
    if let Ok(record) = decode::<R>(&bytes) {
        let again = encode(&record).expect("it was one");
        let reread = decode::<R>(&again).expect("it was written");
        assert_eq!(encode(&reread).expect("it was one"), again);
    }
}

/// The payload as a record of its kind. A checksum is in the envelope, which no fuzzer finds by itself.
fn enveloped<R: Record>(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("the fuzzer's inputs are short");
    let mut bytes = vec![0xCD, 1];
    bytes.extend(R::KIND.to_le_bytes());
    bytes.extend(R::VERSION.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(payload);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}
