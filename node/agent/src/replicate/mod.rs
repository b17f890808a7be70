//! Getting what this node must hold, in the order of the log, and knowing how far it is.

mod job;
mod ledger;
mod replicator;
mod survey;

pub use ledger::Holdings;
pub(crate) use {job::Fetcher, replicator::Replicator, survey::Survey};
