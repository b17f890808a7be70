//! What kind of content it is: as the caller says, by the extension of its path, or by its first bytes.

use std::fmt;

use ncore_model::AssetPath;

/// A media type, as it goes into `Content-Type`: `type/subtype`, with parameters if the caller gave some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(String);

/// The text is not a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a media type is written type/subtype, with at most {MEDIA_TYPE_BYTES_MAX} visible ASCII characters")]
pub struct MediaTypeError;

impl MediaType {
    /// Checks `text` as far as it matters for a header: two tokens with a slash between them (RFC 9110, section 8.3.1), and
    /// nothing but visible ASCII and spaces behind a semicolon.
    ///
    /// # Errors
    /// [`MediaTypeError`].
    pub fn parse(text: &str) -> Result<Self, MediaTypeError> {
        let text = text.trim_matches([' ', '\t']);
        let (essence, parameters) =
            text.split_once(';').map_or((text, ""), |(essence, rest)| (essence.trim_end_matches([' ', '\t']), rest));
        let (kind, subtype) = essence.split_once('/').ok_or(MediaTypeError)?;
        let is_media_type = text.len() <= MEDIA_TYPE_BYTES_MAX
            && is_token(kind)
            && is_token(subtype)
            && parameters.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        is_media_type.then(|| Self(text.to_owned())).ok_or(MediaTypeError)
    }

    /// The type of content at `path` that begins with `head`.
    pub(crate) fn guess(path: &AssetPath, head: &[u8]) -> Self {
        let by_extension = mime_guess::from_path(path.as_str()).first_raw();
        Self(by_extension.or_else(|| sniff(head)).unwrap_or("application/octet-stream").to_owned())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many bytes from the start are looked at.
pub(super) const SNIFF_BYTES: usize = 64;

/// What the first bytes say. Formats of text are not among it: a page that runs scripts should be one because somebody said so.
fn sniff(head: &[u8]) -> Option<&'static str> {
    let container = match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, kind @ ..] => Some((kind, RIFF)),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => Some((brand, BRANDS)),
        _ => None,
    };
    if let Some((kind, kinds)) = container {
        return kinds.iter().find(|(start, _)| kind.starts_with(start)).map(|(_, mime)| *mime);
    }
    if head.starts_with(b"\x1a\x45\xdf\xa3") {
        let is_webm = head.windows(4).any(|window| window == b"webm");
        return Some(if is_webm { "video/webm" } else { "video/x-matroska" });
    }
    SIGNATURES.iter().find(|(start, _)| head.starts_with(start)).map(|(_, mime)| *mime)
}

type Signature = (&'static [u8], &'static str);

const SIGNATURES: &[Signature] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"%PDF-", "application/pdf"),
    (b"OggS\0", "application/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"OTTO", "font/otf"),
    (b"\0\x01\0\0\0", "font/ttf"),
    (b"\0asm", "application/wasm"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
];

const RIFF: &[Signature] = &[(b"WEBP", "image/webp"), (b"WAVE", "audio/wav"), (b"AVI ", "video/x-msvideo")];

const BRANDS: &[Signature] = &[
    (b"avif", "image/avif"),
    (b"avis", "image/avif"),
    (b"heic", "image/heic"),
    (b"mif1", "image/heif"),
    (b"M4A ", "audio/mp4"),
    (b"qt  ", "video/quicktime"),
    (b"", "video/mp4"),
];

const MEDIA_TYPE_BYTES_MAX: usize = 256;

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use ncore_model::AssetPath;

    use super::MediaType;

    #[test]
    fn guesses() {
        let cases: [(&str, &[u8], &str); 10] = [
            ("a/b.webm", b"anything", "video/webm"),
            ("a/b.JPG", b"", "image/jpeg"),
            ("a/b.js", b"", "text/javascript"),
            ("a/b.woff2", b"", "font/woff2"),
            ("a/noext", b"\x89PNG\r\n\x1a\n....", "image/png"),
            ("a/noext", b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            ("a/noext", b"\0\0\0\x1cftypavif", "image/avif"),
            ("a/noext", b"\0\0\0\x1cftypisom", "video/mp4"),
            ("a/noext", b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "video/webm"),
            ("a/b.unheardof", b"<html><script>", "application/octet-stream"),
        ];
        for (path, head, expected) in cases {
            let path = AssetPath::parse(path).expect("a path");
            assert_eq!(MediaType::guess(&path, head).as_str(), expected, "{path}");
        }
    }

    #[test]
    fn media_types() {
        for good in ["text/plain", "text/html; charset=utf-8", "application/vnd.api+json", "text/plain ;a=b"] {
            assert!(MediaType::parse(good).is_ok(), "{good:?}");
        }
        let long = format!("text/{}", "x".repeat(300));
        for bad in ["", "text", "/", "text/", "a b/c", "text/plain\r\nX: y", "text/plain; a=ü", long.as_str()] {
            assert!(MediaType::parse(bad).is_err(), "{bad:?}");
        }
    }
}
