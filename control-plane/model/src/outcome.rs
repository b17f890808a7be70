//! What became of a command.
//!
//! Kept in the state, hence append-only like the commands.

use serde::{Deserialize, Serialize};

use crate::{
    asset::Asset,
    codec::Record,
    id::{AdministratorId, AssetId, ClientId, NodeId, ZoneId},
    upload::Upload,
    zone::ZoneField,
};

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was carried out, and there is nothing to add.
    Done,
    /// It was not, and the state is as before.
    Rejected(Rejection),
    /// A node has joined.
    NodeAdded(NodeId),
    /// A client was added.
    ClientAdded(ClientId),
    /// The path was free and has this asset now.
    AssetCreated(Asset),
    /// The path had other content, and has this now.
    AssetReplaced(Asset),
    /// The asset is gone.
    AssetDeleted(AssetId),
    /// The asset has another description now.
    AssetPatched(Asset),
    /// The purge has its place in the log.
    Purged,
    /// The asset has another path now.
    AssetMoved(Asset),
    /// The refresh token was used before. No token of its family is good any more.
    RefreshReused,
    /// An administrator was added.
    AdministratorAdded(AdministratorId),
    /// An upload was begun.
    UploadCreated(Upload),
    /// A piece was added to an upload.
    UploadAppended {
        /// How many bytes are there now.
        offset: u64,
        /// When it ends unless more is added, in Unix milliseconds of log time.
        expires_at_ms: u64,
    },
    /// What became of each of several assets, in the order in which they were named.
    AssetsDeleted(Vec<Deletion>),
    /// A zone was made.
    ZoneCreated(ZoneId),
}

/// What became of one of several assets that were to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deletion {
    /// It is gone.
    Deleted(AssetId),
    /// It was not deleted.
    Rejected(Rejection),
}

impl Record for Outcome {
    const KIND: u16 = 0x02;
    const VERSION: u16 = 1;
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The cluster has been initialised before.
    #[error("the cluster is initialised already")]
    AlreadyInitialised,
    /// The cluster has not been initialised.
    #[error("the cluster is not initialised")]
    NotInitialised,
    /// The state is at a level that does not have this command yet.
    #[error("needs schema level {needed}, and the cluster is at {level}: it rises some seconds after every node runs a build that has it")]
    SchemaTooLow {
        /// The level that the command needs.
        needed: u32,
        /// The level of the state.
        level: u32,
    },
    /// A node cannot apply the level.
    #[error(
        "node {node} cannot apply schema level {level}: start it with a build that can (`ncore version` names the levels), and without a \
         lower cluster.schema_level_max"
    )]
    SchemaUnsupported {
        /// Which node.
        node: NodeId,
        /// Which level.
        level: u32,
    },
    /// The level is not the next one.
    #[error("schema levels rise one at a time, and the cluster is at {level}")]
    SchemaNotNext {
        /// The level of the state.
        level: u32,
    },
    /// The request is older than answers are kept, so whether it was done before cannot be known.
    #[error("the request is too old to be told from a new one")]
    RequestExpired,
    /// The idempotency key was used for a request with another payload.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// No such join token: never made, revoked, or expired and forgotten.
    #[error("no such join token")]
    TokenUnknown,
    /// The join token has expired.
    #[error("the join token has expired")]
    TokenExpired,
    /// The join token is bound to another region.
    #[error("the join token is for another region")]
    TokenRegion,
    /// No such node.
    #[error("no such node")]
    NodeUnknown,
    /// The node was removed.
    #[error("node {0} was removed")]
    NodeRemoved(NodeId),
    /// Another node has this name.
    #[error("another node has this name")]
    NodeNameTaken,
    /// An older start of the node, or an older report, than the state knows.
    #[error("a newer start or report of this node is known")]
    Superseded,
    /// The report has more exceptions than a report may have.
    #[error("the report has too many exceptions")]
    TooManyExceptions,
    /// No such client.
    #[error("no such client")]
    ClientUnknown,
    /// The client may not write now.
    #[error("the client may not write")]
    ClientBlocked,
    /// No such asset.
    #[error("no such asset")]
    AssetUnknown,
    /// The asset belongs to another client.
    #[error("the asset belongs to another client")]
    AssetOfOther,
    /// The precondition does not hold.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// The command came after the pins of its copies may have ended.
    #[error("the command came too late for its copies")]
    TooLate,
    /// Too few of the nodes that hold the content are still of the cluster.
    #[error("a node that holds a copy was removed")]
    HolderRemoved,
    /// A text is longer than a row may hold.
    #[error("a field is too long")]
    FieldTooLong,
    /// As many nodes as the join token is for have joined with it.
    #[error("the join token is spent")]
    TokenSpent,
    /// The client has as many rules of placement as it may have.
    #[error("the client has too many rules of placement")]
    TooManyPlacements,
    /// The client has no rule of placement for this prefix.
    #[error("the client has no placement for this prefix")]
    PlacementUnknown,
    /// Something stands at the path that an asset is to be moved to.
    #[error("there is an asset at this path already")]
    PathTaken,
    /// The path of the asset says that it is restricted.
    #[error("an asset whose path begins with restricted/ is restricted: move it, to make it public")]
    VisibilityFixed,
    /// The client would have more bytes than its plan allows.
    #[error("the storage quota of the client is {quota} bytes, of which {used} are used")]
    StorageQuota {
        /// How many bytes the plan allows.
        quota: u64,
        /// How many there are.
        used: u64,
    },
    /// The client still has assets.
    #[error("the client has assets; delete them first")]
    ClientHasAssets,
    /// No such refresh token: never made, revoked, used when it was not the newest of its family, or expired.
    #[error("no such refresh token")]
    RefreshUnknown,
    /// The client has as many refresh tokens as it may have.
    #[error("the client has too many refresh tokens; revoke one, or rotate its secret, which ends them all")]
    TooManyRefreshTokens,
    /// No such signing key.
    #[error("no such signing key")]
    SigningKeyUnknown,
    /// No such administrator.
    #[error("no such administrator")]
    AdministratorUnknown,
    /// There are as many administrators as there may be.
    #[error("there are too many administrators")]
    TooManyAdministrators,
    /// No such upload of this client: never begun, ended, or expired.
    #[error("no such upload")]
    UploadUnknown,
    /// Another number of bytes is there.
    #[error("{offset} bytes of the upload are there")]
    UploadOffset {
        /// How many are.
        offset: u64,
    },
    /// The bytes are more, or fewer, than the upload is to have.
    #[error("the upload has another length")]
    UploadLength,
    /// The client has as many open uploads as it may have.
    #[error("the client has too many open uploads, or their content is too large together")]
    TooManyUploads,
    /// The upload has as many pieces as it may have.
    #[error("the upload came in too many pieces")]
    TooManyParts,
    /// There were as many purges of the subject as there may be.
    #[error("there were as many purges as there may be; in {after_ms} ms there may be one more")]
    TooManyPurges {
        /// In how many milliseconds of log time there may be one more.
        after_ms: u64,
    },
    /// The client has no such zone.
    #[error("no such zone")]
    ZoneUnknown,
    /// Another zone, another client or a node has this host name.
    #[error("the host name {host} is taken")]
    HostTaken {
        /// Which name.
        host: String,
    },
    /// No zone may be like that.
    #[error("{}: {}", field.as_str(), field.rule())]
    ZoneInvalid {
        /// What is wrong about it.
        field: ZoneField,
    },
    /// The client has as many zones as its plan allows.
    #[error("the client may have {quota} zones")]
    TooManyZones {
        /// How many that is.
        quota: u32,
    },
    /// The client still has zones.
    #[error("the client has zones; remove them first")]
    ClientHasZones,
}
