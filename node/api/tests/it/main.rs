//! The API over a real replica and real stores, through its router and over connections. One binary, because each links
//! RocksDB.

mod assets;
mod auth;
mod changes;
mod connection;
mod front;
mod limits;
mod logs;
mod metrics;
mod reference;
mod resumable;
#[expect(dead_code, reason = "the tests of the domain use more of it")]
#[path = "../../../domain/tests/rig/mod.rs"]
mod rig;
mod site;
mod token;
mod uploads;
mod zones;
