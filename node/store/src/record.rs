//! The records of the index as bytes.
//!
//! Every record has one length per version, so that decoding is bounded by a comparison:
//!
//! ```text
//! blob     [version 1][state][size u64][stored u64][verified u64][touched u64][crc32c u32]   38 bytes
//! pin      [version 1][created u64][crc32c u32]                                              13 bytes
//! variant  [version 1][state][used u64][size u64][blake3][sha256][crc32c u32]                86 bytes
//! claim    [version 1]                                                                        1 byte
//! ```
//!
//! Numbers are little endian, times are milliseconds of the Unix epoch. The checksum covers the key
//! as well, so that a record under another's key does not pass.

use crate::error::RecordError;
use crate::variant::StoredVariant;

/// What the index knows about a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobRecord {
    pub(crate) state: BlobState,
    /// Bytes of content.
    pub(crate) size: u64,
    /// When the copy was stored.
    pub(crate) stored_at_ms: u64,
    /// When the copy was last read in full and found good; for a quarantined one, found bad.
    pub(crate) verified_at_ms: u64,
    /// When the blob was last stored, pinned or unpinned: its grace counts from here.
    pub(crate) touched_at_ms: u64,
}

/// Whether the copy on disk counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobState {
    Present,
    Quarantined,
}

/// What the index knows about a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PinRecord {
    pub(crate) created_at_ms: u64,
}

/// What the index knows about a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VariantRecord {
    /// `None` for one that is not worth its room.
    pub(crate) stored: Option<StoredVariant>,
    /// When it was last said to be in use.
    pub(crate) used_at_ms: u64,
}

const VERSION: u8 = 1;
/// All that a claim says is in its key.
pub(crate) const CLAIM_RECORD: [u8; 1] = [VERSION];
pub(crate) const VARIANT_RECORD_BYTES: usize = 86;
pub(crate) const BLOB_RECORD_BYTES: usize = 38;
pub(crate) const PIN_RECORD_BYTES: usize = 13;

impl BlobRecord {
    /// The record of a copy that was stored, and thereby verified, just now.
    pub(crate) const fn stored(size: u64, now_ms: u64) -> Self {
        Self { state: BlobState::Present, size, stored_at_ms: now_ms, verified_at_ms: now_ms, touched_at_ms: now_ms }
    }

    /// The same copy, found good just now.
    pub(crate) const fn verified(self, now_ms: u64) -> Self {
        Self { verified_at_ms: now_ms, ..self }
    }

    /// The same copy, found bad just now.
    pub(crate) const fn quarantined(self, now_ms: u64) -> Self {
        Self { state: BlobState::Quarantined, verified_at_ms: now_ms, ..self }
    }

    /// The same copy, its grace beginning anew.
    pub(crate) const fn touched(self, now_ms: u64) -> Self {
        Self { touched_at_ms: now_ms, ..self }
    }

    pub(crate) fn encode(&self, key: &[u8]) -> [u8; BLOB_RECORD_BYTES] {
        let state = match self.state {
            BlobState::Present => 0,
            BlobState::Quarantined => 1,
        };
        let mut record = [0; BLOB_RECORD_BYTES];
        record[0] = VERSION;
        record[1] = state;
        record[2..10].copy_from_slice(&self.size.to_le_bytes());
        record[10..18].copy_from_slice(&self.stored_at_ms.to_le_bytes());
        record[18..26].copy_from_slice(&self.verified_at_ms.to_le_bytes());
        record[26..34].copy_from_slice(&self.touched_at_ms.to_le_bytes());
        seal(key, &mut record);
        record
    }

    pub(crate) fn decode(key: &[u8], record: &[u8]) -> Result<Self, RecordError> {
        let record: &[u8; BLOB_RECORD_BYTES] = open(key, record)?;
        let state = match record[1] {
            0 => BlobState::Present,
            1 => BlobState::Quarantined,
            found => return Err(RecordError::State { found }),
        };
        Ok(Self {
            state,
            size: number(record, 2),
            stored_at_ms: number(record, 10),
            verified_at_ms: number(record, 18),
            touched_at_ms: number(record, 26),
        })
    }
}

impl PinRecord {
    pub(crate) fn encode(&self, key: &[u8]) -> [u8; PIN_RECORD_BYTES] {
        let mut record = [0; PIN_RECORD_BYTES];
        record[0] = VERSION;
        record[1..9].copy_from_slice(&self.created_at_ms.to_le_bytes());
        seal(key, &mut record);
        record
    }

    pub(crate) fn decode(key: &[u8], record: &[u8]) -> Result<Self, RecordError> {
        let record: &[u8; PIN_RECORD_BYTES] = open(key, record)?;
        Ok(Self { created_at_ms: number(record, 1) })
    }
}

impl VariantRecord {
    pub(crate) fn encode(&self, key: &[u8]) -> [u8; VARIANT_RECORD_BYTES] {
        let mut record = [0; VARIANT_RECORD_BYTES];
        record[0] = VERSION;
        record[2..10].copy_from_slice(&self.used_at_ms.to_le_bytes());
        match &self.stored {
            Some(stored) => {
                record[10..18].copy_from_slice(&stored.size.to_le_bytes());
                record[18..50].copy_from_slice(stored.blob.as_bytes());
                record[50..82].copy_from_slice(&stored.sha256);
            }
            None => record[1] = 1,
        }
        seal(key, &mut record);
        record
    }

    pub(crate) fn decode(key: &[u8], record: &[u8]) -> Result<Self, RecordError> {
        let record: &[u8; VARIANT_RECORD_BYTES] = open(key, record)?;
        let stored = match record[1] {
            0 => {
                Some(StoredVariant { size: number(record, 10), blob: blake3::Hash::from_bytes(hash(record, 18)), sha256: hash(record, 50) })
            }
            1 => None,
            found => return Err(RecordError::State { found }),
        };
        Ok(Self { stored, used_at_ms: number(record, 2) })
    }
}

/// Writes the checksum into the last four bytes.
fn seal(key: &[u8], record: &mut [u8]) {
    if let Some((body, checksum)) = record.split_last_chunk_mut::<4>() {
        *checksum = checksum_of(key, body).to_le_bytes();
    }
}

/// Checks version, length and checksum, in this order: a newer version may have another length.
fn open<'a, const N: usize>(key: &[u8], record: &'a [u8]) -> Result<&'a [u8; N], RecordError> {
    let length = RecordError::Length { found: record.len() };
    let &version = record.first().ok_or(length)?;
    if version != VERSION {
        return Err(RecordError::Version { found: version });
    }
    let record: &[u8; N] = record.try_into().map_err(|_| length)?;
    let (body, checksum) = record.split_last_chunk::<4>().ok_or(length)?;
    if checksum_of(key, body) != u32::from_le_bytes(*checksum) {
        return Err(RecordError::Checksum);
    }
    Ok(record)
}

fn checksum_of(key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), body)
}

fn number(record: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&record[at..at + 8]);
    u64::from_le_bytes(number)
}

fn hash(record: &[u8], at: usize) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(&record[at..at + 32]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: BlobRecord = BlobRecord {
        state: BlobState::Quarantined,
        size: 0x0102_0304_0506,
        stored_at_ms: 1_700_000_000_000,
        verified_at_ms: 1_700_000_000_001,
        touched_at_ms: 1_700_000_000_002,
    };

    /// What version 1 wrote must be read for ever: these bytes are part of the format.
    #[test]
    fn golden_bytes() {
        let encoded = RECORD.encode(b"key");
        let golden = "010106050403020100000068e5cf8b0100000168e5cf8b0100000268e5cf8b01000084743173";
        assert_eq!(hex::encode(encoded), golden);
        assert_eq!(BlobRecord::decode(b"key", &encoded), Ok(RECORD));
        let pin = PinRecord { created_at_ms: 1_700_000_000_000 };
        let encoded = pin.encode(b"key");
        assert_eq!(hex::encode(encoded), "010068e5cf8b010000e1d993ea");
        assert_eq!(PinRecord::decode(b"key", &encoded), Ok(pin));
        let stored = StoredVariant { blob: blake3::Hash::from_bytes([0xb3; 32]), size: 0x0102_0304_0506, sha256: [0x5a; 32] };
        let variant = VariantRecord { stored: Some(stored), used_at_ms: 1_700_000_000_000 };
        let encoded = variant.encode(b"key");
        let golden = format!("01000068e5cf8b0100000605040302010000{}{}30af81fd", "b3".repeat(32), "5a".repeat(32));
        assert_eq!(hex::encode(encoded), golden);
        assert_eq!(VariantRecord::decode(b"key", &encoded), Ok(variant));
        let refused = VariantRecord { stored: None, ..variant };
        let encoded = refused.encode(b"key");
        assert_eq!(hex::encode(encoded), format!("01010068e5cf8b010000{}b47ffeb6", "00".repeat(72)));
        assert_eq!(VariantRecord::decode(b"key", &encoded), Ok(refused));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let good = RECORD.encode(b"key");
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good;
                bad[at] ^= 1 << bit;
                assert!(BlobRecord::decode(b"key", &bad).is_err(), "byte {at} bit {bit}");
            }
            assert!(BlobRecord::decode(b"key", &good[..at]).is_err(), "cut to {at}");
        }
        assert_eq!(BlobRecord::decode(b"another", &good), Err(RecordError::Checksum));
        let mut newer = good.to_vec();
        newer[0] = 2;
        newer.push(0);
        assert_eq!(BlobRecord::decode(b"key", &newer), Err(RecordError::Version { found: 2 }));
    }
}
