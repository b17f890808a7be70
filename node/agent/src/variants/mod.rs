//! Content codings of what is on this node, made once and stored: gzip, br and zstd.
//!
//! ```text
//!   serving ── find ──► shelf ── in the entry? in the store? ──► the variant
//!                         │ neither
//!                         ▼ bounded queue, each once
//!                       maker ── source, verified ──► encode, decode, compare ──► store
//!                         │
//!                         └── now and then: how many bytes are there? the least recently used go
//! ```
//!
//! Variants are this node's own affair: no other node knows of them, and to lose one is to make it again. Whoever asks first gets the
//! content as it is, at once.

mod encode;
mod maker;
mod room;
mod shelf;

pub(crate) use maker::VariantMaker;
pub use shelf::VariantShelf;

use std::sync::Arc;

use ncore_cache::content_coding::Coding;
use ncore_store::{BlobStore, VariantKey};

use crate::{metrics::AgentMetrics, settings::VariantSettings};

/// What serving asks, and who makes what it asks for. Without room for variants nobody makes any, and none are served.
pub(crate) fn open(store: &BlobStore, settings: &VariantSettings, metrics: &Arc<AgentMetrics>) -> (VariantShelf, Option<VariantMaker>) {
    if settings.bytes_max == 0 {
        return (VariantShelf::closed(store.clone(), Arc::clone(metrics)), None);
    }
    let (shelf, wishes) = VariantShelf::new(store.clone(), settings.queue, Arc::clone(metrics));
    (shelf, Some(VariantMaker::new(store.clone(), wishes, settings, Arc::clone(metrics))))
}

/// The number under which the store keeps a coding. It is on disk: a number is never given to another coding.
fn number(coding: Coding) -> u8 {
    match coding {
        Coding::Br => 1,
        Coding::Zstd => 2,
        Coding::Gzip => 3,
    }
}

/// The name in the store of a variant of this content.
pub(crate) fn key(source: blake3::Hash, coding: Coding) -> VariantKey {
    VariantKey { source, coding: number(coding) }
}
