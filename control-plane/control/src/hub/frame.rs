//! Runs of committed entries as they cross the wire: encoded once by a hub, for all its children.

use bytes::Bytes;
use ncore_proto::hub::v1 as wire;
use ncore_raft::{CommittedEntry, CommittedPayload, LogPosition};
use prost::Message;

/// A run of entries without holes, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    first: u64,
    last: u64,
    batch: Bytes,
}

/// Bytes are not a run of entries. The stream that brought them ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// They are no message of the protocol.
    #[error("the batch does not decode")]
    Batch(#[source] prost::DecodeError),
    /// An entry says nothing that this version understands.
    #[error("entry {index} has no payload that this version knows")]
    Payload {
        /// Which entry.
        index: u64,
    },
    /// The entries are not those that the frame announces.
    #[error("entry {found} where {expected} belongs")]
    Order {
        /// The index that belongs there.
        expected: u64,
        /// The index that is there.
        found: u64,
    },
}

impl Frame {
    /// Encodes entries that follow each other; `None` if there are none.
    pub(crate) fn encode(entries: &[CommittedEntry]) -> Option<Self> {
        let (first, last) = (entries.first()?.position.index, entries.last()?.position.index);
        let batch = wire::Batch { entries: entries.iter().map(to_wire).collect() };
        Some(Self { first, last, batch: batch.encode_to_vec().into() })
    }

    /// Index of the first entry.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Index of the entry after the last.
    pub(crate) fn end(&self) -> u64 {
        self.last + 1
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        self.batch.len()
    }

    /// The part from `next` on, for a child that has the rest.
    ///
    /// # Errors
    /// [`FrameError`]: never for a frame that was encoded here.
    pub(crate) fn from(&self, next: u64) -> Result<Option<Self>, FrameError> {
        if next <= self.first {
            return Ok(Some(self.clone()));
        }
        let mut entries = decode(&self.to_wire())?;
        entries.retain(|entry| entry.position.index >= next);
        Ok(Self::encode(&entries))
    }

    /// The message. The entries are shared, not copied.
    pub(crate) fn to_wire(&self) -> wire::Entries {
        wire::Entries { first: self.first, last: self.last, batch: self.batch.clone() }
    }
}

/// The entries of a message, checked to be the run that it announces.
///
/// # Errors
/// [`FrameError`].
pub(crate) fn decode(entries: &wire::Entries) -> Result<Vec<CommittedEntry>, FrameError> {
    let batch = wire::Batch::decode(entries.batch.clone()).map_err(FrameError::Batch)?;
    let decoded: Vec<CommittedEntry> = batch.entries.into_iter().map(from_wire).collect::<Result<_, _>>()?;
    let mut expected = entries.first;
    for entry in &decoded {
        let found = entry.position.index;
        if found != expected {
            return Err(FrameError::Order { expected, found });
        }
        expected += 1;
    }
    match expected.checked_sub(1) {
        Some(last) if last == entries.last && !decoded.is_empty() => Ok(decoded),
        _ => Err(FrameError::Order { expected: entries.last, found: expected }),
    }
}

fn to_wire(entry: &CommittedEntry) -> wire::Entry {
    let payload = match &entry.payload {
        CommittedPayload::Blank => wire::entry::Payload::Blank(wire::Blank {}),
        CommittedPayload::Command(bytes) => wire::entry::Payload::Command(bytes.clone()),
        CommittedPayload::Membership(bytes) => wire::entry::Payload::Membership(bytes.clone()),
    };
    let LogPosition { term, node, index } = entry.position;
    wire::Entry { term, node, index, payload: Some(payload) }
}

fn from_wire(entry: wire::Entry) -> Result<CommittedEntry, FrameError> {
    let payload = match entry.payload {
        Some(wire::entry::Payload::Blank(_)) => CommittedPayload::Blank,
        Some(wire::entry::Payload::Command(bytes)) => CommittedPayload::Command(bytes),
        Some(wire::entry::Payload::Membership(bytes)) => CommittedPayload::Membership(bytes),
        None => return Err(FrameError::Payload { index: entry.index }),
    };
    Ok(CommittedEntry { position: LogPosition { term: entry.term, node: entry.node, index: entry.index }, payload })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{CommittedEntry, CommittedPayload, Frame, FrameError, LogPosition, decode, wire};

    /// A run of commands, each of `size` bytes.
    pub(crate) fn run(indices: std::ops::Range<u64>, size: usize) -> Vec<CommittedEntry> {
        let entry = |index: u64| CommittedEntry {
            position: LogPosition { term: 1, node: 1, index },
            payload: CommittedPayload::Command(vec![u8::try_from(index % 251).expect("is small"); size].into()),
        };
        indices.map(entry).collect()
    }

    #[test]
    fn entries_come_back_whole_and_in_part() {
        let mut entries = run(5..9, 10);
        entries[1].payload = CommittedPayload::Blank;
        entries[2].payload = CommittedPayload::Membership(vec![7; 3].into());
        let frame = Frame::encode(&entries).expect("is not empty");
        assert_eq!((frame.first(), frame.end()), (5, 9));
        assert_eq!(decode(&frame.to_wire()), Ok(entries.clone()));
        for next in 0..12u64 {
            let rest: Vec<_> = entries.iter().filter(|entry| entry.position.index >= next).cloned().collect();
            assert_eq!(frame.from(next).expect("decodes"), Frame::encode(&rest), "from {next}");
        }
    }

    #[test]
    fn holes_lies_and_the_unknown_are_refused() {
        let frame = Frame::encode(&[run(5..6, 1), run(7..8, 1)].concat()).expect("is not empty");
        assert_eq!(decode(&frame.to_wire()), Err(FrameError::Order { expected: 6, found: 7 }));
        let good = Frame::encode(&run(5..8, 1)).expect("is not empty").to_wire();
        assert!(decode(&wire::Entries { last: 8, ..good.clone() }).is_err());
        assert!(decode(&wire::Entries { first: 4, ..good }).is_err());
        assert!(decode(&wire::Entries { first: 1, last: 0, batch: Vec::new().into() }).is_err());
        let unknown = wire::Batch { entries: vec![wire::Entry { term: 1, node: 1, index: 5, payload: None }] };
        let unknown = wire::Entries { first: 5, last: 5, batch: prost::Message::encode_to_vec(&unknown).into() };
        assert_eq!(decode(&unknown), Err(FrameError::Payload { index: 5 }));
    }
}
