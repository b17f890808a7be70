//! Which asset a path names: the trait through which this crate asks, and the entry that it gets.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use ncore_cache::{
    conditional::Validators,
    content_coding::{self, Coding},
    etag::EntityTag,
    http_date,
};
use ncore_telemetry::Meter;

use super::{
    SLICE_BYTES,
    coded::{CODED_BYTES, CodedContent, CodedSlot},
};

/// The assets of the cluster, as this node sees them.
///
/// `lookup` is called for every request, on the thread of its connection: it must not block, and ought to be a lookup in
/// an immutable table.
pub trait Catalog: Send + Sync {
    /// What is at `path`: decoded, without a leading slash.
    fn lookup(&self, path: &str) -> Lookup;

    /// The client one of whose own hosts is called `host`, in whatever case.
    fn host_owner(&self, host: &str) -> Option<Arc<str>>;
}

/// What a [`Catalog`] says of a path.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// This asset.
    Found(Arc<AssetEntry>, ViewAge),
    /// Nothing.
    NotFound(ViewAge),
    /// The node cannot read its view: 503.
    Unavailable,
    /// The node's view may be too old to act on, and it is not to: 503.
    Fenced,
}

/// Whether the view that something was looked up in may be too old, and is acted on all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewAge {
    /// It is within the bound.
    Current,
    /// It may be older than the bound. The response says so.
    Stale,
}

/// A BLAKE3 hash of content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobHash(pub [u8; 32]);

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

/// Who may have an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Everybody.
    All,
    /// Those that an [`Admission`](super::Admission) lets in.
    Admitted,
}

/// What is known of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetFacts {
    /// Its id.
    pub id: String,
    /// Its path, decoded, without a leading slash.
    pub path: String,
    /// Whose it is.
    pub client: String,
    /// Who may have it.
    pub readers: Readers,
    /// The content.
    pub blob: BlobHash,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the content; it is the entity tag.
    pub sha256: [u8; 32],
    /// MIME type. One that cannot stand in a header is served as `application/octet-stream`.
    pub mime: String,
    /// How long others may cache it, in seconds.
    pub cache_ttl_s: u32,
    /// When it last changed, in Unix seconds.
    pub modified_at_s: u64,
    /// The revision that this entry was read from: lineage and index.
    pub revision: (u32, u64),
}

/// An asset with everything that a response says about it rendered beforehand. Made once per version of an asset, shared
/// by all of its requests, never changed.
#[derive(Debug)]
pub struct AssetEntry {
    facts: AssetFacts,
    /// Its client, for records of its requests.
    owner: Arc<str>,
    pub(super) meter: Arc<Meter>,
    pub(super) etag: HeaderValue,
    pub(super) last_modified: HeaderValue,
    pub(super) cache_control: HeaderValue,
    /// `Cache-Control` while the node has lost touch with the cluster.
    pub(super) cache_control_stale: HeaderValue,
    /// `Repr-Digest` (RFC 9530).
    pub(super) repr_digest: HeaderValue,
    pub(super) content_type: HeaderValue,
    pub(super) content_length: HeaderValue,
    pub(super) revision: HeaderValue,
    /// `Content-Encoding` of a variant.
    pub(super) content_encoding: Option<HeaderValue>,
    /// Whether a request for this asset may get another representation of it.
    pub(super) varies: bool,
    /// One for each coding, in the order of [`Coding::ALL`], if the asset may have variants.
    slots: Option<Box<[CodedSlot; 3]>>,
    given_up: AtomicBool,
}

/// What a tag stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagMeaning {
    /// The content as it is.
    AsItIs,
    /// It in a coding, as this node or another one has made it.
    Coded(Coding),
}

/// Hexadecimal digits of the digest of a variant that stand in its tag.
const TAG_DIGITS: usize = 16;

impl AssetEntry {
    /// The entry for `facts`. Its requests count for nobody.
    #[must_use]
    pub fn new(facts: AssetFacts) -> Self {
        let render = |text: String| HeaderValue::try_from(text).expect("digits and ASCII letters");
        let (lineage, index) = facts.revision;
        let cached_by = match facts.readers {
            Readers::All => "public",
            // What a cache of others holds, it gives to everybody.
            Readers::Admitted => "private",
        };
        let is_codable = CODED_BYTES.contains(&facts.size) && content_coding::is_compressible(&facts.mime);
        Self {
            content_encoding: None,
            given_up: AtomicBool::new(false),
            varies: is_codable,
            slots: is_codable.then(Box::default),
            etag: render(format!("\"{}\"", hex::encode(facts.sha256))),
            last_modified: http_date::format(facts.modified_at_s),
            cache_control: render(format!("{cached_by}, max-age={}", facts.cache_ttl_s)),
            cache_control_stale: render(format!("{cached_by}, max-age=0")),
            repr_digest: render(format!("sha-256=:{}:", STANDARD.encode(facts.sha256))),
            content_type: HeaderValue::try_from(&facts.mime).unwrap_or(HeaderValue::from_static("application/octet-stream")),
            content_length: HeaderValue::from(facts.size),
            revision: render(format!("{lineage}.{index}")),
            owner: facts.client.as_str().into(),
            facts,
            meter: Arc::default(),
        }
    }

    /// The entry with its requests counted in `meter`, which is that of the client that has the asset.
    #[must_use]
    pub fn metered(self, meter: Arc<Meter>) -> Self {
        Self { meter, ..self }
    }

    /// The entry of a variant of this asset.
    ///
    /// Its tag begins like that of the asset, for that says of which content it is, and has digits of its own digest: other nodes may
    /// have made other bytes in the same coding, and a strong tag stands for one sequence of bytes.
    #[must_use]
    pub fn coded(&self, content: &CodedContent) -> Self {
        let render = |text: String| HeaderValue::try_from(text).expect("digits and ASCII letters");
        let CodedContent { coding, blob, size, sha256 } = *content;
        let digits = hex::encode(&sha256[..TAG_DIGITS / 2]);
        Self {
            etag: render(format!("\"{}-{}.{digits}\"", hex::encode(self.facts.sha256), coding.as_str())),
            repr_digest: render(format!("sha-256=:{}:", STANDARD.encode(sha256))),
            content_length: HeaderValue::from(size),
            content_encoding: Some(HeaderValue::from_static(coding.as_str())),
            varies: true,
            slots: None,
            given_up: AtomicBool::new(false),
            facts: AssetFacts { blob, size, sha256, ..self.facts.clone() },
            meter: Arc::clone(&self.meter),
            owner: self.owner.clone(),
            last_modified: self.last_modified.clone(),
            cache_control: self.cache_control.clone(),
            cache_control_stale: self.cache_control_stale.clone(),
            content_type: self.content_type.clone(),
            revision: self.revision.clone(),
        }
    }

    /// Whether this is a variant of an asset.
    #[must_use]
    pub fn is_coded(&self) -> bool {
        self.content_encoding.is_some()
    }

    /// Has this variant used no more: it cannot be read.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether this variant is to be used no more.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Whether the asset may have variants: by its media type and its length.
    #[must_use]
    pub fn is_codable(&self) -> bool {
        self.slots.is_some()
    }

    /// Where its variant in this coding is kept; `None` if there can be none.
    #[must_use]
    pub fn coded_slot(&self, coding: Coding) -> Option<&CodedSlot> {
        self.slots.as_ref().map(|slots| &slots[coding as usize])
    }

    /// What a tag says, if it is of this content.
    pub(super) fn meaning_of(&self, tag: &EntityTag<'_>) -> Option<TagMeaning> {
        let own = EntityTag::parse(self.etag.as_bytes()).ok()?;
        let rest = tag.opaque().strip_prefix(own.opaque())?;
        if rest.is_empty() {
            return Some(TagMeaning::AsItIs);
        }
        let (name, digits) = rest.strip_prefix(b"-")?.split_at_checked(rest.len().checked_sub(TAG_DIGITS + 2)?)?;
        let digits = digits.strip_prefix(b".")?;
        let coding = Coding::ALL.into_iter().find(|coding| coding.as_str().as_bytes() == name)?;
        let is_hex = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then_some(TagMeaning::Coded(coding))
    }

    /// Whether the tag is the entry's own, be it weak or strong.
    pub(super) fn has_tag(&self, tag: &EntityTag<'_>) -> bool {
        EntityTag::parse(self.etag.as_bytes()).is_ok_and(|own| own.opaque() == tag.opaque())
    }

    /// What the entry was made of.
    #[must_use]
    pub fn facts(&self) -> &AssetFacts {
        &self.facts
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    /// The content.
    #[must_use]
    pub fn blob(&self) -> BlobHash {
        self.facts.blob
    }

    /// Length of the content in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.facts.size
    }

    /// Length in bytes of the slice with number `slice`: [`SLICE_BYTES`], less for the last one, 0 beyond it.
    #[must_use]
    pub fn slice_bytes(&self, slice: u64) -> u64 {
        let start = slice.saturating_mul(SLICE_BYTES);
        self.facts.size.saturating_sub(start).min(SLICE_BYTES)
    }

    pub(super) fn validators(&self) -> Validators<'_> {
        Validators { etag: EntityTag::parse(self.etag.as_bytes()).ok(), last_modified_s: Some(self.facts.modified_at_s), dated_s: None }
    }
}

#[cfg(test)]
mod tests {
    use ncore_cache::{content_coding::Coding, etag::EntityTag};

    use super::{AssetEntry, AssetFacts, BlobHash, Readers, TagMeaning};
    use crate::serve::{CodedContent, SLICE_BYTES};

    fn entry(size: u64, mime: &str) -> AssetEntry {
        AssetEntry::new(AssetFacts {
            id: "as_1".to_owned(),
            path: "a".to_owned(),
            client: "cl_1".to_owned(),
            readers: Readers::All,
            blob: BlobHash([7; 32]),
            size,
            sha256: [0xab; 32],
            mime: mime.to_owned(),
            cache_ttl_s: 60,
            modified_at_s: 784_111_777,
            revision: (2, 40),
        })
    }

    #[test]
    fn rendering() {
        let entry = entry(12, "text/css");
        assert_eq!(entry.etag, format!("\"{}\"", "ab".repeat(32)).as_str());
        assert_eq!(entry.last_modified, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(entry.cache_control, "public, max-age=60");
        assert_eq!(entry.content_type, "text/css");
        assert_eq!(entry.repr_digest, format!("sha-256=:{}s=:", "q6ur".repeat(10) + "q6").as_str());
        assert_eq!(entry.content_length, "12");
        assert_eq!(entry.revision, "2.40");
        assert!(entry.validators().etag.is_some());
    }

    #[test]
    fn a_type_that_is_no_header_is_bytes() {
        assert_eq!(entry(1, "a\r\nb").content_type, "application/octet-stream");
    }

    #[test]
    fn slice_lengths() {
        let entry = entry(2 * SLICE_BYTES + 5, "a/b");
        let lengths = [0, 1, 2, 3, u64::MAX].map(|slice| entry.slice_bytes(slice));
        assert_eq!(lengths, [SLICE_BYTES, SLICE_BYTES, 5, 0, 0]);
    }

    #[test]
    fn what_may_have_variants() {
        let cases = [
            ("text/css", 1_023, false),
            ("text/css", 1_024, true),
            ("text/css", 16 << 20, true),
            ("text/css", (16 << 20) + 1, false),
            ("video/webm", 4_096, false),
        ];
        for (mime, size, expected) in cases {
            let entry = entry(size, mime);
            assert_eq!((entry.is_codable(), entry.varies), (expected, expected), "{mime} {size}");
        }
    }

    #[test]
    fn variants() {
        let asset = entry(4_096, "text/css");
        let variant = asset.coded(&CodedContent { coding: Coding::Zstd, blob: BlobHash([8; 32]), size: 900, sha256: [0xcd; 32] });
        let tag = format!("\"{}-zstd.{}\"", "ab".repeat(32), "cd".repeat(8));
        assert_eq!(variant.etag, tag.as_str());
        assert_eq!((variant.blob(), variant.size(), variant.is_codable()), (BlobHash([8; 32]), 900, false));
        assert_eq!(variant.content_encoding.as_ref().expect("a coding"), "zstd");
        assert_eq!(variant.content_length, "900");
        assert_ne!(variant.repr_digest, asset.repr_digest);
        assert_eq!((&variant.cache_control, &variant.last_modified), (&asset.cache_control, &asset.last_modified));
    }

    #[test]
    fn meanings_of_tags() {
        let asset = entry(4_096, "text/css");
        let hash = "ab".repeat(32);
        let cases = [
            (format!("\"{hash}\""), Some(TagMeaning::AsItIs)),
            (format!("W/\"{hash}\""), Some(TagMeaning::AsItIs)),
            (format!("\"{hash}-br.0123456789abcdef\""), Some(TagMeaning::Coded(Coding::Br))),
            (format!("W/\"{hash}-gzip.0123456789abcdef\""), Some(TagMeaning::Coded(Coding::Gzip))),
            (format!("\"{hash}-zstd.0123456789abcdef\""), Some(TagMeaning::Coded(Coding::Zstd))),
            (format!("\"{hash}-br.0123456789abcde\""), None),
            (format!("\"{hash}-br.0123456789abcdef0\""), None),
            (format!("\"{hash}-br.0123456789ABCDEF\""), None),
            (format!("\"{hash}-br-0123456789abcdef\""), None),
            (format!("\"{hash}-.0123456789abcdef\""), None),
            (format!("\"{hash}-deflate.0123456789abcdef\""), None),
            (format!("\"{hash}-\""), None),
            (format!("\"{hash}0\""), None),
            (format!("\"{}-br.0123456789abcdef\"", "ac".repeat(32)), None),
            ("\"\"".to_owned(), None),
        ];
        for (tag, expected) in cases {
            assert_eq!(asset.meaning_of(&EntityTag::parse(tag.as_bytes()).expect("a tag")), expected, "{tag}");
        }
    }
}
