//! `Upload-Checksum`: what the bytes of one request must add up to.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    problem::{Kind, Problem},
    v2::message::headers::one,
};

/// The algorithms, as `Tus-Checksum-Algorithm` has them.
pub(super) const ALGORITHMS: HeaderValue = HeaderValue::from_static("sha1,sha256");
const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");

/// A digest that was announced, and the one of what came so far.
pub(super) struct Checksum {
    expected: Vec<u8>,
    context: Context,
}

impl Checksum {
    /// The checksum of a request, if it has one.
    pub(super) fn announced(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(text) = one(headers, &UPLOAD_CHECKSUM)? else { return Ok(None) };
        let invalid = || Problem::new(Kind::InvalidHeader, "Upload-Checksum is sha1 or sha256, a space, and the digest in base64");
        let (algorithm, digest) = text.split_once(' ').ok_or_else(invalid)?;
        let algorithm = match algorithm {
            "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
            "sha256" => &SHA256,
            _ => return Err(invalid()),
        };
        let expected = STANDARD.decode(digest.trim()).map_err(|_| invalid())?;
        if expected.len() != algorithm.output_len {
            return Err(invalid());
        }
        Ok(Some(Self { expected, context: Context::new(algorithm) }))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// Whether what came is what was announced.
    pub(super) fn holds(self) -> bool {
        self.context.finish().as_ref() == self.expected
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Checksum, UPLOAD_CHECKSUM};

    fn announced(text: &str) -> Option<Checksum> {
        let headers = HeaderMap::from_iter([(UPLOAD_CHECKSUM, HeaderValue::try_from(text).expect("a value"))]);
        Checksum::announced(&headers).ok().flatten()
    }

    #[test]
    fn checksums() {
        // The digests of `abc`, from FIPS 180-4.
        for text in ["sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "sha256 ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="] {
            for (bytes, holds) in [(b"abc", true), (b"abd", false)] {
                let mut checksum = announced(text).expect("a checksum");
                bytes.chunks(2).for_each(|bytes| checksum.update(bytes));
                assert_eq!(checksum.holds(), holds, "{text}");
            }
        }
        for bad in ["", "sha1", "md5 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "sha256 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "sha1 !"] {
            assert!(announced(bad).is_none(), "{bad}");
        }
    }
}
