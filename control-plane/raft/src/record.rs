//! The envelope of everything this crate keeps on disk, and its one codec.
//!
//! ```text
//! | magic 1 | format 1 | kind 2 | version 2 | length 4 | payload ... | crc32c 4 |
//! ```
//!
//! Integers are little-endian; the checksum covers all that precedes it. The payload is a protobuf message of ours that
//! mirrors openraft's types, so that an openraft upgrade cannot change a byte on disk. A record of an unknown kind or
//! version, or one byte too long, is an error and never skipped: the log and the vote are what the cluster's promises
//! rest on.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;

/// What a record holds. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Kind {
    /// One log entry.
    Entry = 1,
    /// The node's vote.
    Vote = 2,
    /// Position of the last purged entry.
    Purged = 3,
    /// Position of the last entry known to be committed.
    Committed = 4,
    /// A snapshot's description: position, membership, files.
    Snapshot = 5,
    /// A membership as the state machine keeps it.
    Membership = 6,
    /// Whose log this is.
    Identity = 7,
}

/// Whose log a directory holds. Only on disk, hence not in the `.proto` files.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Identity {
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) cluster_id: Bytes,
    #[prost(uint64, tag = "2")]
    pub(crate) node: u64,
}

/// Why stored bytes cannot be read. Always corruption, or data of a newer version; retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer or more bytes than the header announces.
    #[error("the record has {found} bytes where {expected} belong")]
    Length {
        /// What the header announces, envelope included.
        expected: usize,
        /// What is there.
        found: usize,
    },
    /// The first byte is not ours.
    #[error("the record does not start with the magic byte")]
    Magic,
    /// An envelope of another format.
    #[error("unknown envelope format {0}")]
    Format(u8),
    /// Another kind of record than the place should hold.
    #[error("a record of kind {found} where kind {expected} belongs")]
    Kind {
        /// The kind that belongs here.
        expected: u16,
        /// The kind found.
        found: u16,
    },
    /// Written by a newer version of this software.
    #[error("version {found} of record kind {kind} is unknown")]
    Version {
        /// The record's kind.
        kind: u16,
        /// Its version.
        found: u16,
    },
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// The payload is not the message it should be.
    #[error("the payload does not decode")]
    Payload(#[source] prost::DecodeError),
    /// A field without which the message means nothing is absent.
    #[error("the field `{0}` is absent or malformed")]
    Field(&'static str),
}

/// Wraps `message` into a record of `kind`.
pub(crate) fn encode(kind: Kind, message: &impl Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut record = Vec::with_capacity(HEADER + length + CHECKSUM);
    record.put_u8(MAGIC);
    record.put_u8(FORMAT);
    record.put_u16_le(kind as u16);
    record.put_u16_le(VERSION);
    record.put_u32_le(u32::try_from(length).expect("records stay below the message limit"));
    message.encode(&mut record).expect("a vector grows");
    let checksum = crc32c::crc32c(&record);
    record.put_u32_le(checksum);
    record
}

/// Unwraps a record of `kind`. `bytes` fields of the message share the memory of `record`.
pub(crate) fn decode<M: Message + Default>(kind: Kind, record: &Bytes) -> Result<M, RecordError> {
    let found = record.len();
    if found < HEADER + CHECKSUM {
        return Err(RecordError::Length { expected: HEADER + CHECKSUM, found });
    }
    let mut header = &record[..HEADER];
    if header.get_u8() != MAGIC {
        return Err(RecordError::Magic);
    }
    let format = header.get_u8();
    if format != FORMAT {
        return Err(RecordError::Format(format));
    }
    let (found_kind, version, length) = (header.get_u16_le(), header.get_u16_le(), header.get_u32_le() as usize);
    let expected = HEADER.saturating_add(length).saturating_add(CHECKSUM);
    if found != expected {
        return Err(RecordError::Length { expected, found });
    }
    let (covered, mut checksum) = record.split_at(found - CHECKSUM);
    if crc32c::crc32c(covered) != checksum.get_u32_le() {
        return Err(RecordError::Checksum);
    }
    if found_kind != kind as u16 {
        return Err(RecordError::Kind { expected: kind as u16, found: found_kind });
    }
    if version != VERSION {
        return Err(RecordError::Version { kind: found_kind, found: version });
    }
    M::decode(record.slice(HEADER..found - CHECKSUM)).map_err(RecordError::Payload)
}

const MAGIC: u8 = 0xCD;
const FORMAT: u8 = 1;
/// All kinds are at their first version. A kind that gets a second one gets a function from the first to it.
const VERSION: u16 = 1;
const HEADER: usize = 10;
const CHECKSUM: usize = 4;

#[cfg(test)]
mod tests;
