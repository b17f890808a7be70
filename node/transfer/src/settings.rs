//! How much the client side may do at once, and how long it waits for whom.

use std::time::Duration;

/// Bounds of [`Transfer`](crate::Transfer). What an operator sets are `concurrency` and `rate_bytes_s`.
#[derive(Debug, Clone)]
pub struct TransferSettings {
    /// Blobs that are fetched at once.
    pub concurrency: usize,
    /// Bytes a second that fetching whole blobs may take. Zero: as many as come. Slices for viewers do not count.
    pub rate_bytes_s: u64,
    /// Slices that are fetched for viewers at once. Each holds up to 2 MiB.
    pub slices: usize,
    /// How long one peer may take over one slice for a viewer, connecting included.
    pub slice_try: Duration,
    /// How long all peers together may take over one slice for a viewer.
    pub slice_budget: Duration,
    /// How long a peer may take over each frame of a blob, connecting included for the first: so the slowest peer that is still put
    /// up with sends one MiB in this time.
    pub frame: Duration,
    /// How long a peer may take to answer a small call.
    pub call: Duration,
    /// How long a peer may keep an upload waiting, for each MiB of it, before its copy is dropped.
    pub slow_peer: Duration,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            rate_bytes_s: 0,
            slices: 64,
            slice_try: Duration::from_secs(4),
            slice_budget: Duration::from_secs(12),
            frame: Duration::from_secs(15),
            call: Duration::from_secs(3),
            slow_peer: Duration::from_secs(5),
        }
    }
}
