//! Figures of what is kept of zones.

use std::fmt;

use ncore_store::cached::{Cached, CachedFigures};
use ncore_telemetry::{Figures, Source};

/// What is kept of zones.
pub(super) struct CacheFigures(pub(super) Cached);

impl Source for CacheFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let CachedFigures {
            memory_entries,
            memory_bytes,
            disk_entries,
            disk_entry_bytes,
            disk_bytes,
            queued_bytes,
            hits_memory,
            hits_disk,
            misses,
            evicted,
            written_bytes,
            rewritten_bytes,
            damaged,
            read_errors,
            dropped_writes,
            write_errors,
            given_up,
            ..
        } = self.0.figures();
        let entries = [("memory", memory_entries), ("disk", disk_entries)];
        figures.gauges("cache_entries", "Entries that are kept of zones: heads and slices", "tier", &entries)?;
        let bytes = [("memory", memory_bytes), ("disk", disk_entry_bytes), ("segments", disk_bytes), ("queue", queued_bytes)];
        figures.gauges("cache_bytes", "Bytes that are kept of zones", "tier", &bytes)?;
        let lookups = [("memory", hits_memory), ("disk", hits_disk), ("none", misses)];
        figures.counters("cache_lookups", "Lookups of entries, by where they were", "tier", &lookups)?;
        figures.counter("cache_evicted", "Entries that left the disk to make room", evicted)?;
        let written = [("new", written_bytes - rewritten_bytes.min(written_bytes)), ("again", rewritten_bytes)];
        figures.counters(
            "cache_written_bytes",
            "Bytes written to the disk: of what was put there, or again to make room",
            "what",
            &written,
        )?;
        let troubles = [
            ("damaged", damaged),
            ("not_read", read_errors),
            ("not_kept", dropped_writes),
            ("not_written", write_errors),
            ("given_up", given_up),
        ];
        figures.counters("cache_troubles", "What went wrong with entries on the disk", "what", &troubles)
    }
}
