//! The shape of every record that is persisted or that travels in the replicated log.
//!
//! ```text
//!   0      1        2..4    4..6      6..10    10..          last 4
//!   0xCD   format   kind    version   length   payload       crc32c of all before
//!          (1)      u16 LE  u16 LE    u32 LE   bincode       u32 LE
//! ```
//!
//! bincode is not self-describing: a record with a field more decodes, silently, as the record without it. So the version
//! stands in the envelope, a record of a version is never changed, and decoding checks that every byte was used. This
//! module is the only user of bincode; the corpus in `tests/golden` keeps the bytes of every released version.

use bincode::config;
use serde::{Serialize, de::DeserializeOwned};

const MAGIC: u8 = 0xCD;
const FORMAT: u8 = 1;
const HEADER_LEN: usize = 10;
const CRC_LEN: usize = 4;

/// The largest payload of a record, in bytes.
const MAX_PAYLOAD: usize = 1 << 20;
/// The most that decoding may allocate for a payload, whatever lengths it announces, in bytes. bincode counts a number as eight
/// bytes where it may take one, so with less than this some record could be written and not be read.
const MAX_DECODED: usize = 8 * MAX_PAYLOAD;

/// A type that is written as a record of its own kind and version.
pub trait Record: Serialize + DeserializeOwned {
    /// What the record is. Never reused.
    const KIND: u16;
    /// The version of its shape. A changed shape is a new version, with a migration from the old one.
    const VERSION: u16;
}

/// Why bytes are not the record that was expected. Always fatal for a replica: the state or the log is damaged, or was
/// written by a newer version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Fewer bytes than an envelope has, or than it announces.
    #[error("record is truncated: {have} bytes")]
    Truncated {
        /// How many bytes there are.
        have: usize,
    },
    /// The first two bytes are not those of a record of ours.
    #[error("not a record: starts with {magic:#04x}, format {format}")]
    NotARecord {
        /// The first byte.
        magic: u8,
        /// The second byte.
        format: u8,
    },
    /// The checksum does not match: the bytes were damaged.
    #[error("record of kind {kind} is damaged: checksum mismatch")]
    Damaged {
        /// The kind that the envelope names.
        kind: u16,
    },
    /// A record of another kind or version, most likely of a newer release.
    #[error("record is of kind {kind} version {version}, expected kind {expected_kind} version {expected_version}")]
    Unexpected {
        /// The kind that the envelope names.
        kind: u16,
        /// The version that the envelope names.
        version: u16,
        /// The kind that was asked for.
        expected_kind: u16,
        /// The version that was asked for.
        expected_version: u16,
    },
    /// The payload does not decode, or does not use all its bytes.
    #[error("payload of kind {kind} version {version} does not decode")]
    Payload {
        /// The kind that the envelope names.
        kind: u16,
        /// The version that the envelope names.
        version: u16,
    },
    /// The payload is larger than 1 MiB.
    #[error("payload of kind {kind} has {len} bytes, more than a record may have")]
    TooLarge {
        /// The kind of the record.
        kind: u16,
        /// Its length in bytes.
        len: usize,
    },
}

/// Writes `record` with its envelope.
///
/// # Errors
/// [`CodecError::TooLarge`] when it would be larger than any reader accepts.
pub fn encode<R: Record>(record: &R) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![0; HEADER_LEN];
    bincode::serde::encode_into_std_write(record, &mut bytes, bincode_config())
        .map_err(|_| CodecError::Payload { kind: R::KIND, version: R::VERSION })?;
    let len = bytes.len() - HEADER_LEN;
    let announced = u32::try_from(len).ok().filter(|_| len <= MAX_PAYLOAD).ok_or(CodecError::TooLarge { kind: R::KIND, len })?;
    bytes[0] = MAGIC;
    bytes[1] = FORMAT;
    bytes[2..4].copy_from_slice(&R::KIND.to_le_bytes());
    bytes[4..6].copy_from_slice(&R::VERSION.to_le_bytes());
    bytes[6..10].copy_from_slice(&announced.to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Reads a record of kind and version `R`, and checks that it is whole and that nothing follows it.
///
/// # Errors
/// [`CodecError`], naming what is wrong.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, CodecError> {
    let truncated = CodecError::Truncated { have: bytes.len() };
    if bytes.len() < HEADER_LEN + CRC_LEN {
        return Err(truncated);
    }
    if bytes[0] != MAGIC || bytes[1] != FORMAT {
        return Err(CodecError::NotARecord { magic: bytes[0], format: bytes[1] });
    }
    let kind = u16::from_le_bytes([bytes[2], bytes[3]]);
    let version = u16::from_le_bytes([bytes[4], bytes[5]]);
    let len = u32::from_le_bytes([bytes[6], bytes[7], bytes[8], bytes[9]]) as usize;
    if len > MAX_PAYLOAD {
        return Err(CodecError::TooLarge { kind, len });
    }
    if bytes.len() != HEADER_LEN + len + CRC_LEN {
        return Err(truncated);
    }
    let (body, crc) = bytes.split_at(HEADER_LEN + len);
    if crc32c::crc32c(body).to_le_bytes() != crc {
        return Err(CodecError::Damaged { kind });
    }
    if (kind, version) != (R::KIND, R::VERSION) {
        return Err(CodecError::Unexpected { kind, version, expected_kind: R::KIND, expected_version: R::VERSION });
    }
    match bincode::serde::decode_from_slice::<R, _>(&body[HEADER_LEN..], bincode_config()) {
        Ok((record, used)) if used == len => Ok(record),
        _ => Err(CodecError::Payload { kind, version }),
    }
}

fn bincode_config() -> impl config::Config {
    config::standard().with_limit::<MAX_DECODED>()
}

#[cfg(test)]
mod tests {
    use super::{CodecError, Record, decode, encode};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Old {
        name: String,
    }
    impl Record for Old {
        const KIND: u16 = 999;
        const VERSION: u16 = 1;
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Longer {
        name: String,
        size: u64,
    }
    impl Record for Longer {
        const KIND: u16 = 999;
        const VERSION: u16 = 1;
    }

    #[test]
    fn a_record_with_bytes_left_over_is_refused() {
        let bytes = encode(&Longer { name: "a".into(), size: 7 }).expect("encodes");
        assert_eq!(decode::<Old>(&bytes), Err(CodecError::Payload { kind: 999, version: 1 }));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(&Old { name: "asset".into() }).expect("encodes");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Old>(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        let bytes = encode(&Old { name: "asset".into() }).expect("encodes");
        for len in 0..bytes.len() {
            assert!(decode::<Old>(&bytes[..len]).is_err(), "length {len}");
        }
    }
}
