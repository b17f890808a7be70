//! The replica as the state machine that Raft drives.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use ncore_model::{Applied, encode};
use ncore_raft::{AppliedMark, CommittedEntry, CommittedPayload, Fatal, LogPosition, StateMachine};
use ncore_replica::{Entry, Replica, ReplicaError};

/// The length of a position in the mark: term, node and index.
const POSITION_LEN: usize = 24;

/// The replica, fed by Raft.
pub(crate) struct ReplicaMachine(pub(crate) Arc<Replica>);

impl StateMachine for ReplicaMachine {
    fn applied(&self) -> Result<AppliedMark, Fatal> {
        self.0
            .mark()
            .map_err(|error| Fatal::new("read its mark", error))?
            .map_or_else(|| Ok(AppliedMark::default()), |mark| read_mark(&mark))
    }

    fn apply(&self, batch: Vec<CommittedEntry>) -> Result<Vec<Bytes>, Fatal> {
        let mut mark = self.applied()?;
        for entry in &batch {
            mark.position = Some(entry.position);
            if let CommittedPayload::Membership(membership) = &entry.payload {
                mark.membership = membership.clone();
            }
        }
        let entries: Vec<Entry<'_>> = batch
            .iter()
            .map(|entry| Entry {
                index: entry.position.index,
                proposal: match &entry.payload {
                    CommittedPayload::Command(bytes) => Some(bytes),
                    CommittedPayload::Blank | CommittedPayload::Membership(_) => None,
                },
            })
            .collect();
        let applied = self.0.apply(&entries, &write_mark(&mark)).map_err(|error| Fatal::new("apply entries", error))?;
        applied
            .into_iter()
            .map(|applied| match applied {
                None => Ok(Bytes::new()),
                Some(applied) => answer(&applied),
            })
            .collect()
    }

    fn checkpoint(&self, dir: &Path) -> Result<AppliedMark, Fatal> {
        self.0.checkpoint(dir).map_err(|error| Fatal::new("make a checkpoint", error))?;
        let mark = Replica::mark_of_checkpoint(dir).map_err(|error| Fatal::new("read the mark of a checkpoint", error))?;
        mark.map_or_else(|| Ok(AppliedMark::default()), |mark| read_mark(&mark))
    }

    fn install(&self, dir: &Path) -> Result<(), Fatal> {
        self.0.install(dir).map_err(|error| Fatal::new("install a checkpoint", error))
    }
}

/// What the leader answers a proposal with: where it was first applied, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) lineage: u32,
    pub(crate) index: u64,
    pub(crate) outcome: Bytes,
}

impl Answer {
    /// `None` if it is not one.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let (lineage, rest) = bytes.split_first_chunk::<4>()?;
        let (index, _) = rest.split_first_chunk::<8>()?;
        Some(Self { lineage: u32::from_be_bytes(*lineage), index: u64::from_be_bytes(*index), outcome: bytes.slice(12..) })
    }
}

fn answer(applied: &Applied) -> Result<Bytes, Fatal> {
    let outcome = encode(&applied.outcome).map_err(|error| Fatal::new("encode an outcome", error))?;
    Ok([applied.lineage.to_be_bytes().as_slice(), &applied.index.to_be_bytes(), &outcome].concat().into())
}

/// Position (24 bytes, zero for none: no entry has term 0 and node 0), then the membership.
fn write_mark(mark: &AppliedMark) -> Vec<u8> {
    let position = mark.position.unwrap_or(LogPosition { term: 0, node: 0, index: 0 });
    let numbers = [position.term, position.node, position.index];
    numbers.iter().flat_map(|number| number.to_be_bytes()).chain(mark.membership.iter().copied()).collect()
}

fn read_mark(mark: &[u8]) -> Result<AppliedMark, Fatal> {
    let Some((position, membership)) = mark.split_at_checked(POSITION_LEN) else {
        return Err(Fatal::new("read its mark", ReplicaError::Mark));
    };
    let number = |at: usize| position[at..at + 8].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let position = LogPosition { term: number(0), node: number(8), index: number(16) };
    let empty = position.node == 0 && position.term == 0;
    Ok(AppliedMark { position: (!empty).then_some(position), membership: Bytes::copy_from_slice(membership) })
}

#[cfg(test)]
mod tests {
    use super::{AppliedMark, LogPosition, read_mark, write_mark};

    #[test]
    fn marks_come_back() {
        let marks = [
            AppliedMark::default(),
            AppliedMark { position: Some(LogPosition { term: 0, node: 1, index: 0 }), membership: vec![1, 2].into() },
            AppliedMark { position: Some(LogPosition { term: u64::MAX, node: 7, index: 1 << 40 }), membership: vec![].into() },
        ];
        for mark in marks {
            assert_eq!(read_mark(&write_mark(&mark)).expect("reads"), mark);
        }
        assert!(read_mark(&[0; 23]).is_err());
    }
}
