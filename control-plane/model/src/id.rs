//! The names of things. Each is a type of its own, so that one is never taken for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A node: the log index of the command that added it, hence never reused. The first node of a cluster is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One request to change the state. Whoever retries it uses the same id.
///
/// The first 48 bits are the Unix milliseconds at which it was made (a UUID of version 7 is one), so that the state can
/// tell an id whose answer it has forgotten from one that it has never seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub [u8; 16]);

impl RequestId {
    /// When the request was made, in Unix milliseconds, by the clock of the node that made it.
    #[must_use]
    pub fn issued_ms(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(bytes)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// The BLAKE3 hash of a blob's bytes: its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobHash(pub [u8; 32]);

impl From<blake3::Hash> for BlobHash {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<BlobHash> for blake3::Hash {
    fn from(hash: BlobHash) -> Self {
        Self::from_bytes(hash.0)
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// A join token: the public half of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JoinTokenId(pub [u8; 16]);

impl fmt::Debug for JoinTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinTokenId({self})")
    }
}

impl fmt::Display for JoinTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl FromStr for JoinTokenId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 32 || !text.is_ascii() {
            return Err(());
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| ())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ())?;
        }
        Ok(Self(bytes))
    }
}

/// A zone, as the API names it: a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ZoneId(pub [u8; 16]);

impl ZoneId {
    /// The id of the zone that is made by this request. Derived from it, so that a retry names the same.
    #[must_use]
    pub fn from_request(request: RequestId) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&zone_seed(request).as_bytes()[..16]);
        // RFC 9562, section 5.4: of random bits.
        bytes[6] = (bytes[6] & 0x0F) | 0x40;
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        Self(bytes)
    }

    /// The first part of the host name of the zone that is made by this request: a letter, and twelve letters or digits.
    #[must_use]
    pub fn host_label(request: RequestId) -> String {
        let letters = letters(zone_seed(request).as_bytes());
        format!("z{}", &letters[..12])
    }
}

fn zone_seed(request: RequestId) -> blake3::Hash {
    blake3::hash(&[b"zone".as_slice(), &request.0].concat())
}

impl fmt::Debug for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneId({self})")
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
            if at > 0 {
                f.write_str("-")?;
            }
            write_hex(f, &self.0[part])?;
        }
        Ok(())
    }
}

impl FromStr for ZoneId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('-').collect();
        let is_uuid = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]);
        let JoinTokenId(bytes) = parts.concat().parse()?;
        // What `from_str_radix` takes beside digits is no part of a UUID.
        if is_uuid && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) { Ok(Self(bytes)) } else { Err(()) }
    }
}

/// An id that the API shows: a prefix and 20 letters or digits, derived from the request that makes the thing.
macro_rules! shown_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(String);

        impl $name {
            /// The id of what is made by this request. Derived from it, so that a retry names the same.
            #[must_use]
            pub fn from_request(request: RequestId) -> Self {
                Self(format!(concat!($prefix, "{}"), letters(&request.0)))
            }

            /// An id as a caller wrote it. It may name nothing.
            #[must_use]
            pub fn from_text(text: &str) -> Self {
                Self(text.to_owned())
            }

            /// The id as the API shows it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

shown_id! {
    /// An asset, as the API names it: `as_` and 20 letters or digits.
    AssetId, "as_"
}

shown_id! {
    /// A client (a tenant), as the API names it: `cl_` and 20 letters or digits.
    ClientId, "cl_"
}

shown_id! {
    /// An administrator, as the API names it: `ad_` and 20 letters or digits.
    AdministratorId, "ad_"
}

shown_id! {
    /// An upload that comes in pieces, as the API names it: `up_` and 20 letters or digits.
    UploadId, "up_"
}

/// 20 characters of the 32-letter alphabet of Crockford, from the BLAKE3 hash of `seed`: 100 bits.
fn letters(seed: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    blake3::hash(seed).as_bytes()[..20].iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
