//! The bytes of an asset as a viewer gets them, also when the connection breaks in the middle.

use super::Revision;
use super::outcome::Cause;
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

/// What arrived of an answer with status 200 or 206.
#[derive(Debug, Clone)]
pub struct Download {
    /// 200 or 206.
    pub status: u16,
    /// The bytes that arrived.
    pub bytes: Bytes,
    /// Why no more arrived, or `None` if all did that the node announced.
    pub broken: Option<Cause>,
    /// From which revision it was answered.
    pub revision: Option<Revision>,
}

impl Download {
    /// Reads the body to its end, whatever that is.
    pub(super) async fn receive(mut response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let revision = Revision::of(&response);
        let mut bytes = BytesMut::new();
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(error) => break Some(Cause::of(&error)),
            }
        };
        Self { status, bytes: bytes.freeze(), broken, revision }
    }

    /// Whether all arrived.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.broken.is_none()
    }

    /// SHA-256 of what arrived, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }

    /// Compares with what should have been sent.
    #[must_use]
    pub fn judge(&self, expected: &[u8]) -> Bytewise {
        match self.bytes.iter().zip(expected).position(|(got, due)| got != due) {
            Some(offset) => Bytewise::Wrong { offset },
            None if self.bytes.len() > expected.len() => Bytewise::Wrong { offset: expected.len() },
            None if self.bytes.len() == expected.len() => Bytewise::Right,
            // A short body that claims to be complete is as wrong as a wrong byte.
            None if self.is_complete() => Bytewise::Wrong { offset: self.bytes.len() },
            None => Bytewise::RightUntilBroken { length: self.bytes.len() },
        }
    }
}

/// A body, compared byte by byte with what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytewise {
    /// All of it, and nothing else.
    Right,
    /// A right beginning, then the connection broke.
    RightUntilBroken {
        /// Bytes received.
        length: usize,
    },
    /// The first byte that is wrong, or missing in a body that claims to be complete.
    Wrong {
        /// Its offset.
        offset: usize,
    },
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::{Bytewise, Cause, Download};

    fn download(bytes: &'static [u8], broken: bool) -> Download {
        Download { status: 200, bytes: bytes.into(), broken: broken.then_some(Cause::Timeout), revision: None }
    }

    #[test]
    fn judges_every_kind_of_body() {
        assert_eq!(download(b"abcd", false).judge(b"abcd"), Bytewise::Right);
        assert_eq!(download(b"ab", true).judge(b"abcd"), Bytewise::RightUntilBroken { length: 2 });
        assert_eq!(download(b"", true).judge(b"abcd"), Bytewise::RightUntilBroken { length: 0 });
        assert_eq!(download(b"ab", false).judge(b"abcd"), Bytewise::Wrong { offset: 2 });
        assert_eq!(download(b"axcd", false).judge(b"abcd"), Bytewise::Wrong { offset: 1 });
        assert_eq!(download(b"ax", true).judge(b"abcd"), Bytewise::Wrong { offset: 1 });
        assert_eq!(download(b"abcde", true).judge(b"abcd"), Bytewise::Wrong { offset: 4 });
    }
}
