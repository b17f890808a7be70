//! The promises of a replica, held against tables in memory that get the same log one entry at a time.

mod crashes;
mod forgetting;
mod marks;
mod readers;
mod reference;
#[path = "../../../model/tests/sequence/mod.rs"]
mod sequence;
mod splits;
