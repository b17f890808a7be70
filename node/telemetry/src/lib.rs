//! What a node tells of itself: its log, its figures for Prometheus, the same figures over the last hours, and what happened to it.
//!
//! The figures are counted where things happen, as plain atomics of the crate concerned. Here they get their names: each part
//! of the node is a [`Source`] that is read when somebody asks, so a figure has one truth and costs nothing while nobody looks.
//! [`History`] keeps those that people want to see change, as samples that are taken once a second.
//! The usage of clients stands beside them: [`Usage`] has a meter for each; and [`AccessLog`], which
//! has a record of each request.

mod access;
mod events;
mod exposition;
mod history;
mod latency;
mod logging;
mod sample;
mod summary;
mod usage;

pub use access::{
    AccessFileSettings, AccessHead, AccessLine, AccessLog, AccessPosition, AccessQuery, AccessRecord, AccessTexts, AccessWriter, CacheUse,
    Client, Followed, Overtaken, PathClass, Protocol, PublicCount, Tier, ZoneAccess, ZoneAsked, ZoneLine,
};
pub use events::{Event, EventKind, Events, Level};
pub use exposition::{Figures, Metrics, Source};
pub use history::History;
pub use latency::{LATENCY_BOUNDS_US, Latency, LatencyCounts};
pub use logging::{LogFormat, LoggingError, init_logging};
pub use sample::{Machine, Room, Sample};
pub use summary::{Share, Summary, Trend};
pub use usage::{Allowance, Collected, Meter, Tally, Usage};
