//! Tests that need the inside of the crate: failures of the disk, and crashes.

mod crash;
mod failing;
