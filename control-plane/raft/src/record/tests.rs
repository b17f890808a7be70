//! The bytes on disk, as every version has to read them for ever; and what is not accepted.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ncore_proto::raft::v1 as pb;
use openraft::EntryPayload;

use super::{Identity, Kind, RecordError, decode, encode};
use crate::{
    convert,
    snapshot::{Description, FileDigest},
    types::{Command, Entry, LeaderId, LogId, Membership, Node, SnapshotMeta, StoredMembership, Vote},
};

fn log_id() -> LogId {
    LogId { leader_id: LeaderId { term: 7, node_id: 3 }, index: 1000 }
}

fn membership() -> Membership {
    let nodes = BTreeMap::from([(3, Node::new("a:7400")), (300, Node::new("b:7400"))]);
    Membership::new(vec![BTreeSet::from([3]), BTreeSet::from([3, 300])], nodes).unwrap()
}

fn entry(payload: EntryPayload<Command, u64, Node>) -> Entry {
    Entry { log_id: log_id(), payload }
}

fn description() -> Description {
    let meta = SnapshotMeta { last_log_id: Some(log_id()), last_membership: StoredMembership::new(Some(log_id()), membership()) };
    let file = |name: &str, content: &[u8]| FileDigest { name: name.to_owned(), size: content.len() as u64, hash: blake3::hash(content) };
    Description::new(meta, vec![file("000008.sst", b"sst"), file("CURRENT", b"current")])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_vote() {
    let vote = Vote { leader_id: LeaderId { term: 7, node_id: 3 }, committed: true };
    let record = encode(Kind::Vote, &convert::vote_to(&vote));
    assert_eq!(hex(&record), GOLDEN_VOTE);
    let read: pb::Vote = decode(Kind::Vote, &record.into()).unwrap();
    assert_eq!(convert::vote_from(read), vote);
}

#[test]
fn golden_positions() {
    for (kind, golden) in [(Kind::Purged, GOLDEN_PURGED), (Kind::Committed, GOLDEN_COMMITTED)] {
        let record = encode(kind, &convert::log_id_to(&log_id()));
        assert_eq!(hex(&record), golden);
        let read: pb::LogId = decode(kind, &record.into()).unwrap();
        assert_eq!(convert::log_id_from(read), log_id());
    }
}

#[test]
fn golden_entries() {
    let cases = [
        (EntryPayload::Blank, GOLDEN_BLANK),
        (EntryPayload::Normal(Command(Bytes::from_static(b"command"))), GOLDEN_COMMAND),
        (EntryPayload::Membership(membership()), GOLDEN_CHANGE),
    ];
    for (payload, golden) in cases {
        let entry = entry(payload);
        let record = encode(Kind::Entry, &convert::entry_to(&entry));
        assert_eq!(hex(&record), golden);
        let read = convert::entry_from(decode(Kind::Entry, &record.into()).unwrap()).unwrap();
        assert_eq!(read, entry);
    }
}

#[test]
fn golden_membership() {
    let stored = StoredMembership::new(Some(log_id()), membership());
    let bytes = convert::membership_bytes(&stored);
    assert_eq!(hex(&bytes), GOLDEN_MEMBERSHIP);
    assert_eq!(convert::membership_of_bytes(&bytes).unwrap(), stored);
    assert_eq!(convert::membership_of_bytes(&Bytes::new()).unwrap(), StoredMembership::default());
}

#[test]
fn golden_snapshot() {
    let record = description().to_record();
    assert_eq!(hex(&record), GOLDEN_SNAPSHOT);
    assert_eq!(Description::from_record(&record.into()).unwrap(), description());
}

#[test]
fn golden_identity() {
    let identity = Identity { cluster_id: Bytes::from_static(b"0123456789abcdef"), node: 300 };
    let record = encode(Kind::Identity, &identity);
    assert_eq!(hex(&record), GOLDEN_IDENTITY);
    assert_eq!(decode::<Identity>(Kind::Identity, &record.into()).unwrap(), identity);
}

#[test]
fn every_damaged_byte_is_noticed() {
    let record = encode(Kind::Entry, &convert::entry_to(&entry(EntryPayload::Normal(Command(Bytes::from_static(b"command"))))));
    for at in 0..record.len() {
        let mut damaged = record.clone();
        damaged[at] ^= 0x10;
        assert!(decode::<pb::Entry>(Kind::Entry, &damaged.into()).is_err(), "byte {at}");
    }
    for length in 0..record.len() {
        assert!(decode::<pb::Entry>(Kind::Entry, &record[..length].to_vec().into()).is_err(), "{length} bytes");
    }
    let longer = [record.as_slice(), &[0]].concat();
    assert!(matches!(decode::<pb::Entry>(Kind::Entry, &longer.into()), Err(RecordError::Length { .. })));
}

#[test]
fn another_kind_and_another_version_are_refused() {
    let record = Bytes::from(encode(Kind::Purged, &convert::log_id_to(&log_id())));
    assert_eq!(decode::<pb::LogId>(Kind::Committed, &record), Err(RecordError::Kind { expected: 4, found: 3 }));
    let mut newer = record.to_vec();
    newer[4] = 2;
    let covered = newer.len() - 4;
    let checksum = crc32c::crc32c(&newer[..covered]).to_le_bytes();
    newer[covered..].copy_from_slice(&checksum);
    assert_eq!(decode::<pb::LogId>(Kind::Purged, &newer.into()), Err(RecordError::Version { kind: 3, found: 2 }));
}

#[test]
fn an_entry_of_an_unknown_sort_is_not_a_blank_one() {
    let unknown = pb::Entry { id: Some(convert::log_id_to(&log_id())), payload: None };
    assert_eq!(convert::entry_from(unknown), Err(RecordError::Field("payload")));
}

#[test]
fn a_forged_description_is_refused() {
    let damage: [fn(&mut pb::Snapshot); 6] = [
        |snapshot| snapshot.reference = "../../x".to_owned(),
        |snapshot| snapshot.files[0].name = "../x".to_owned(),
        |snapshot| snapshot.files[0].name = String::new(),
        |snapshot| snapshot.files[1].name = snapshot.files[0].name.clone(),
        |snapshot| snapshot.files[0].size += 1,
        |snapshot| snapshot.files[0].blake3 = Bytes::from_static(b"short"),
    ];
    for damage in damage {
        let mut snapshot = description().to_proto();
        damage(&mut snapshot);
        assert!(matches!(Description::from_proto(snapshot), Err(RecordError::Field(_))));
    }
}

const GOLDEN_VOTE: &str = "cd010200010006000000080710031801725268c3";
const GOLDEN_PURGED: &str = "cd0103000100070000000807100318e807e2f5c113";
const GOLDEN_COMMITTED: &str = "cd0104000100070000000807100318e80714708520";
const GOLDEN_BLANK: &str = "cd01010001000b0000000a070807100318e8072200f3bf01a9";
const GOLDEN_COMMAND: &str = "cd0101000100120000000a070807100318e8071207636f6d6d616e646b54abdb";
const GOLDEN_CHANGE: &str =
    "cd0101000100300000000a070807100318e8071a250a030a01030a050a0303ac02120a08031206613a37343030120b08ac021206623a37343030b61f43db";
const GOLDEN_MEMBERSHIP: &str =
    "cd0106000100300000000a070807100318e80712250a030a01030a050a0303ac02120a08031206613a37343030120b08ac021206623a373430304ce89f0c";
const GOLDEN_SNAPSHOT: &str = "cd0105000100c90000000a3b0a070807100318e80712300a070807100318e80712250a030a01030a050a0303ac02120a08031206613a37343030120b08ac021206623a373430301229313030302d372d332d39666364653231393431326534656261646330376431306363306636393335331a300a0a3030303030382e73737410031a20a12f49e3ac1e6b92ad28d7c40500131462159e13b721cf3e41d64dcd623285e91a2d0a0743555252454e5410071a2028cc03052be6fbb6ed3213e51fd6e50f74efa7f7c02ac8fe66db61fe4871b7e86860c89f";
const GOLDEN_IDENTITY: &str = "cd0107000100150000000a103031323334353637383961626364656610ac0255e86c9a";
