//! What can go wrong between machines.

use std::time::Duration;

use ncore_model::NodeId;
use ncore_store::StoreError;
use tonic::{Code, Status};

use crate::peers::PeerError;

/// Why one call to one peer gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection to it.
    #[error("no connection")]
    Peer(#[source] PeerError),
    /// It answered with an error, or the connection broke.
    #[error("the call failed")]
    Failed(#[source] Status),
    /// It did not answer in time. What was asked may have been done.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// Its answer makes no sense: a fault of its software, or a newer version.
    #[error("the answer cannot be understood: {0}")]
    Malformed(&'static str),
}

impl CallError {
    /// Whether the peer itself says that it does not have what was asked for.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Failed(status) if status.code() == Code::NotFound)
    }

    /// Whether the peer found its own copy damaged.
    pub(crate) fn is_data_loss(&self) -> bool {
        matches!(self, Self::Failed(status) if status.code() == Code::DataLoss)
    }
}

/// What the peers that were asked answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// They do not have it.
    pub absent: u32,
    /// They could not be reached, or broke off.
    pub failed: u32,
    /// They sent bytes that failed verification, or found their own copy damaged.
    pub corrupt: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.absent += other.absent;
        self.failed += other.failed;
        self.corrupt += other.corrupt;
    }
}

/// Why no peer gave the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There is no other node.
    #[error("there is no other node to ask")]
    NoPeers,
    /// All were asked. Worth a retry later.
    #[error("no peer gave the content: {} do not have it, {} failed, {} are damaged", .0.absent, .0.failed, .0.corrupt)]
    Exhausted(Tally),
    /// Time was up before all were asked. Worth a retry.
    #[error("no peer gave the content in time: {} do not have it, {} failed, {} are damaged", .0.absent, .0.failed, .0.corrupt)]
    Deadline(Tally),
    /// As many fetches as may are under way. Worth a retry.
    #[error("too many fetches are under way")]
    Busy,
}

impl FetchError {
    /// Whether there were copies, and every one that was found is damaged.
    #[must_use]
    pub const fn is_corrupt(&self) -> bool {
        matches!(self, Self::Exhausted(tally) if tally.corrupt > 0 && tally.failed == 0)
    }
}

/// Why a blob did not come into the store.
#[derive(Debug, thiserror::Error)]
pub enum FetchBlobError {
    /// The peers did not give it. What came of it stays and is taken up by the next fetch.
    #[error("the peers did not give the blob")]
    Peers(#[source] FetchError),
    /// Another task is fetching it into the store. Wait for that one.
    #[error("the blob is being fetched already")]
    InProgress,
    /// The store did not take it.
    #[error("the store did not take the blob")]
    Store(#[source] StoreError),
}

/// Why one peer did not give what it was asked for, for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TryError {
    /// The call failed.
    #[error("the fetch failed")]
    Call(#[source] CallError),
    /// It sent a frame that failed verification.
    #[error("it sent a bad frame")]
    BadFrame(#[source] ncore_store::VerifyError),
    /// It sent another slice than the one that is due.
    #[error("it sent slice {sent} where slice {due} is due")]
    WrongSlice {
        /// The slice that it named.
        sent: u64,
        /// The slice that is due.
        due: u64,
    },
    /// It ended the stream early.
    #[error("it ended the stream early")]
    Short,
}

impl TryError {
    /// How it counts.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        let counter = match self {
            Self::BadFrame(_) | Self::WrongSlice { .. } => &mut tally.corrupt,
            Self::Call(call) if call.is_data_loss() => &mut tally.corrupt,
            Self::Call(call) if call.is_absent() => &mut tally.absent,
            Self::Call(_) | Self::Short => &mut tally.failed,
        };
        *counter = 1;
        tally
    }

    /// Writes it down, as loud as it deserves.
    pub(crate) fn log(&self, node: NodeId, hash: &blake3::Hash) {
        let error = self as &dyn std::error::Error;
        match self {
            Self::BadFrame(_) | Self::WrongSlice { .. } => {
                tracing::warn!(%node, %hash, error, "a peer sent bytes that are not the blob");
            }
            Self::Call(call) if call.is_absent() => tracing::trace!(%node, %hash, "a peer does not have the blob"),
            Self::Call(_) | Self::Short => tracing::debug!(%node, %hash, error, "a peer did not give the blob"),
        }
    }
}
