//! Entity tags (RFC 9110 §8.8.3) and fields that list them.
//!
//! A tag borrows from the header that it stands in: a request with `If-None-Match` is judged without an allocation.

use std::fmt;

/// One entity tag: `"opaque"` or `W/"opaque"`.
///
/// It has no `PartialEq` on purpose: HTTP has two ways to compare tags, and each condition demands one of them.
#[derive(Debug, Clone, Copy)]
pub struct EntityTag<'a> {
    opaque: &'a [u8],
    strength: Strength,
}

/// What equal tags promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// The same bytes.
    Strong,
    /// The same meaning; bytes may differ.
    Weak,
}

/// How two tags are compared (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal opaque tags, and neither is weak. What `If-Match` and `If-Range` use.
    Strong,
    /// Equal opaque tags. What `If-None-Match` uses.
    Weak,
}

/// The text is not an entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an entity tag: it is written \"...\" or W/\"...\"")]
pub struct InvalidEntityTag;

impl<'a> EntityTag<'a> {
    /// Reads exactly one tag.
    ///
    /// # Errors
    /// [`InvalidEntityTag`] if `text` is anything else, also with spaces around the tag.
    pub fn parse(text: &'a [u8]) -> Result<Self, InvalidEntityTag> {
        match Self::split(text) {
            Some((tag, [])) => Ok(tag),
            _ => Err(InvalidEntityTag),
        }
    }

    /// The text between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &'a [u8] {
        self.opaque
    }

    /// Whether it is strong or weak.
    #[must_use]
    pub fn strength(&self) -> Strength {
        self.strength
    }

    /// Whether both stand for the same representation under `comparison`.
    #[must_use]
    pub fn matches(&self, other: &EntityTag<'_>, comparison: Comparison) -> bool {
        let comparable = match comparison {
            Comparison::Weak => true,
            Comparison::Strong => self.strength == Strength::Strong && other.strength == Strength::Strong,
        };
        comparable && self.opaque == other.opaque
    }

    /// The tag at the start of `text`, and what follows it.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (strength, quoted) = match text.strip_prefix(b"W/") {
            Some(rest) => (Strength::Weak, rest),
            None => (Strength::Strong, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&byte| !is_etagc(byte))?;
        let rest = inner[end..].strip_prefix(b"\"")?;
        Some((Self { opaque: &inner[..end], strength }, rest))
    }
}

impl fmt::Display for EntityTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.strength {
            Strength::Strong => "",
            Strength::Weak => "W/",
        };
        write!(f, "{prefix}\"{}\"", String::from_utf8_lossy(self.opaque))
    }
}

/// Whether the field made of `lines` names `current`: `If-Match` and `If-None-Match` have this shape.
///
/// `*` stands for any current representation, and only alone. `current` is `None` where there is no representation, or
/// it has no tag; `exists` tells the two apart. A malformed member ends the list: what stands before it counts, what
/// stands after it does not, so garbage never makes a condition hold.
#[must_use]
pub fn field_matches<'l>(
    lines: impl Iterator<Item = &'l [u8]>,
    current: Option<&EntityTag<'_>>,
    exists: bool,
    comparison: Comparison,
) -> bool {
    let mut lines = lines.peekable();
    let Some(first) = lines.next() else {
        return false;
    };
    if first.trim_ascii() == b"*" && lines.peek().is_none() {
        return exists;
    }
    let Some(current) = current else {
        return false;
    };
    std::iter::once(first).chain(lines).flat_map(TagList::new).map_while(Result::ok).any(|tag| tag.matches(current, comparison))
}

/// The tags of one field line, in order. Empty members are skipped, as RFC 9110 §5.6.1 asks of a recipient; the first
/// malformed member is yielded as an error, and is the last item.
#[derive(Debug, Clone)]
pub struct TagList<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> TagList<'a> {
    /// The list in `line`.
    #[must_use]
    pub fn new(line: &'a [u8]) -> Self {
        Self { rest: Some(line) }
    }
}

impl<'a> Iterator for TagList<'a> {
    type Item = Result<EntityTag<'a>, InvalidEntityTag>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = skip_separators(self.rest.take()?);
        if rest.is_empty() {
            return None;
        }
        let Some((tag, after)) = EntityTag::split(rest) else {
            return Some(Err(InvalidEntityTag));
        };
        // Between two members there is a comma; a tag glued to the next one is malformed.
        match after.trim_ascii_start() {
            [] => {}
            tail @ [b',', ..] => self.rest = Some(tail),
            _ => return Some(Err(InvalidEntityTag)),
        }
        Some(Ok(tag))
    }
}

fn skip_separators(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t')).unwrap_or(text.len());
    &text[start..]
}

/// `etagc = %x21 / %x23-7E / obs-text`
fn is_etagc(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{Comparison, EntityTag, Strength, TagList, field_matches};

    #[test]
    fn one_tag() {
        let cases: [(&str, Option<(Strength, &str)>); 12] = [
            ("\"a\"", Some((Strength::Strong, "a"))),
            ("W/\"a\"", Some((Strength::Weak, "a"))),
            ("\"\"", Some((Strength::Strong, ""))),
            ("\"a,b\"", Some((Strength::Strong, "a,b"))),
            ("\"\u{fc}\"", Some((Strength::Strong, "\u{fc}"))),
            ("w/\"a\"", None),
            ("a", None),
            ("\"a", None),
            ("\"a b\"", None),
            ("\"a\" ", None),
            ("*", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = EntityTag::parse(text.as_bytes()).ok().map(|tag| (tag.strength(), tag.opaque()));
            assert_eq!(found, expected.map(|(s, o)| (s, o.as_bytes())), "{text}");
        }
    }

    /// The table of RFC 9110 §8.8.3.2.
    #[test]
    fn comparisons() {
        let cases = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (left, right, strong, weak) in cases {
            let tag = |text: &'static str| EntityTag::parse(text.as_bytes()).expect("a tag");
            let (left, right) = (tag(left), tag(right));
            assert_eq!(left.matches(&right, Comparison::Strong), strong);
            assert_eq!(right.matches(&left, Comparison::Strong), strong);
            assert_eq!(left.matches(&right, Comparison::Weak), weak);
        }
    }

    #[test]
    fn lists() {
        let cases: [(&str, &[&str], bool); 7] = [
            ("\"a\"", &["a"], false),
            ("\"a\", W/\"b\"\t,\"c\"", &["a", "b", "c"], false),
            (" , ,\"a\",,\"b\",", &["a", "b"], false),
            ("\"a,b\",\"c\"", &["a,b", "c"], false),
            ("\"a\" \"b\"", &[], true),
            ("\"a\", b, \"c\"", &["a"], true),
            ("", &[], false),
        ];
        for (line, expected, malformed) in cases {
            let items: Vec<_> = TagList::new(line.as_bytes()).collect();
            let tags: Vec<_> = items.iter().flatten().map(EntityTag::opaque).collect();
            let expected: Vec<_> = expected.iter().map(|tag| tag.as_bytes()).collect();
            assert_eq!(tags, expected, "{line}");
            assert_eq!(items.iter().any(Result::is_err), malformed, "{line}");
        }
    }

    proptest! {
        /// Whatever stands in a field, its tags are pieces of it.
        #[test]
        fn arbitrary_bytes_are_judged(line in prop::collection::vec(any::<u8>(), 0..48)) {
            let tags: Vec<_> = TagList::new(&line).flatten().collect();
            for tag in tags {
                let text = [b"\"", tag.opaque(), b"\""].concat();
                assert!(line.windows(text.len()).any(|window| window == text));
            }
        }

        #[test]
        fn lists_of_tags_are_understood(tags in prop::collection::vec("[!#-~]{0,5}", 0..6), gap in "[ \t,]{0,3}") {
            let quoted: Vec<_> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
            let line = quoted.join(&format!("{gap},"));
            let found: Vec<_> = TagList::new(line.as_bytes()).map(|tag| tag.map(|tag| tag.opaque())).collect();
            let expected: Vec<_> = tags.iter().map(|tag| Ok(tag.as_bytes())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn fields() {
        let current = EntityTag::parse(b"\"x\"").expect("a tag");
        let cases: [(&[&str], bool); 8] = [
            (&["*"], true),
            (&[" * "], true),
            (&["*", "\"y\""], false),
            (&["\"y\", *"], false),
            (&["\"y\"", "\"x\""], true),
            (&["\"y\", W/\"x\""], true),
            (&["garbage, \"x\""], false),
            (&[], false),
        ];
        for (lines, expected) in cases {
            let bytes = lines.iter().map(|line| line.as_bytes());
            let found = field_matches(bytes, Some(&current), true, Comparison::Weak);
            assert_eq!(found, expected, "{lines:?}");
        }
        let star = || std::iter::once(&b"*"[..]);
        assert!(field_matches(star(), None, true, Comparison::Strong));
        assert!(!field_matches(star(), None, false, Comparison::Strong));
    }
}
