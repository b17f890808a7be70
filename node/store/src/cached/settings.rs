//! How large the store may be, and how much it may have under way.

/// Bounds of [`crate::cached::Cached`]. The defaults suit a node whose disk is shared with assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedSettings {
    /// Bytes of entries in memory, 256 bytes of overhead for each included.
    pub memory_bytes: u64,
    /// Bytes of the segments on disk; 0 keeps entries in memory only. The index beside them takes about 45 bytes an entry. A store that was larger
    /// before shrinks soon after it was opened.
    pub disk_bytes: u64,
    /// Bytes of entries that wait to be written. What comes while so many wait stays in memory only.
    pub queue_bytes: u64,
    /// Reads from the disk at a time; others wait.
    pub readers: usize,
}

impl Default for CachedSettings {
    fn default() -> Self {
        Self { memory_bytes: 32 << 20, disk_bytes: 10 << 30, queue_bytes: 16 << 20, readers: 8 }
    }
}

impl CachedSettings {
    /// How long a segment becomes: so that there are about 256, each of them is one open file, and eviction works on one at a time.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.disk_bytes / 256).clamp(4 << 20, 512 << 20).min(self.disk_bytes / 8)
    }

    /// Places in the table of hits: one for each 4 KiB of disk, a quarter of a byte each.
    pub(super) fn hit_slots(&self) -> usize {
        let slots = (self.disk_bytes / 4096).clamp(1 << 12, 1 << 24).next_power_of_two();
        usize::try_from(slots).unwrap_or(1 << 12)
    }
}
