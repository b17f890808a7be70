//! A record in a segment: a header of 36 bytes, then the bytes of the entry.
//!
//! ```text
//! 0  magic "NCE1"   4  length u32   8  key [16]   24  fill u64   32  CRC32C of all before it and of the bytes
//! ```
//!
//! All numbers are little-endian. CRC32C and not BLAKE3: this guards against disks, and who can write to the directory can as well write a
//! hash; and it costs a tenth of what BLAKE3 does, for each hit from the disk. The index holds the checksum too, so garbage has to guess both the
//! key and the checksum.

use bytes::Bytes;

use super::entry::{Entry, EntryKey, MAX_ENTRY_BYTES};

/// Where a record lies, and what is in it, as the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// Bytes of the entry, without the header.
    pub(super) len: u32,
    pub(super) crc: u32,
    pub(super) fill: u64,
}

/// The header of a record, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) key: EntryKey,
    pub(super) fill: u64,
    pub(super) crc: u32,
}

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 36;

/// Bytes that a record takes, its header included.
pub(super) fn record_bytes(len: u32) -> u64 {
    HEADER_BYTES as u64 + u64::from(len)
}

impl Header {
    /// That of the record of an entry; nothing if the entry is too long for one.
    pub(super) fn of(key: &EntryKey, entry: &Entry) -> Option<Self> {
        let len = u32::try_from(entry.bytes.len()).ok().filter(|_| entry.bytes.len() <= MAX_ENTRY_BYTES)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&unsigned(len, key, entry.fill)), &entry.bytes);
        Some(Self { len, key: *key, fill: entry.fill, crc })
    }

    /// As it is written. The bytes of the entry follow.
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..HEADER_BYTES - 4].copy_from_slice(&unsigned(self.len, &self.key, self.fill));
        bytes[HEADER_BYTES - 4..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }
}

/// Reads a header; nothing if there is none here.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
    let header = Header {
        len: u32::from_le_bytes(bytes[4..8].try_into().ok()?),
        key: EntryKey::from_bytes(bytes[8..24].try_into().ok()?),
        fill: u64::from_le_bytes(bytes[24..32].try_into().ok()?),
        crc: u32::from_le_bytes(bytes[32..].try_into().ok()?),
    };
    let plausible = bytes[..4] == MAGIC && header.len as usize <= MAX_ENTRY_BYTES;
    plausible.then_some(header)
}

/// The entry of a record that was read as a whole, if it is the one that the index means.
pub(super) fn verify(key: &EntryKey, location: &Location, record: Vec<u8>) -> Option<Entry> {
    let expected = Header { len: location.len, key: *key, fill: location.fill, crc: location.crc };
    if header(&record)? != expected || record.len() as u64 != record_bytes(location.len) {
        return None;
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&record[..HEADER_BYTES - 4]), &record[HEADER_BYTES..]);
    (crc == location.crc).then(|| Entry { fill: location.fill, bytes: Bytes::from(record).slice(HEADER_BYTES..) })
}

const MAGIC: [u8; 4] = *b"NCE1";

/// A header without its checksum.
fn unsigned(len: u32, key: &EntryKey, fill: u64) -> [u8; HEADER_BYTES - 4] {
    let mut head = [0; HEADER_BYTES - 4];
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&len.to_le_bytes());
    head[8..24].copy_from_slice(key.as_bytes());
    head[24..].copy_from_slice(&fill.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> (EntryKey, Location, Vec<u8>) {
        let key = EntryKey::of(&[b"name"]);
        let entry = Entry { fill: 7, bytes: Bytes::from_static(b"some bytes") };
        let header = Header::of(&key, &entry).unwrap();
        let record = [&header.to_bytes(), &entry.bytes[..]].concat();
        (key, Location { segment: 1, offset: 0, len: header.len, crc: header.crc, fill: header.fill }, record)
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let (key, location, record) = written();
        assert_eq!(verify(&key, &location, record.clone()).unwrap().bytes, "some bytes");
        for bit in 0..record.len() * 8 {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&key, &location, damaged), None, "bit {bit}");
        }
        assert_eq!(verify(&key, &location, record[..record.len() - 1].to_vec()), None, "cut short");
    }

    #[test]
    fn a_record_of_another_key_fill_or_version_is_not_it() {
        let (key, location, record) = written();
        assert_eq!(verify(&EntryKey::of(&[b"other"]), &location, record.clone()), None);
        assert_eq!(verify(&key, &Location { fill: 8, ..location }, record.clone()), None);
        assert_eq!(verify(&key, &Location { crc: location.crc ^ 1, ..location }, record), None);
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let entry = Entry { fill: 1, bytes: Bytes::from(vec![0; MAX_ENTRY_BYTES + 1]) };
        assert_eq!(Header::of(&EntryKey::of(&[b"name"]), &entry), None);
    }
}
