//! The answers that are kept, which are no type of the public interface, and the state as a whole: what rows there are, under
//! what keys, after a log that is always the same.

use ncore_model::{
    AddClient, BlobHash, ClientId, Command, Idempotency, InitCluster, MemoryTables, NodeId, Precondition, Proposal, PutAsset, ReadTables,
    RequestId, SchemaRange, Table, Tables, UpdateNode, apply, state_hash,
};

use super::{Golden, request};

const KEY: Idempotency = Idempotency { scope: [0x11; 32], payload: [0x22; 32] };

pub(super) fn all() -> Vec<Golden> {
    let tables = state();
    let golden = |name: &str, bytes: Vec<u8>| Golden { name: format!("{name}.v1"), bytes };
    let row = |table, key: &[u8]| tables.get(table, key).expect("reads").expect("is there");
    let expiry: Vec<u8> = tables.scan(Table::Expiry, &[], &[], usize::MAX).expect("scans").into_iter().flat_map(|(key, _)| key).collect();
    vec![
        golden("row.answer-to-request", row(Table::Requests, &put_request().0)),
        golden("row.answer-to-key", row(Table::Keys, &KEY.scope)),
        golden("keys.expiry", expiry),
        golden("state_hash", state_hash(&tables).expect("reads").to_vec()),
    ]
}

fn put_request() -> RequestId {
    let mut put = request();
    put.0[15] = 3;
    put
}

/// A cluster, a client, and an asset that was put with an idempotency key.
fn log() -> Vec<Proposal> {
    let node = UpdateNode {
        node: NodeId(1),
        name: "eu-ams-1".into(),
        region: "eu-ams".into(),
        cluster_address: "10.0.0.1:7400".into(),
        http_address: "https://ams.example".into(),
        schema: SchemaRange { min: 1, max: 2 },
        software: "0.1.0".into(),
        incarnation: 1,
    };
    let client = AddClient { name: "Büro".into(), secret_hash: "$argon2id$".into(), scopes: Vec::new(), domains: Vec::new() };
    let put = PutAsset {
        client: ClientId::from_request(request()),
        path: "a.txt".into(),
        mime: "text/plain".into(),
        size: 5,
        sha256: [0xA5; 32],
        blob: BlobHash([0xB3; 32]),
        cache_ttl_s: 60,
        node: NodeId(1),
        holders: vec![NodeId(1)],
        pinned_until_ms: 1_700_000_060_000,
        precondition: Precondition::Absent,
    };
    let mut first = request();
    first.0[15] = 1;
    let at = |request, idempotency, log_time_ms, command| Proposal { request, idempotency, log_time_ms, command };
    vec![
        at(first, None, 1_700_000_000_000, Command::InitCluster(InitCluster { cluster_id: [0x77; 16], node })),
        at(request(), None, 1_700_000_000_100, Command::AddClient(client)),
        at(put_request(), Some(KEY), 1_700_000_000_200, Command::PutAsset(put)),
    ]
}

fn state() -> MemoryTables {
    let mut tables = MemoryTables::default();
    for (proposal, index) in log().iter().zip(1..) {
        apply(&mut tables, index, proposal).expect("applies");
    }
    tables
}

/// What an old release kept is an answer to this one.
#[test]
fn an_answer_from_disk_is_given_again() {
    let mut tables = state();
    let put = log().pop().expect("is there");
    let known = apply(&mut tables, 4, &put).expect("applies");
    assert_eq!(known.index, 3);

    let row = tables.get(Table::Requests, &put.request.0).expect("reads").expect("is there");
    let mut other = MemoryTables::default();
    other.put(Table::Requests, &put.request.0, row);
    assert_eq!(apply(&mut other, 9, &put).expect("applies"), known);
}
