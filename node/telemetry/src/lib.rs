//! What a node tells of itself: its log, and its figures for Prometheus.
//!
//! The figures are counted where things happen, as plain atomics of the crate concerned. Here they get their names: each part
//! of the node is a [`Source`] that is read when somebody asks, so a figure has one truth and costs nothing while nobody looks.
//! The access log and the usage of clients will stand beside them.

mod exposition;
mod logging;

pub use exposition::{Figures, Metrics, Source};
pub use logging::{LogFormat, LoggingError, init_logging};
