//! Bytes that come from a damaged disk or a hostile peer: an error, and never a panic, another meaning or a great allocation.

use std::{fmt::Debug, fs, path::Path};

use ncore_model::{
    Asset, Blob, Client, ClusterState, CodecError, Command, JoinToken, Node, NodeId, NodeReport, Outcome, Precondition, Proposal, Purge,
    PutAsset, Record, RequestId, SigningKey, decode, encode,
};
use ncore_model::{BlobHash, ClientId};
use proptest::prelude::*;

const HEADER_LEN: usize = 10;

/// Decodes as every kind of record. Whatever decodes can be written again, and is the same then.
fn decode_as_everything(bytes: &[u8]) -> usize {
    fn as_one<R: Record + PartialEq + Debug>(bytes: &[u8]) -> usize {
        let Ok(record) = decode::<R>(bytes) else {
            return 0;
        };
        assert_eq!(decode::<R>(&encode(&record).expect("encodes")), Ok(record));
        1
    }
    as_one::<Proposal>(bytes)
        + as_one::<Outcome>(bytes)
        + as_one::<Node>(bytes)
        + as_one::<JoinToken>(bytes)
        + as_one::<Client>(bytes)
        + as_one::<Asset>(bytes)
        + as_one::<Blob>(bytes)
        + as_one::<ClusterState>(bytes)
        + as_one::<SigningKey>(bytes)
        + as_one::<Purge>(bytes)
        + as_one::<NodeReport>(bytes)
}

/// The kinds above.
const KINDS: [u16; 11] = [
    Proposal::KIND,
    Outcome::KIND,
    Node::KIND,
    JoinToken::KIND,
    Client::KIND,
    Asset::KIND,
    Blob::KIND,
    ClusterState::KIND,
    SigningKey::KIND,
    Purge::KIND,
    NodeReport::KIND,
];

/// A payload in an envelope that is in order.
fn envelope(kind: u16, version: u16, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("is short");
    let mut bytes = vec![0xCD, 1];
    bytes.extend(kind.to_le_bytes());
    bytes.extend(version.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.extend(payload);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// The records of the corpus.
fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(directory).expect("lists").map(|entry| entry.expect("reads").path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "hex"));
    texts.map(|path| from_hex(&fs::read_to_string(path).expect("reads"))).filter(|bytes| bytes.starts_with(&[0xCD, 1])).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("is a byte")).collect()
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_record(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decode_as_everything(&bytes), 0);
    }

    #[test]
    fn arbitrary_payloads_do_not_panic(
        kind in prop::sample::select(&KINDS[..]),
        payload in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..200),
    ) {
        prop_assert!(decode_as_everything(&envelope(kind, 1, &payload)) <= 1);
    }

    /// Records with some bytes changed and a checksum that is right: they decode to a record of the same kind, or not at all.
    #[test]
    fn changed_records_do_not_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), 250u8..=255]), 1..4),
        longer in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let corpus = corpus();
        let record = which.get(&corpus);
        let kind = u16::from_le_bytes([record[2], record[3]]);
        let mut payload = record[HEADER_LEN..record.len() - 4].to_vec();
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        payload.extend(longer);
        prop_assert!(decode_as_everything(&envelope(kind, 1, &payload)) <= 1);
    }
}

/// A record is of one kind and version, and nothing else reads it.
#[test]
fn another_kind_or_version_is_an_error() {
    let corpus = corpus();
    assert!(corpus.len() > 60, "{} records", corpus.len());
    for record in corpus {
        let kind = u16::from_le_bytes([record[2], record[3]]);
        let payload = &record[HEADER_LEN..record.len() - 4];
        assert_eq!(decode_as_everything(&record), usize::from(KINDS.contains(&kind)), "kind {kind}");
        for version in [0, 2, 3, u16::MAX] {
            assert_eq!(decode_as_everything(&envelope(kind, version, payload)), 0, "kind {kind} version {version}");
        }
        let other_format = [[0xCD, 2].as_slice(), &record[2..]].concat();
        assert_eq!(decode_as_everything(&other_format), 0);
    }
    let newer = envelope(Outcome::KIND, 2, &[0]);
    let expected = CodecError::Unexpected { kind: 2, version: 2, expected_kind: 2, expected_version: 1 };
    assert_eq!(decode::<Outcome>(&newer), Err(expected));
}

/// A length costs nothing until its bytes are there. An attempt to allocate what is announced here would end the process.
#[test]
fn announced_lengths_are_not_believed() {
    for len in [1u64 << 24, 1 << 32, 1 << 40, u64::MAX / 2, u64::MAX] {
        let announced = [[253].as_slice(), &len.to_le_bytes()].concat();
        let text = [[6].as_slice(), &announced].concat();
        assert!(decode::<Outcome>(&envelope(Outcome::KIND, 1, &text)).is_err(), "text of {len}");
        let bytes = [[0].as_slice(), &announced].concat();
        assert!(decode::<SigningKey>(&envelope(SigningKey::KIND, 1, &bytes)).is_err(), "bytes of {len}");
        let list = [[0, 0].as_slice(), &announced].concat();
        assert!(decode::<Blob>(&envelope(Blob::KIND, 1, &list)).is_err(), "list of {len}");
    }
    let mut header = envelope(Outcome::KIND, 1, &[0]);
    header[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode::<Outcome>(&header), Err(CodecError::TooLarge { kind: 2, len: u32::MAX as usize }));
}

/// What one node may write, all can read: a record that only encodes would stop every replica.
#[test]
fn whatever_encodes_decodes() {
    let put = |holders: usize, digests: usize, path: usize| Proposal {
        request: RequestId([1; 16]),
        idempotency: None,
        log_time_ms: 1,
        command: Command::PutAsset(PutAsset {
            client: ClientId::from_text("cl_1"),
            path: "x".repeat(path),
            mime: String::new(),
            size: 1,
            sha256: [1; 32],
            blob: BlobHash([1; 32]),
            cache_ttl_s: 1,
            node: NodeId(1),
            holders: vec![NodeId(1); holders],
            pinned_until_ms: 1,
            precondition: Precondition::Matches(vec![[1; 32]; digests]),
        }),
    };
    let mib = 1 << 20;
    for (holders, digests, path) in [(mib - 500, 0, 0), (0, mib / 32 - 20, 0), (0, 0, mib - 500)] {
        let proposal = put(holders, digests, path);
        let bytes = encode(&proposal).expect("encodes");
        assert!(bytes.len() > mib - 1_000, "{}", bytes.len());
        assert_eq!(decode::<Proposal>(&bytes), Ok(proposal));
    }
    for (holders, digests, path) in [(mib + 1, 0, 0), (0, mib / 32 + 1, 0), (0, 0, mib + 1)] {
        assert!(matches!(encode(&put(holders, digests, path)), Err(CodecError::TooLarge { kind: 1, .. })));
    }
}
