//! The openraft types this crate is built on, under short names.
//!
//! Nothing here is public and nothing here is written to a disk or a wire: `record` and `convert` own those shapes, so a
//! new openraft cannot change them.

use std::fmt;

use bytes::Bytes;
use openraft::alias;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::machine::MachineAdapter;

/// A replicated command. Its bytes mean nothing to this crate.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Bytes);

/// What the state machine answered to one entry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Outcome(pub(crate) Bytes);

openraft::declare_raft_types!(
    /// The choice of openraft's type parameters.
    pub(crate) TypeConfig:
        D = Command,
        R = Outcome,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, MachineAdapter>;
pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type LeaderId = alias::LeaderIdOf<TypeConfig>;
pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type Payload = alias::PayloadOf<TypeConfig>;
pub(crate) type Node = alias::NodeOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Node>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = alias::SmSnapshotOf<TypeConfig, MachineAdapter>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;
pub(crate) type MetricsWatch = alias::WatchReceiverOf<TypeConfig, Metrics>;
pub(crate) type ServerMetricsWatch = alias::WatchReceiverOf<TypeConfig, openraft::metrics::RaftServerMetrics<TypeConfig>>;
pub(crate) type RpcError = openraft::errors::RPCError<TypeConfig>;

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} bytes)", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outcome({} bytes)", self.0.len())
    }
}

// openraft's `serde` feature demands these of every command and outcome. This crate never calls them.

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|bytes| Self(bytes.into()))
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|bytes| Self(bytes.into()))
    }
}
