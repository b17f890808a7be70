//! Reading what this node may or may not have: memory, disk, peers; and saying so when the disk is damaged.

mod read_through;
mod repairs;

pub use read_through::{ReadThrough, ReadThroughError, Source};
pub use repairs::{Repair, RepairQueue, Repairs};
