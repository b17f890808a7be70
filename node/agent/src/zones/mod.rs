//! Zones and their purges, published to serving.
//!
//! ```text
//!   replica ──rows changed──► ZonePublisher ──► Zones (host → zone), swapped whole
//!                                          └──► PurgeIndex,          swapped whole
//! ```
//!
//! Both are published on the thread that applies, before the revision is announced. So whoever has seen a revision, and whoever was told
//! that this node has it, is served by it: a barrier that this node has passed holds for its cache.
//!
//! What cannot be read makes no old content good: then every object from before falls under a floor, until it can be read.

mod convert;
mod publisher;
mod view;

pub(crate) use publisher::ZonePublisher;
pub use view::ZoneView;
