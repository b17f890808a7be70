//! What the cluster agrees on: the nouns, the commands that change them, and the one function that applies a command.
//!
//! Nothing here does I/O, reads a clock, draws a random number or knows of tokio: time, ids and secrets come in with the
//! command. So every node that applies the same log gets the same state, byte for byte, and everything here can be tested
//! by tables and by proptest.
//!
//! ```text
//!   Proposal { request id, log time, key?, Command }         one entry of the replicated log
//!        │
//!        ▼   apply(tables, revision, proposal)
//!   expire old outcomes → seen before? → schema level → the command's own rule
//!        │                    │                              │
//!        │                    ▼ the first answer again       ▼ rows written, or a Rejection and no row
//!        └────────────────────────────► Outcome  (kept by request id for 1 h of log time, by idempotency key for 24 h)
//! ```
//!
//! ## Invariants
//!
//! 1. **Deterministic.** `apply` depends on its arguments alone.
//! 2. **Total.** A command that cannot be carried out is answered by a [`Rejection`] and changes nothing but the record of
//!    the answer. Only an unreadable row or record is an error, and then the node stops: to skip would be to diverge.
//! 3. **Once.** A request id, or an idempotency key within its scope, changes the state at most once.
//! 4. **Counted.** The references of a blob are the assets, and the pieces of open uploads, that name it. A blob without references has no row.
//!    What a client uses is the sum of its assets.
//! 5. **Found both ways.** Every asset stands under its path, its id, its client and its version; nothing else does.
//! 6. **Gated.** A command of a higher schema level than the state's is rejected, and the level rises only when every node
//!    that is not removed can read it.
//! 7. **One history.** The lineage of the state only grows, and the row of each lineage says up to where it shares the one before.
//!    [`begin_lineage`] is the only change that no entry of the log makes.
//! 8. **One owner of a host.** Every host name of a zone stands under that name, is no other zone's, and no client's domain.
//! 9. **No purge is forgotten silently.** What a purge of a zone said is kept, or the floor of the zone is at least as high.

mod account;
mod administrator;
mod apply;
mod asset;
mod blob;
mod client;
mod cluster;
mod codec;
mod command;
mod glob;
mod id;
mod ip_range;
mod join_token;
mod lineage;
mod memory;
mod node;
mod outcome;
mod path;
mod placement;
mod proposal;
mod purge;
mod query;
mod rank;
mod refresh_token;
mod replication;
mod revision;
mod schema;
mod signing_key;
mod state_hash;
mod table;
mod upload;
mod usage;
mod visibility;
mod zone;

pub use account::{Account, Plan, Stored};
pub use administrator::{Administrator, MAX_ADMINISTRATORS};
pub use apply::{Applied, ApplyError, IDEMPOTENCY_RETENTION_MS, REQUEST_RETENTION_MS, apply, begin_lineage};
pub use asset::Asset;
pub use blob::Blob;
pub use client::{Client, ClientStatus, Scope};
pub use cluster::ClusterState;
pub use codec::{CodecError, Record, decode, encode};
pub use command::{
    AddAdministrator, AddClient, AddNode, AddRefreshToken, AddSigningKey, AppendUpload, AssetRef, Command, CompleteUpload, CreateJoinToken,
    CreateUpload, DeleteAsset, DeleteAssets, DescribeAsset, EndUpload, InitCluster, MAX_DELETED_ASSETS, MoveAsset, NewRefreshToken,
    PatchAsset, Precondition, PurgeAssets, PurgeWithin, PutAsset, PutAssetAs, RegisterClient, RevokeToken, RotateSecret, SetClientStatus,
    SetPlacement, UpdateClient, UpdateNode, UseRefreshToken,
};
pub use glob::{AssetGlob, GlobError};
pub use id::{AdministratorId, AssetId, BlobHash, ClientId, JoinTokenId, NodeId, RequestId, UploadId, ZoneId};
pub use ip_range::{IpRange, IpRangeError};
pub use join_token::JoinToken;
pub use lineage::{BeginLineage, Begun, Founder, Lineage, NotBegun};
pub use memory::MemoryTables;
pub use node::{Node, NodeState};
pub use outcome::{Deletion, Outcome, Rejection};
pub use path::{AssetPath, MAX_PATH_BYTES, PathError};
pub use placement::{
    ClientPlacement, MAX_PLACEMENT_REGIONS, MAX_PLACEMENT_RULES, Placed, PlacementFit, PlacementMark, PlacementPolicy, PlacementRule,
    Placements,
};
pub use proposal::{Idempotency, Proposal};
pub use purge::{MAX_PURGES_COUNTED, Purge, PurgeCount, PurgeLimit};
pub use query::{AssetFilter, AssetPage, FolderPage, Query};
pub use rank::{rank, weight};
pub use refresh_token::{MAX_REFRESH_FAMILIES, REFRESH_MARGIN_MS, RefreshFamily};
pub use replication::{CopyState, Exception, ExceptionState, MAX_EXCEPTIONS, NodeReport, copy_state};
pub use revision::{Revision, RevisionParseError};
pub use schema::{SCHEMA_MAX, SCHEMA_MIN, SchemaRange};
pub use signing_key::{RevokedToken, SigningKey};
pub use state_hash::state_hash;
pub use table::{ReadTables, Row, Table, TableError, Tables};
pub use upload::{
    DONE_UPLOAD_RETENTION_MS, MAX_OPEN_UPLOAD_BYTES, MAX_OPEN_UPLOADS, MAX_UPLOAD_LIFETIME_MS, MAX_UPLOAD_NOTE_BYTES, MAX_UPLOAD_PARTS,
    Upload, UploadPart, UploadTarget,
};
pub use usage::{HourCounts, MAX_USAGE_COUNTS, USAGE_DAYS_KEPT, USAGE_HOURS_KEPT, UsageCounts, UsageMark, UsageReport, UsageUnit};
pub use visibility::{RESTRICTED_PREFIX, Visibility};
pub use zone::{
    CreateShieldedZone, CreateZone, MAX_ORIGIN_WEIGHT, MAX_PURGE_TARGETS, MAX_ZONE_DOMAINS, MAX_ZONE_NAME_BYTES, MAX_ZONE_ORIGINS,
    MAX_ZONE_PURGE_WEIGHT, MAX_ZONE_RULES, MAX_ZONES, PurgeZone, RemoveZone, ShieldZone, UpdateZone, Zone, ZoneBypass, ZoneFence,
    ZoneField, ZoneOrigin, ZonePurge, ZonePurgeMark, ZonePurgeTarget, ZoneSettings, ZoneSettingsPatch, ZoneShield, is_host_name,
};
