//! The view of the cluster applied to this node.
//!
//! ```text
//!                        replica (what the cluster agrees on)
//!        rows changed │            │ new revision       ▲ ReportHoldings
//!                     ▼            ▼                    │
//!   serving ──► catalog      replicator ──holdings──► reporter
//!          └──► slices            │ ▲ fetch
//!                │ damage         ▼ │
//!                └──► repairer ──► store ◄── collector, scrubber
//! ```
//!
//! Each part is a reconciler: it compares what the replica says with what this node has, does what is missing, and can begin anew at
//! any time. Signals only make it look sooner; time makes it look anyway. So boot, restart and steady state are one path, and a
//! node that was away for a week is a node with more to do.
//!
//! The publisher of zones gives serving the zones and what was purged of them, with each change of the replica.
//!
//! Beside that the reporter of usage tells the cluster what clients used here, as serving and the API counted it.
//!
//! # What holds
//!
//! 1. **The report is not better than the truth.** A version is reported as held after its blob was verified and made durable here.
//!    What is found missing or damaged later becomes an exception, or lowers the watermark.
//! 2. **Nothing is removed that somebody needs.** The module of the collector has the argument.
//! 3. **What serving sees is not older than an announced revision.** The module of the catalog's cache has the race that this takes.
//! 4. **Bounded.** Blobs in flight, versions ahead of the watermark, exceptions, entries in memory, reports in flight (one), steps.
//!
//! # What is not here
//! How bytes move (`ncore-transfer`), what the cluster agrees on (`ncore-model`), and uploads: the node that accepts one brings it
//! into the store itself, and the replicator finds it there.

mod agent;
mod blocking;
mod catalog;
mod collector;
mod error;
mod metrics;
mod purger;
mod removals;
mod repairer;
mod replicate;
mod reporter;
mod scrubber;
mod settings;
mod slices;
mod supervisor;
mod surplus;
mod usage;
mod variants;
mod zones;

pub use agent::{Agent, AgentHandle};
pub use catalog::AssetCatalog;
pub use error::{AgentError, AgentFailure};
pub use metrics::AgentMetrics;
pub use replicate::Holdings;
pub use settings::{AgentSettings, CollectionSettings, ReplicationSettings, ReportSettings, ScrubSettings, UsageSettings, VariantSettings};
pub use slices::AssetSlices;
pub use variants::VariantShelf;
pub use zones::ZoneView;
