//! What a customer or an operator can do with a node, once, for every API family.
//!
//! An API family authenticates in its own way, calls this, and renders the answer; it decides nothing. What is here knows the
//! control plane by a narrow trait, the bytes of this machine, and the bytes of other machines by a trait of its own. It
//! knows no HTTP.
//!
//! ```text
//!   Domain
//!    ├─ clients()   add, list, let or not let them act; check a secret
//!    ├─ tokens()    access tokens, refresh tokens, and their end
//!    ├─ signer()    addresses that a client signs, for those whom it lets read
//!    ├─ signing_keys()    the keys that sign them, as they come and go
//!    ├─ administrators()  who manages clients over the API
//!    ├─ sessions()  administrators who look at this node with a browser
//!    ├─ uploads()   begin ─► write… ─► finish: the content on enough nodes, then the change in the log; whole, or in pieces
//!    ├─ assets()    list, get, patch, move, delete, purge, and which node holds what
//!    ├─ public()    what anybody may know: the public index, and the directory of clients
//!    ├─ usage()     what a client used, by hour and by day
//!    ├─ zones()     make, list, change, remove and purge the zones of a client
//!    └─ status()    what this node says of itself
//! ```
//!
//! ## Invariants
//!
//! 1. **Nothing is acknowledged that is not committed**, and an upload not before its content is durable on enough nodes.
//! 2. **Three ends of a change**: done (or rejected, which changes nothing), `unavailable` (did not happen), `unknown` (may
//!    happen). The third is never reported as one of the others, and keeps every pin.
//! 3. **Answers have a revision**: what is read is read in one view, and the answer says which.
//! 4. **`replicated` comes from the reports of the nodes** in that view, and from nothing else.
//! 5. **Nobody is let in on an old view**: credentials are checked only while this node is fresh, and what ends them is answered when
//!    no node accepts them any more.
//! 6. **A secret is shown once**, when it is made; it is nowhere in logs or in `Debug` output.

mod acknowledge;
mod asset;
mod clock;
mod cluster;
mod copies;
mod credentials;
mod domain;
mod error;
mod logs;
mod once;
pub mod percent;
mod placement;
mod public;
mod settings;
mod status;
mod upload;
mod usage;
mod zones;

pub use acknowledge::{AckLevel, Acknowledged};
pub use asset::{AssetChanges, AssetDetails, AssetList, Assets, CopyStatus, DeletedAssets, ListRequest, NodeCopy, Purged, Replication};
pub use clock::{Clock, SystemClock};
pub use cluster::Seen;
pub use copies::{BlobAt, Copies, CopyError, Fan, FanOrder, HeldCopy};
pub use credentials::{
    Administrators, CalledFrom, ClientDetails, Clients, DenialReason, Denials, Fenced, IssuedToken, KeyUse, NewClient, NewSecret,
    NewSession, Principal, Reach, Refreshed, Registration, Revoked, Roster, RosterRow, SIGNED_LIFETIME_MAX_S, SIGNING_KEYS_TENDED_EVERY,
    Sessions, SignedAddress, SignedIn, SignedUrlError, Signer, SigningKeys, TOKEN_LIFETIME_S, TokenFacts, Tokens, is_signed, parse_network,
};
pub use domain::{Domain, DomainParts};
pub use error::{
    AddClientError, AdministratorError, AssetError, AuthenticateError, ChangeError, Denied, IssueError, RefreshError, ResumableError,
    RevisionError, RevokeError, SignError, SignInError, SigningKeyError, StateError, TokenError, UploadError, VisitError, ZoneError,
};
pub use logs::{
    Follower, FoundLog, LogEntry, LogNode, LogPage, LogParts, LogPeerError, LogPeers, Logs, News, NodeAnswer, SinceLog, Viewer,
};
pub use once::{OnceKey, OnceKeyError};
pub use placement::{PlacementRules, RuleStatus};
pub use public::{Directory, DirectoryEntry, Public, PublicAsset, PublicIndex};
pub use settings::Settings;
pub use status::{NodeStatus, Standing};
pub use upload::{
    MediaType, MediaTypeError, NewUpload, PINS_HOLD_MS, Pieces, Received, Receiver, UploadMeta, UploadSession, UploadStart, Uploaded,
    Uploads,
};
pub use usage::{UsageRange, UsageRangeError, UsageRecords, UsageStep};
pub use zones::{
    AskedNodes, BadQuestion, ExplainError, ExplainNodes, Explains, NewZone, PurgedZone, ShownZone, ZoneChange, ZoneExplained, ZoneList,
    ZonePurgeList, ZonePurgeState, ZoneQuestion, Zones, purge_target,
};
