//! Between openraft's types and our own messages, which are what disks and wires hold.
//!
//! Decoding is strict about presence: a position without its parts or a vote that is absent is an error, not a default.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ncore_proto::raft::v1 as pb;
use openraft::{EntryPayload, alias::SnapshotMetaOf};

use crate::{
    machine::LogPosition,
    record::{self, Kind, RecordError},
    types::{Command, Entry, LeaderId, LogId, Membership, Node, Payload, SnapshotMeta, StoredMembership, TypeConfig, Vote},
};

pub(crate) fn log_id_to(id: &LogId) -> pb::LogId {
    pb::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn log_id_from(id: pb::LogId) -> LogId {
    LogId { leader_id: LeaderId { term: id.term, node_id: id.node }, index: id.index }
}

pub(crate) fn position_of(id: &LogId) -> LogPosition {
    LogPosition { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn log_id_at(position: LogPosition) -> LogId {
    LogId { leader_id: LeaderId { term: position.term, node_id: position.node }, index: position.index }
}

pub(crate) fn vote_to(vote: &Vote) -> pb::Vote {
    pb::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn vote_from(vote: pb::Vote) -> Vote {
    Vote { leader_id: LeaderId { term: vote.term, node_id: vote.node }, committed: vote.committed }
}

pub(crate) fn membership_to(membership: &Membership) -> pb::Membership {
    pb::Membership {
        voter_sets: membership.get_joint_config().iter().map(|voters| pb::VoterSet { voters: voters.iter().copied().collect() }).collect(),
        members: membership.nodes().map(|(id, node)| pb::Member { node: *id, address: node.addr.clone() }).collect(),
    }
}

pub(crate) fn membership_from(membership: pb::Membership) -> Result<Membership, RecordError> {
    let voter_sets: Vec<BTreeSet<u64>> = membership.voter_sets.into_iter().map(|set| set.voters.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, Node> = membership.members.into_iter().map(|member| (member.node, Node::new(member.address))).collect();
    Membership::new(voter_sets, nodes).map_err(|_| RecordError::Field("membership"))
}

pub(crate) fn stored_membership_to(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership { at: stored.log_id().as_ref().map(log_id_to), membership: Some(membership_to(stored.membership())) }
}

pub(crate) fn stored_membership_from(stored: pb::StoredMembership) -> Result<StoredMembership, RecordError> {
    let membership = stored.membership.ok_or(RecordError::Field("membership"))?;
    Ok(StoredMembership::new(stored.at.map(log_id_from), membership_from(membership)?))
}

/// The membership as the state machine keeps it, opaque to it.
pub(crate) fn membership_bytes(stored: &StoredMembership) -> Bytes {
    record::encode(Kind::Membership, &stored_membership_to(stored)).into()
}

/// The reverse of [`membership_bytes`]. No bytes mean: no membership yet.
pub(crate) fn membership_of_bytes(bytes: &Bytes) -> Result<StoredMembership, RecordError> {
    if bytes.is_empty() {
        return Ok(StoredMembership::default());
    }
    stored_membership_from(record::decode(Kind::Membership, bytes)?)
}

pub(crate) fn meta_to(meta: &SnapshotMeta) -> pb::SnapshotMeta {
    pb::SnapshotMeta { last_log: meta.last_log_id.as_ref().map(log_id_to), membership: Some(stored_membership_to(&meta.last_membership)) }
}

pub(crate) fn meta_from(meta: pb::SnapshotMeta) -> Result<SnapshotMeta, RecordError> {
    let membership = meta.membership.ok_or(RecordError::Field("membership"))?;
    Ok(SnapshotMetaOf::<TypeConfig> { last_log_id: meta.last_log.map(log_id_from), last_membership: stored_membership_from(membership)? })
}

pub(crate) fn entry_to(entry: &Entry) -> pb::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => pb::entry::Payload::Blank(pb::entry::Blank {}),
        EntryPayload::Normal(command) => pb::entry::Payload::Command(command.0.clone()),
        EntryPayload::Membership(membership) => pb::entry::Payload::Membership(membership_to(membership)),
    };
    pb::Entry { id: Some(log_id_to(&entry.log_id)), payload: Some(payload) }
}

pub(crate) fn entry_from(entry: pb::Entry) -> Result<Entry, RecordError> {
    let payload: Payload = match entry.payload.ok_or(RecordError::Field("payload"))? {
        pb::entry::Payload::Blank(_) => EntryPayload::Blank,
        pb::entry::Payload::Command(command) => EntryPayload::Normal(Command(command)),
        pb::entry::Payload::Membership(membership) => EntryPayload::Membership(membership_from(membership)?),
    };
    Ok(Entry { log_id: log_id_from(entry.id.ok_or(RecordError::Field("id"))?), payload })
}
