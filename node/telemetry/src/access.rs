//! The access log: a record of each request that was answered, kept for a while, and written to files if the operator wants that.
//!
//! ```text
//!   serving ── record ──► inbox: bounded queues, the oldest dropped and counted
//!                            │  taken ten times a second, by one thread
//!                            ├──► file: lines of JSON, rotated by size
//!                            ├──► counts: what anybody may see, by second and kind of path
//!                            └──► kept: the newest, for those who ask, and for those who follow
//! ```
//!
//! A request pays for one allocation and for a push into a queue that threads hardly share. Everything else is the thread's work. All of it
//! is bounded: texts by [`record`], queues by [`inbox`], the rest by the settings; a follower has no queue of its own, but a place in what
//! is kept, and is told when that has gone by.
//!
//! # What is never in it
//! What follows the `?` of an address, where signatures stand and where people put tokens by mistake; headers but for the user agent; bodies.

mod counts;
mod file;
mod inbox;
mod kept;
mod line;
mod log;
mod query;
mod record;
mod writer;
mod zone;

pub use counts::PublicCount;
pub use file::AccessFileSettings;
pub use kept::{Followed, Overtaken};
pub use line::AccessLine;
pub use log::AccessLog;
pub use query::{AccessPosition, AccessQuery};
pub use record::{AccessHead, AccessRecord, AccessTexts, CacheUse, Client, PathClass};
pub use writer::AccessWriter;
pub use zone::{Protocol, Tier, ZoneAccess, ZoneAsked, ZoneLine};

#[cfg(test)]
mod tests;
