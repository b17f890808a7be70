//! What a change can be.
//!
//! The enum is append-only, and so is the shape of each of its variants: their numbers and bytes stand in every log. A changed
//! command is a new variant, with a schema level of its own.

use serde::{Deserialize, Serialize};

use crate::{
    account::Plan,
    client::{ClientStatus, Scope},
    id::{AdministratorId, AssetId, BlobHash, ClientId, JoinTokenId, NodeId, UploadId},
    ip_range::IpRange,
    node::NodeState,
    placement::PlacementPolicy,
    purge::PurgeLimit,
    replication::NodeReport,
    schema::SchemaRange,
    upload::{UploadPart, UploadTarget},
    usage::UsageReport,
    visibility::Visibility,
    zone::{CreateShieldedZone, CreateZone, PurgeZone, RemoveZone, ShieldZone, UpdateZone},
};

/// A change that a node asks the cluster for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The first command of a cluster.
    InitCluster(InitCluster),
    /// A node joins, by a token.
    AddNode(AddNode),
    /// A node says what it now is: at each start, and when its addresses change.
    UpdateNode(UpdateNode),
    /// The operator drains, removes or brings back a node.
    SetNodeState {
        /// Which node.
        node: NodeId,
        /// What it becomes.
        state: NodeState,
    },
    /// The operator makes a join token.
    CreateJoinToken(CreateJoinToken),
    /// The operator withdraws a join token.
    RevokeJoinToken {
        /// Which token.
        id: JoinTokenId,
    },
    /// The operator adds a client.
    AddClient(AddClient),
    /// The operator lets a client act, or does not.
    SetClientStatus(SetClientStatus),
    /// A key for signing access tokens.
    AddSigningKey(AddSigningKey),
    /// Content for a path.
    PutAsset(PutAsset),
    /// The end of an asset.
    DeleteAsset(DeleteAsset),
    /// Whatever is cached of some assets is to be dropped.
    PurgeAssets(PurgeAssets),
    /// What a node holds.
    ReportHoldings(NodeReport),
    /// Commands of the next level may be used from here on.
    RaiseSchema {
        /// The level of the state after it.
        level: u32,
    },
    /// Another description of an asset. Level 2.
    PatchAsset(PatchAsset),
    /// A node is meant to vote, or is not. Level 3.
    SetVoter {
        /// Which node.
        node: NodeId,
        /// Whether it is meant to.
        voter: bool,
    },
    /// A node passes the log on to others, or does not. Level 3.
    SetRelay {
        /// Which node.
        node: NodeId,
        /// Whether it does.
        relay: bool,
    },
    /// An access token is good for nothing from here on. Level 4.
    RevokeToken(RevokeToken),
    /// The operator says where assets of a client are held. Level 4.
    SetPlacement(SetPlacement),
    /// The operator takes that back. Level 4.
    RemovePlacement {
        /// Whose assets.
        client: ClientId,
        /// What their paths begin with, as it was set.
        prefix: String,
    },
    /// Content for a path, and who may read it. Level 5.
    PutAssetAs(PutAssetAs),
    /// Another description of an asset, with who may read it. Level 5.
    DescribeAsset(DescribeAsset),
    /// Another path for an asset. Level 5.
    MoveAsset(MoveAsset),
    /// What clients used at a node since its last report. Level 5.
    ReportUsage(UsageReport),
    /// A client comes, with an account. Level 6.
    RegisterClient(RegisterClient),
    /// Another description or status of a client. Level 6.
    UpdateClient(UpdateClient),
    /// Another secret of a client. Level 6.
    RotateSecret(RotateSecret),
    /// A client that has no assets goes. Level 6.
    DeleteClient {
        /// Which client.
        client: ClientId,
    },
    /// A client gets a refresh token. Level 6.
    AddRefreshToken(AddRefreshToken),
    /// A client shows a refresh token, for the next. Level 6.
    UseRefreshToken(UseRefreshToken),
    /// A refresh token, and all that followed from it, is good for nothing from here on. Level 6.
    RevokeRefreshToken {
        /// Whose it is.
        client: ClientId,
        /// Its family.
        family: [u8; 16],
    },
    /// Access tokens of a key are good for nothing from here on. Level 6.
    RemoveSigningKey {
        /// Which key.
        id: String,
    },
    /// An administrator comes. Level 6.
    AddAdministrator(AddAdministrator),
    /// An administrator goes. Level 6.
    RemoveAdministrator {
        /// Which one.
        administrator: AdministratorId,
    },
    /// An upload that will come in pieces. Level 6.
    CreateUpload(CreateUpload),
    /// A piece of it. Level 6.
    AppendUpload(AppendUpload),
    /// All of it is there, and becomes an asset. Level 6.
    CompleteUpload(CompleteUpload),
    /// It will not be finished. Level 6.
    EndUpload(EndUpload),
    /// The end of several assets. Level 6.
    DeleteAssets(DeleteAssets),
    /// A purge, unless there were as many within a stretch of time as there may be. Level 7.
    PurgeWithin(PurgeWithin),
    /// A zone comes. Level 8.
    CreateZone(CreateZone),
    /// Another description of a zone. Level 8.
    UpdateZone(UpdateZone),
    /// A zone goes, with its purges. Level 8.
    RemoveZone(RemoveZone),
    /// What is kept of a zone, or some of it, is good for nothing from here on. Level 8.
    PurgeZone(PurgeZone),
    /// A zone comes, with a region for its shield. Level 9.
    CreateShieldedZone(CreateShieldedZone),
    /// Another description of a zone, with another region for its shield. Level 9.
    ShieldZone(ShieldZone),
}

impl Command {
    /// The schema level that the state must have before this command may be used. One that names a scope needs that of the scope, too.
    #[must_use]
    pub fn schema_level(&self) -> u32 {
        let scopes = self.scopes().into_iter().flatten().map(|scope| scope.schema_level());
        scopes.fold(self.own_schema_level(), u32::max)
    }

    /// The scopes that it names.
    fn scopes(&self) -> [&[Scope]; 2] {
        fn of(token: Option<&NewRefreshToken>) -> &[Scope] {
            token.map_or(&[], |token| &token.scopes)
        }
        match self {
            Self::AddClient(add) => [&add.scopes, &[]],
            Self::RegisterClient(register) => [&register.scopes, of(register.refresh.as_ref())],
            Self::UpdateClient(update) => [update.scopes.as_deref().unwrap_or_default(), &[]],
            Self::RotateSecret(rotate) => [of(rotate.refresh.as_ref()), &[]],
            Self::AddRefreshToken(add) => [of(Some(&add.token)), &[]],
            _ => [&[], &[]],
        }
    }

    const fn own_schema_level(&self) -> u32 {
        match self {
            Self::PatchAsset(_) => 2,
            Self::SetVoter { .. } | Self::SetRelay { .. } => 3,
            Self::RevokeToken(_) | Self::SetPlacement(_) | Self::RemovePlacement { .. } => 4,
            Self::PutAssetAs(_) | Self::DescribeAsset(_) | Self::MoveAsset(_) | Self::ReportUsage(_) => 5,
            Self::RegisterClient(_)
            | Self::UpdateClient(_)
            | Self::RotateSecret(_)
            | Self::DeleteClient { .. }
            | Self::AddRefreshToken(_)
            | Self::UseRefreshToken(_)
            | Self::RevokeRefreshToken { .. }
            | Self::RemoveSigningKey { .. }
            | Self::AddAdministrator(_)
            | Self::RemoveAdministrator { .. }
            | Self::CreateUpload(_)
            | Self::AppendUpload(_)
            | Self::CompleteUpload(_)
            | Self::EndUpload(_)
            | Self::DeleteAssets(_) => 6,
            Self::PurgeWithin(_) => 7,
            Self::CreateZone(_) | Self::UpdateZone(_) | Self::RemoveZone(_) | Self::PurgeZone(_) => 8,
            Self::CreateShieldedZone(_) | Self::ShieldZone(_) => 9,
            _ => 1,
        }
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::InitCluster(_) => "init_cluster",
            Self::AddNode(_) => "add_node",
            Self::UpdateNode(_) => "update_node",
            Self::SetNodeState { .. } => "set_node_state",
            Self::CreateJoinToken(_) => "create_join_token",
            Self::RevokeJoinToken { .. } => "revoke_join_token",
            Self::AddClient(_) => "add_client",
            Self::SetClientStatus(_) => "set_client_status",
            Self::AddSigningKey(_) => "add_signing_key",
            Self::PutAsset(_) => "put_asset",
            Self::DeleteAsset(_) => "delete_asset",
            Self::PurgeAssets(_) => "purge_assets",
            Self::ReportHoldings(_) => "report_holdings",
            Self::RaiseSchema { .. } => "raise_schema",
            Self::PatchAsset(_) => "patch_asset",
            Self::SetVoter { .. } => "set_voter",
            Self::SetRelay { .. } => "set_relay",
            Self::RevokeToken(_) => "revoke_token",
            Self::SetPlacement(_) => "set_placement",
            Self::RemovePlacement { .. } => "remove_placement",
            Self::PutAssetAs(_) => "put_asset_as",
            Self::DescribeAsset(_) => "describe_asset",
            Self::MoveAsset(_) => "move_asset",
            Self::ReportUsage(_) => "report_usage",
            Self::RegisterClient(_) => "register_client",
            Self::UpdateClient(_) => "update_client",
            Self::RotateSecret(_) => "rotate_secret",
            Self::DeleteClient { .. } => "delete_client",
            Self::AddRefreshToken(_) => "add_refresh_token",
            Self::UseRefreshToken(_) => "use_refresh_token",
            Self::RevokeRefreshToken { .. } => "revoke_refresh_token",
            Self::RemoveSigningKey { .. } => "remove_signing_key",
            Self::AddAdministrator(_) => "add_administrator",
            Self::RemoveAdministrator { .. } => "remove_administrator",
            Self::CreateUpload(_) => "create_upload",
            Self::AppendUpload(_) => "append_upload",
            Self::CompleteUpload(_) => "complete_upload",
            Self::EndUpload(_) => "end_upload",
            Self::DeleteAssets(_) => "delete_assets",
            Self::PurgeWithin(_) => "purge_within",
            Self::CreateZone(_) => "create_zone",
            Self::UpdateZone(_) => "update_zone",
            Self::RemoveZone(_) => "remove_zone",
            Self::PurgeZone(_) => "purge_zone",
            Self::CreateShieldedZone(_) => "create_shielded_zone",
            Self::ShieldZone(_) => "shield_zone",
        }
    }
}

/// See [`Command::InitCluster`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitCluster {
    /// The cluster's name for machines.
    pub cluster_id: [u8; 16],
    /// What the first node is.
    pub node: UpdateNode,
}

/// See [`Command::AddNode`]. The proof of the token was checked by the node that took the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddNode {
    /// The token that was shown.
    pub token: JoinTokenId,
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// `host:port` that other nodes dial.
    pub cluster_address: String,
    /// Public base URL.
    pub http_address: String,
    /// The schema levels that it can apply.
    pub schema: SchemaRange,
    /// The version of its software.
    pub software: String,
}

/// See [`Command::UpdateNode`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateNode {
    /// Which node.
    pub node: NodeId,
    /// What the operator calls it.
    pub name: String,
    /// Where it stands.
    pub region: String,
    /// `host:port` that other nodes dial.
    pub cluster_address: String,
    /// Public base URL.
    pub http_address: String,
    /// The schema levels that it can apply.
    pub schema: SchemaRange,
    /// The version of its software.
    pub software: String,
    /// Higher than that of any start before.
    pub incarnation: u64,
}

/// See [`Command::CreateJoinToken`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateJoinToken {
    /// Its public name.
    pub id: JoinTokenId,
    /// What proofs are checked with.
    pub verifier: [u8; 32],
    /// Whether nodes that join with it are meant to vote.
    pub voter: bool,
    /// The only region that may use it.
    pub region: Option<String>,
    /// How many nodes may join with it.
    pub uses: u32,
    /// How long it is good for, in milliseconds of log time from its entry on.
    pub lifetime_ms: u64,
}

impl std::fmt::Debug for CreateJoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateJoinToken").field("id", &self.id).field("uses", &self.uses).finish_non_exhaustive()
    }
}

/// See [`Command::AddClient`]. Its id follows from the request id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddClient {
    /// What the operator calls it.
    pub name: String,
    /// Its secret, hashed with argon2id.
    pub secret_hash: String,
    /// What its tokens may be allowed at most.
    pub scopes: Vec<Scope>,
    /// Its own domains.
    pub domains: Vec<String>,
}

impl std::fmt::Debug for AddClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddClient").field("name", &self.name).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// See [`Command::SetClientStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetClientStatus {
    /// Which client.
    pub client: ClientId,
    /// What it becomes.
    pub status: ClientStatus,
}

/// See [`Command::AddSigningKey`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddSigningKey {
    /// Its name in the header of a token.
    pub id: String,
    /// The public half, 32 bytes.
    pub public: Vec<u8>,
    /// The private half, sealed under the cluster key.
    pub sealed_private: Vec<u8>,
}

impl std::fmt::Debug for AddSigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddSigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// See [`Command::PutAsset`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAsset {
    /// Who puts it.
    pub client: ClientId,
    /// Where: an [`AssetPath`](crate::AssetPath).
    pub path: String,
    /// MIME type.
    pub mime: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// BLAKE3 of the content.
    pub blob: BlobHash,
    /// How long others may cache it, in seconds.
    pub cache_ttl_s: u32,
    /// The node that accepted it.
    pub node: NodeId,
    /// The nodes that hold it, fsynced and pinned.
    pub holders: Vec<NodeId>,
    /// The log time in Unix milliseconds after which the pins may be gone, so the command comes too late.
    pub pinned_until_ms: u64,
    /// What must be true of the path.
    pub precondition: Precondition,
}

/// What must be true of a path for a write to take place (RFC 9110, section 13.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// Nothing.
    None,
    /// `If-None-Match: *`: nothing stands there.
    Absent,
    /// `If-Match`: what stands there has one of these SHA-256 digests.
    Matches(Vec<[u8; 32]>),
    /// `If-Match: *`: something stands there.
    Present,
}

/// See [`Command::DeleteAsset`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAsset {
    /// Who deletes it.
    pub client: ClientId,
    /// Which asset.
    pub asset: AssetId,
    /// What must be true of it.
    pub precondition: Precondition,
}

/// See [`Command::PurgeAssets`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeAssets {
    /// Whose assets.
    pub client: ClientId,
    /// Which of them: an [`AssetGlob`](crate::AssetGlob).
    pub pattern: String,
}

/// See [`Command::PurgeWithin`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeWithin {
    /// The purge.
    pub purge: PurgeAssets,
    /// What it counts for.
    pub limit: PurgeLimit,
}

/// See [`Command::PatchAsset`]. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchAsset {
    /// Who changes it.
    pub client: ClientId,
    /// Which asset.
    pub asset: AssetId,
    /// Its new MIME type.
    pub mime: Option<String>,
    /// How long others may cache it from now on, in seconds.
    pub cache_ttl_s: Option<u32>,
    /// What must be true of it.
    pub precondition: Precondition,
}

/// See [`Command::RevokeToken`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeToken {
    /// Whose token it is.
    pub client: ClientId,
    /// Its id, which is its `jti`.
    pub token: String,
    /// When it would have ended, in Unix milliseconds: until a while after that the revocation is kept.
    pub expires_at_ms: u64,
}

/// See [`Command::SetPlacement`]. A rule of the same client and prefix is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPlacement {
    /// Whose assets.
    pub client: ClientId,
    /// What their paths begin with; empty for all of them.
    pub prefix: String,
    /// Which nodes hold them.
    pub policy: PlacementPolicy,
}

/// See [`Command::PutAssetAs`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAssetAs {
    /// The content.
    pub put: PutAsset,
    /// Who may read it from here on.
    pub visibility: Visibility,
}

/// See [`Command::DescribeAsset`]. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeAsset {
    /// What [`Command::PatchAsset`] changes.
    pub patch: PatchAsset,
    /// Who may read it from here on.
    pub visibility: Option<Visibility>,
}

/// See [`Command::MoveAsset`]. Its id, and who may read it, stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveAsset {
    /// Who moves it.
    pub client: ClientId,
    /// Which asset.
    pub asset: AssetId,
    /// Where to: an [`AssetPath`](crate::AssetPath) at which nothing stands.
    pub path: String,
    /// What must be true of the asset.
    pub precondition: Precondition,
}

/// See [`Command::RegisterClient`]. Its id follows from the request id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterClient {
    /// What the operator calls it.
    pub name: String,
    /// Its secret, hashed with argon2id.
    pub secret_hash: String,
    /// What its tokens may be allowed at most.
    pub scopes: Vec<Scope>,
    /// Its own domains.
    pub domains: Vec<String>,
    /// Whether it may do anything.
    pub status: ClientStatus,
    /// What it pays for.
    pub plan: Plan,
    /// From where its credentials may be used; from anywhere, if there is none.
    pub ip_ranges: Vec<IpRange>,
    /// Since when it is a client, in Unix milliseconds; from the time of the log on, if `None`.
    pub since_ms: Option<u64>,
    /// Its first refresh token.
    pub refresh: Option<NewRefreshToken>,
}

impl std::fmt::Debug for RegisterClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisterClient").field("name", &self.name).field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// See [`Command::UpdateClient`]. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateClient {
    /// Which client.
    pub client: ClientId,
    /// What the operator calls it.
    pub name: Option<String>,
    /// What its tokens may be allowed at most.
    pub scopes: Option<Vec<Scope>>,
    /// Its own domains.
    pub domains: Option<Vec<String>>,
    /// Whether it may do anything.
    pub status: Option<ClientStatus>,
    /// What it pays for.
    pub plan: Option<Plan>,
    /// From where its credentials may be used; from anywhere, if there is none.
    pub ip_ranges: Option<Vec<IpRange>>,
}

/// See [`Command::RotateSecret`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateSecret {
    /// Which client.
    pub client: ClientId,
    /// Its secret from now on, hashed with argon2id.
    pub secret_hash: String,
    /// A refresh token in place of those that it had.
    pub refresh: Option<NewRefreshToken>,
}

impl std::fmt::Debug for RotateSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RotateSecret").field("client", &self.client).finish_non_exhaustive()
    }
}

/// The first refresh token of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRefreshToken {
    /// Its family: 16 random bytes.
    pub family: [u8; 16],
    /// The BLAKE3 hash of its secret, which has 256 random bits.
    pub secret_hash: [u8; 32],
    /// What its access tokens may be allowed at most.
    pub scopes: Vec<Scope>,
    /// How long the family lives without being used, in milliseconds of log time.
    pub idle_ms: u64,
    /// How long the family lives at most, in milliseconds of log time.
    pub life_ms: u64,
}

/// See [`Command::AddRefreshToken`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddRefreshToken {
    /// Whose it is.
    pub client: ClientId,
    /// The token.
    pub token: NewRefreshToken,
}

/// See [`Command::UseRefreshToken`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseRefreshToken {
    /// Whose it is.
    pub client: ClientId,
    /// Its family.
    pub family: [u8; 16],
    /// The BLAKE3 hash of the secret that was shown.
    pub secret_hash: [u8; 32],
    /// The BLAKE3 hash of the secret that is good next.
    pub next_hash: [u8; 32],
}

/// See [`Command::AddAdministrator`]. Its id follows from the request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddAdministrator {
    /// What the operator calls it.
    pub name: String,
    /// The BLAKE3 hash of its token, which has 256 random bits.
    pub token_hash: [u8; 32],
    /// How long the token is good for, in milliseconds of log time; for ever, if `None`.
    pub lifetime_ms: Option<u64>,
}

/// See [`Command::CreateUpload`]. Its id follows from the request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateUpload {
    /// Who begins it.
    pub client: ClientId,
    /// How many bytes it will have.
    pub length: u64,
    /// What it is to become.
    pub target: UploadTarget,
    /// What the client wrote about it.
    pub note: String,
    /// How long it stays open without a piece, in milliseconds of log time.
    pub lifetime_ms: u64,
}

/// See [`Command::AppendUpload`]. The last piece comes with [`Command::CompleteUpload`]: an upload whose bytes are all there is an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendUpload {
    /// Whose it is.
    pub client: ClientId,
    /// Which upload.
    pub upload: UploadId,
    /// How many bytes must be there before.
    pub offset: u64,
    /// The piece.
    pub part: UploadPart,
    /// The nodes that hold it, fsynced and pinned.
    pub holders: Vec<NodeId>,
    /// The log time in Unix milliseconds after which the pins may be gone, so the command comes too late.
    pub pinned_until_ms: u64,
    /// How long the upload stays open from here on, in milliseconds of log time.
    pub lifetime_ms: u64,
}

/// See [`Command::CompleteUpload`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteUpload {
    /// Which upload.
    pub upload: UploadId,
    /// How many bytes of it must be there before.
    pub offset: u64,
    /// All of the content.
    pub put: PutAsset,
    /// Who may read it from here on. `None`: as before, and everybody if the path is new.
    pub visibility: Option<Visibility>,
}

/// See [`Command::EndUpload`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUpload {
    /// Whose it is.
    pub client: ClientId,
    /// Which upload.
    pub upload: UploadId,
}

/// The most assets of one [`Command::DeleteAssets`].
pub const MAX_DELETED_ASSETS: usize = 1_000;

/// See [`Command::DeleteAssets`]. Each is deleted, or not, as if it were asked for alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteAssets {
    /// Who deletes them.
    pub client: ClientId,
    /// Which assets; at most [`MAX_DELETED_ASSETS`].
    pub assets: Vec<AssetRef>,
}

/// What an asset is named by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssetRef {
    /// Its id.
    Id(AssetId),
    /// Its path.
    Path(String),
}
