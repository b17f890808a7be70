//! The tables of the state: which there are, what their keys are, and how `apply` reaches them.

use crate::codec::CodecError;

/// Every table of the replicated state. The number is its prefix on disk and in the state hash: never reused.
///
/// | table | key | row | since |
/// |---|---|---|---|
/// | `Cluster` | empty | [`ClusterState`](crate::ClusterState) | 0.1 |
/// | `Cluster` | lineage, u32 BE | [`Lineage`](crate::Lineage) | 0.1 |
/// | `Nodes` | node id, u64 BE | [`Node`](crate::Node) | 0.1 |
/// | `JoinTokens` | token id, 16 bytes | [`JoinToken`](crate::JoinToken) | 0.1 |
/// | `Clients` | client id | [`Client`](crate::Client) | 0.1 |
/// | `SigningKeys` | key id | [`SigningKey`](crate::SigningKey) | 0.1 |
/// | `Assets` | path | [`Asset`](crate::Asset) | 0.1 |
/// | `AssetIds` | asset id | path | 0.1 |
/// | `ClientAssets` | client id, 0, path | empty | 0.1 |
/// | `Versions` | version, u64 BE | path | 0.1 |
/// | `Blobs` | BLAKE3, 32 bytes | [`Blob`](crate::Blob) | 0.1 |
/// | `Reports` | node id, u64 BE | [`NodeReport`](crate::NodeReport) | 0.1 |
/// | `Purges` | index, u64 BE | [`Purge`](crate::Purge) | 0.1 |
/// | `Requests` | request id, 16 bytes | the answer | 0.1 |
/// | `Keys` | scope, 32 bytes | the answer, and the hash of the payload | 0.1 |
/// | `Expiry` | log time, u64 BE, table, key | empty | 0.1 |
/// | `Relays` | node id, u64 BE | empty | 0.1, level 3 |
/// | `RevokedTokens` | token id | [`RevokedToken`](crate::RevokedToken) | 0.1, level 4 |
/// | `Placements` | empty | [`PlacementMark`](crate::PlacementMark) | 0.1, level 4 |
/// | `Placements` | client id | [`ClientPlacement`](crate::ClientPlacement) | 0.1, level 4 |
/// | `RestrictedAssets` | asset id | empty | 0.1, level 5 |
/// | `Uploads` | upload id | [`Upload`](crate::Upload) | 0.1, level 6 |
/// | `ClientUploads` | client id, 0, upload id | length, u64 BE | 0.1, level 6 |
/// | `PurgeCounts` | client id, 0, subject, 16 bytes | [`PurgeCount`](crate::PurgeCount) | 0.1, level 7 |
/// | `UsageMarks` | node id, u64 BE | [`UsageMark`](crate::UsageMark) | 0.1, level 5 |
/// | `UsageHours` | client id, 0, hour since 1970, u32 BE | [`UsageCounts`](crate::UsageCounts) | 0.1, level 5 |
/// | `UsageDays` | client id, 0, day since 1970, u32 BE | [`UsageCounts`](crate::UsageCounts) | 0.1, level 5 |
/// | `Accounts` | client id | [`Account`](crate::Account) | 0.1, level 6 |
/// | `Stored` | client id | [`Stored`](crate::Stored) | 0.1, level 6 |
/// | `RefreshFamilies` | client id, 0, family, 16 bytes | [`RefreshFamily`](crate::RefreshFamily) | 0.1, level 6 |
/// | `Administrators` | BLAKE3 of the token, 32 bytes | [`Administrator`](crate::Administrator) | 0.1, level 6 |
/// | `Zones` | zone id, 16 bytes | [`Zone`](crate::Zone) | 0.1, level 8 |
/// | `ClientZones` | client id, 0, zone number, u64 BE | zone id, 16 bytes | 0.1, level 8 |
/// | `ZoneHosts` | host name | zone id, 16 bytes | 0.1, level 8 |
/// | `ZonePurges` | zone number, u64 BE, index, u64 BE | [`ZonePurge`](crate::ZonePurge) | 0.1, level 8 |
/// | `ZonePurgeMarks` | zone number, u64 BE | [`ZonePurgeMark`](crate::ZonePurgeMark) | 0.1, level 8 |
/// | `ZoneShields` | zone id, 16 bytes | [`ZoneShield`](crate::ZoneShield) | 0.1, level 9 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// What is true of the cluster as a whole: one row, and one for each lineage but the first.
    Cluster = 1,
    /// Every node that ever joined.
    Nodes = 2,
    /// Join tokens that can still be used.
    JoinTokens = 3,
    /// The tenants.
    Clients = 4,
    /// The keys that sign access tokens.
    SigningKeys = 5,
    /// The assets, by path.
    Assets = 6,
    /// The path of an asset, by its id.
    AssetIds = 7,
    /// The paths of a client.
    ClientAssets = 8,
    /// Which asset got its present content at which index: the work list of replication.
    Versions = 9,
    /// The blobs that assets refer to.
    Blobs = 10,
    /// What each node says it holds.
    Reports = 11,
    /// The purges, newest last.
    Purges = 12,
    /// The answers to requests, by request id.
    Requests = 13,
    /// The answers to requests, by idempotency key.
    Keys = 14,
    /// When which answer is forgotten.
    Expiry = 15,
    /// The nodes that pass the log on although they do not vote.
    Relays = 16,
    /// The access tokens that were revoked before their time.
    RevokedTokens = 17,
    /// Where the assets of clients are held that are not held everywhere.
    Placements = 18,
    /// What clients have agreed to.
    Accounts = 19,
    /// How much clients have stored.
    Stored = 20,
    /// The refresh tokens of clients.
    RefreshFamilies = 21,
    /// Who manages clients over the API, by their tokens.
    Administrators = 22,
    /// The assets that were said to be restricted. Those whose path says it need no row.
    RestrictedAssets = 23,
    /// The uploads that come in pieces, open or just done.
    Uploads = 24,
    /// The open uploads of a client.
    ClientUploads = 25,
    /// How often was purged of late with which token.
    PurgeCounts = 26,
    /// The last report of usage of each node.
    UsageMarks = 27,
    /// What each client used in each hour.
    UsageHours = 28,
    /// What each client used on each day.
    UsageDays = 29,
    /// The zones.
    Zones = 30,
    /// The zones of a client, in the order in which they were made.
    ClientZones = 31,
    /// Which zone has which host name.
    ZoneHosts = 32,
    /// The purges of each zone, newest last.
    ZonePurges = 33,
    /// What the purges of a zone have in common.
    ZonePurgeMarks = 34,
    /// The regions that zones want their shields in.
    ZoneShields = 35,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 35] = [
        Self::Cluster,
        Self::Nodes,
        Self::JoinTokens,
        Self::Clients,
        Self::SigningKeys,
        Self::Assets,
        Self::AssetIds,
        Self::ClientAssets,
        Self::Versions,
        Self::Blobs,
        Self::Reports,
        Self::Purges,
        Self::Requests,
        Self::Keys,
        Self::Expiry,
        Self::Relays,
        Self::RevokedTokens,
        Self::Placements,
        Self::Accounts,
        Self::Stored,
        Self::RefreshFamilies,
        Self::Administrators,
        Self::RestrictedAssets,
        Self::Uploads,
        Self::ClientUploads,
        Self::PurgeCounts,
        Self::UsageMarks,
        Self::UsageHours,
        Self::UsageDays,
        Self::Zones,
        Self::ClientZones,
        Self::ZoneHosts,
        Self::ZonePurges,
        Self::ZonePurgeMarks,
        Self::ZoneShields,
    ];

    /// How many tables there have always been. A later one counts for the hash of the state once it has a row.
    pub(crate) const FIRST_TABLES: u8 = 15;

    /// Its name, as the column family on disk has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Nodes => "nodes",
            Self::JoinTokens => "join_tokens",
            Self::Clients => "clients",
            Self::SigningKeys => "signing_keys",
            Self::Assets => "assets",
            Self::AssetIds => "asset_ids",
            Self::ClientAssets => "client_assets",
            Self::Versions => "versions",
            Self::Blobs => "blobs",
            Self::Reports => "reports",
            Self::Purges => "purges",
            Self::Requests => "requests",
            Self::Keys => "keys",
            Self::Expiry => "expiry",
            Self::Relays => "relays",
            Self::RevokedTokens => "revoked_tokens",
            Self::Placements => "placements",
            Self::RestrictedAssets => "restricted_assets",
            Self::Uploads => "uploads",
            Self::ClientUploads => "client_uploads",
            Self::PurgeCounts => "purge_counts",
            Self::UsageMarks => "usage_marks",
            Self::UsageHours => "usage_hours",
            Self::UsageDays => "usage_days",
            Self::Accounts => "accounts",
            Self::Stored => "stored",
            Self::RefreshFamilies => "refresh_families",
            Self::Administrators => "administrators",
            Self::Zones => "zones",
            Self::ClientZones => "client_zones",
            Self::ZoneHosts => "zone_hosts",
            Self::ZonePurges => "zone_purges",
            Self::ZonePurgeMarks => "zone_purge_marks",
            Self::ZoneShields => "zone_shields",
        }
    }

    /// The table with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Why a table could not be read. The node that meets it stops: its state is damaged or its disk fails.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The disk, or the database on it, gave an error.
    #[error("cannot read table {}", table.as_str())]
    Storage {
        /// Which table.
        table: Table,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row is there and is not a record of the expected kind.
    #[error("a row of table {} cannot be decoded", table.as_str())]
    Row {
        /// Which table.
        table: Table,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// A key is there that no row of the table can have.
    #[error("a key of table {} is damaged", table.as_str())]
    Key {
        /// Which table.
        table: Table,
    },
    /// Two tables contradict each other.
    #[error("table {} refers to a row that is not there", table.as_str())]
    Dangling {
        /// The table that refers.
        table: Table,
    },
}

/// The state, for reading.
pub trait ReadTables {
    /// The value at `key`.
    ///
    /// # Errors
    /// [`TableError::Storage`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;

    /// Up to `limit` rows whose keys are at least `from` and start with `prefix`, in ascending order.
    ///
    /// # Errors
    /// [`TableError::Storage`].
    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError>;
}

/// The state, for a command. Reads see what was written before.
pub trait Tables: ReadTables {
    /// Writes a row.
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>);

    /// Deletes a row, if it is there.
    fn delete(&mut self, table: Table, key: &[u8]);
}
