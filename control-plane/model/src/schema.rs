//! Which commands a cluster may use: the schema level of its state.
//!
//! | level | since | adds |
//! |---|---|---|
//! | 1 | 0.1 | everything not named below |
//! | 2 | 0.1 | `PatchAsset` |
//! | 3 | 0.1 | `SetVoter`, `SetRelay`; the table `Relays` |
//! | 4 | 0.1 | `RevokeToken`, `SetPlacement`, `RemovePlacement`; the tables `RevokedTokens`, `Placements` |
//! | 5 | 0.1 | `PutAssetAs`, `DescribeAsset`, `MoveAsset`, `ReportUsage`; the tables `RestrictedAssets`, `UsageMarks`, `UsageHours`, `UsageDays` |
//! | 6 | 0.1 | `RegisterClient`, `UpdateClient`, `RotateSecret`, `DeleteClient`, `AddRefreshToken`, `UseRefreshToken`, `RevokeRefreshToken`, `RemoveSigningKey`, `AddAdministrator`, `RemoveAdministrator`, `CreateUpload`, `AppendUpload`, `CompleteUpload`, `EndUpload`, `DeleteAssets`; the tables `Accounts`, `Stored`, `RefreshFamilies`, `Administrators`, `Uploads`, `ClientUploads` |
//! | 7 | 0.1 | `PurgeWithin`; the table `PurgeCounts` |
//! | 8 | 0.1 | `CreateZone`, `UpdateZone`, `RemoveZone`, `PurgeZone`, and in older commands the scopes `zones:read` and `zones:write`; the tables `Zones`, `ClientZones`, `ZoneHosts`, `ZonePurges`, `ZonePurgeMarks` |
//! | 9 | 0.1 | `CreateShieldedZone`, `ShieldZone`; the table `ZoneShields` |
//!
//! A node announces the range of levels that it can apply. The level of the state rises one at a time, by a command, and only
//! while every node that is not removed can apply the new one.

use serde::{Deserialize, Serialize};

/// The lowest level that this build can apply.
pub const SCHEMA_MIN: u32 = 1;
/// The highest level that this build can apply.
pub const SCHEMA_MAX: u32 = 9;

/// The levels that a node can apply, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRange {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

impl SchemaRange {
    /// What this build can apply.
    pub const BUILD: Self = Self { min: SCHEMA_MIN, max: SCHEMA_MAX };

    /// Whether a node with this range can apply `level`.
    #[must_use]
    pub fn includes(self, level: u32) -> bool {
        (self.min..=self.max).contains(&level)
    }
}
