//! Raft, behind a handle of our own.
//!
//! The only crate that names openraft, and none of its types appears in what is public here. It replicates opaque commands
//! to a [`StateMachine`], keeps the log and the snapshots on disk, and talks to its peers over connections somebody else
//! makes and verifies. It does not know what a command means, who may propose one, or which node should lead.
//!
//! ```text
//!        RaftNode ──── propose, read_index, membership, status
//!           │
//!        openraft ───────────────┬──────────────────────────┐
//!           │                    │                          │
//!        log store            machine adapter            network
//!        RocksDB, group       batches to StateMachine    Append, Vote, ReadIndex
//!        commit, ring         checkpoints as snapshots   snapshot files, pulled
//! ```
//!
//! What cannot be repaired (a failed fsync, a damaged record, a state machine that gives up) ends in
//! [`RaftNode::fatal`], and the process has to end with it.

mod checkpoint;
mod closing;
mod config;
mod convert;
mod error;
mod fatal;
mod leaders;
mod log;
mod machine;
mod network;
mod node;
mod receive;
mod record;
mod recover;
mod snapshot;
mod status;
mod types;

#[cfg(test)]
extern crate self as ncore_raft;
#[cfg(test)]
#[path = "../tests/support/machine.rs"]
mod test_machine;

pub use checkpoint::{Checkpoint, CheckpointError, CheckpointPuller};
pub use config::{ConfigError, RaftConfig};
pub use error::{ChangeError, EntriesError, InitializeError, OpenError, ProposeError, ReadError, TransferError, WaitError};
pub use fatal::FatalReason;
pub use leaders::Leaders;
pub use machine::{AppliedMark, CommittedEntry, CommittedPayload, Fatal, LogPosition, StateMachine};
pub use network::{ConnectError, Lane, PeerConnector, PeerIdentity, RaftService};
pub use node::{Proposed, RaftNode};
pub use record::RecordError;
pub use recover::{LogExtent, NewLog, StoppedLog, begin_log};
pub use status::{Members, MembershipStamp, PeerStatus, RaftStatus, Role, StatusWatch};

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

/// The gRPC service that other nodes of the cluster call. The server must put a [`PeerIdentity`] into each request.
///
/// As long as the slot is empty every call is answered with `UNAVAILABLE`: a node that takes no part in Raft now may do so later.
pub fn service(slot: &Arc<OnceLock<RaftNode>>) -> ncore_proto::raft::v1::raft_server::RaftServer<RaftService> {
    ncore_proto::raft::v1::raft_server::RaftServer::new(RaftService::new(Arc::clone(slot)))
        .max_decoding_message_size(network::MAX_MESSAGE)
        .max_encoding_message_size(network::MAX_MESSAGE)
}

/// Who belongs to the Raft group, according to a mark of the state machine: what a node knows that takes no part in it.
///
/// # Errors
/// If the bytes are not those of a membership.
pub fn members_of(mark: &AppliedMark) -> Result<Members, RecordError> {
    Ok(Members::from_stored(&convert::membership_of_bytes(&mark.membership)?))
}

/// Whether a node was ever opened in this directory.
pub fn has_log(dir: &Path) -> bool {
    dir.join(node::LOG).exists()
}
