//! The domain over a real replica and real stores. One binary, because each links RocksDB.

mod assets;
mod credentials;
#[path = "../rig/mod.rs"]
mod rig;
mod uploads;
