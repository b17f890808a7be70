//! How often, how much, and how long. What an operator sets are `fetches` and `grace`; the rest are defaults that hold.

use std::time::Duration;

/// Settings of the [`Agent`](crate::Agent).
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// In which of its lives this node is: higher than at any start before. Reports carry it.
    pub incarnation: u64,
    /// Replication.
    pub replication: ReplicationSettings,
    /// Reports to the cluster.
    pub reports: ReportSettings,
    /// Removal of what nobody refers to.
    pub collection: CollectionSettings,
    /// Re-reading of what is held.
    pub scrub: ScrubSettings,
    /// Reports of what clients used.
    pub usage: UsageSettings,
    /// Variants of content in a content coding.
    pub variants: VariantSettings,
    /// Bytes that rendered assets may take in memory.
    pub catalog_bytes: usize,
    /// How long tasks have to end when the node stops.
    pub shutdown: Duration,
}

impl AgentSettings {
    /// The defaults, for this life of the node.
    #[must_use]
    pub fn new(incarnation: u64) -> Self {
        Self {
            incarnation,
            replication: ReplicationSettings::default(),
            reports: ReportSettings::default(),
            collection: CollectionSettings::default(),
            scrub: ScrubSettings::default(),
            usage: UsageSettings::default(),
            variants: VariantSettings::default(),
            catalog_bytes: 16 << 20,
            shutdown: Duration::from_secs(5),
        }
    }
}

/// How this node gets what it must hold.
#[derive(Debug, Clone)]
pub struct ReplicationSettings {
    /// Blobs that are fetched at once.
    pub fetches: usize,
    /// Versions beyond the watermark that are looked at before those below are done.
    pub window: usize,
    /// Failed fetches of a blob before its versions become exceptions and no longer hold the watermark.
    pub tries: u32,
    /// The pause after the first failure of a blob. It doubles with each.
    pub retry_first: Duration,
    /// The longest pause between two tries of a blob.
    pub retry_max: Duration,
    /// How long to rest after the store said that the disk is full.
    pub full_pause: Duration,
    /// How often to look for work without being told of any.
    pub wake: Duration,
    /// How often to check that everything below the watermark is still there, by the index of the store.
    pub audit: Duration,
}

impl Default for ReplicationSettings {
    fn default() -> Self {
        Self {
            fetches: 8,
            window: 256,
            tries: 3,
            retry_first: Duration::from_millis(500),
            retry_max: Duration::from_secs(15),
            full_pause: Duration::from_secs(5),
            wake: Duration::from_secs(30),
            audit: Duration::from_secs(60 * 60),
        }
    }
}

/// How this node tells the cluster what it holds.
#[derive(Debug, Clone)]
pub struct ReportSettings {
    /// How long to gather changes before a report.
    pub coalesce: Duration,
    /// How long to wait for the answer to one.
    pub deadline: Duration,
    /// The pause after a report that failed.
    pub retry: Duration,
    /// How often to compare what is reported with what is held, without being told of a change.
    pub wake: Duration,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            coalesce: Duration::from_millis(50),
            deadline: Duration::from_secs(10),
            retry: Duration::from_millis(500),
            wake: Duration::from_secs(30),
        }
    }
}

/// How this node tells the cluster what clients used here.
#[derive(Debug, Clone)]
pub struct UsageSettings {
    /// How often, while there is anything to tell. With `deadline` less than what a crash may lose of the counts.
    pub every: Duration,
    /// How long to wait for the answer to a report. Less than `every`.
    pub deadline: Duration,
    /// How long to go on reporting when the node stops.
    pub farewell: Duration,
}

impl Default for UsageSettings {
    fn default() -> Self {
        Self { every: Duration::from_secs(8), deadline: Duration::from_secs(5), farewell: Duration::from_secs(3) }
    }
}

/// When this node removes what nobody refers to.
#[derive(Debug, Clone)]
pub struct CollectionSettings {
    /// How long a blob stays after the last asset that refers to it is gone, and after it was last stored, pinned or unpinned.
    pub grace: Duration,
    /// The pause between two passes over the store.
    pub every: Duration,
    /// Blobs that are looked at in one step.
    pub step: usize,
    /// The pause between two steps.
    pub pace: Duration,
    /// How long a step waits for a state that is known to be new enough. Without one, nothing is removed.
    pub deadline: Duration,
    /// How long after its creation a pin ends, in log time. It must be well above what accepting nodes promise in
    /// `pinned_until_ms`, and above how far the clocks of two nodes may be apart.
    pub pin_bound: Duration,
}

impl Default for CollectionSettings {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(60 * 60),
            every: Duration::from_secs(5 * 60),
            step: 256,
            pace: Duration::from_millis(20),
            deadline: Duration::from_secs(5),
            pin_bound: Duration::from_secs(60 * 60),
        }
    }
}

/// How this node re-reads what it holds.
#[derive(Debug, Clone)]
pub struct ScrubSettings {
    /// Bytes a second. Zero: never.
    pub bytes_s: u64,
    /// A blob is read again when it was last found good this long ago.
    pub age: Duration,
    /// The pause between two passes over the store.
    pub every: Duration,
}

impl Default for ScrubSettings {
    fn default() -> Self {
        Self { bytes_s: 8 << 20, age: Duration::from_secs(7 * 24 * 60 * 60), every: Duration::from_secs(60 * 60) }
    }
}

/// How this node keeps content in content codings.
#[derive(Debug, Clone)]
pub struct VariantSettings {
    /// Bytes that they may have; what was not used for the longest time goes first. Zero: none are made, and none are served.
    pub bytes_max: u64,
    /// How many may wait to be made.
    pub queue: usize,
    /// How often to count what there is.
    pub every: Duration,
}

impl Default for VariantSettings {
    fn default() -> Self {
        Self { bytes_max: 1 << 30, queue: 256, every: Duration::from_secs(5 * 60) }
    }
}
