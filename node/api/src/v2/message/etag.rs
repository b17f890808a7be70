//! Entity tags of assets.
//!
//! `"<sha256 of the content>-<hash of the rest>"`. The whole changes whenever the document changes, so that `If-None-Match` is
//! right about everything in it, `replicated` included. `If-Match` guards the content alone: only the first half counts, and a
//! bare `"<sha256>"` will do. A change of the description, or a copy that arrives, is not a reason to refuse a delete.

use http::{HeaderMap, HeaderName};

use crate::problem::{Kind, Problem};

/// The tag of a document about content with this SHA-256.
pub(in crate::v2) fn of(sha256: &[u8; 32], document: &[u8]) -> String {
    let rest = blake3::hash(document);
    format!("\"{}-{}\"", hex::encode(sha256), hex::encode(&rest.as_bytes()[..8]))
}

/// The tags that a condition names.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::v2) enum EntityTags {
    /// `*`.
    Any,
    /// These.
    Some(Vec<EntityTag>),
}

/// One tag.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::v2) struct EntityTag {
    is_weak: bool,
    /// What is between the quotes.
    opaque: String,
}

impl EntityTag {
    /// The digest of the content that it names, if it is a strong tag of ours: `If-Match` compares strongly.
    pub(in crate::v2) fn content(&self) -> Option<[u8; 32]> {
        let digest = self.opaque.split('-').next().filter(|_| !self.is_weak)?;
        let mut content = [0; 32];
        hex::decode_to_slice(digest, &mut content).ok()?;
        Some(content)
    }
}

impl EntityTags {
    /// Whether one of them is `tag`, weakly: `If-None-Match` compares that way.
    pub(in crate::v2) fn include(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Some(tags) => tags.iter().any(|found| tag.trim_matches('"') == found.opaque),
        }
    }
}

/// The tags of a header that may come several times.
pub(in crate::v2) fn list(headers: &HeaderMap, name: &HeaderName) -> Result<Option<EntityTags>, Problem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let values = headers.get_all(name).into_iter().map(|value| value.to_str().ok());
    let text = values.collect::<Option<Vec<_>>>().map(|values| values.join(","));
    let tags = text.as_deref().and_then(parse);
    tags.map(Some).ok_or_else(|| Problem::new(Kind::InvalidHeader, format!("{name} is * or a list of entity tags in quotes")))
}

fn parse(text: &str) -> Option<EntityTags> {
    if text.trim() == "*" {
        return Some(EntityTags::Any);
    }
    let mut tags = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (is_weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(EntityTag { is_weak, opaque: opaque.to_owned() });
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    (!tags.is_empty()).then_some(EntityTags::Some(tags))
}

#[cfg(test)]
mod tests {
    use super::{EntityTags, of, parse};

    #[test]
    fn lists() {
        assert_eq!(parse(" * "), Some(EntityTags::Any));
        let tags = parse(r#""a,b" , W/"c","d""#).expect("a list");
        for (tag, is_in) in [(r#""a,b""#, true), (r#""c""#, true), (r#""d""#, true), (r#""b""#, false)] {
            assert_eq!(tags.include(tag), is_in, "{tag}");
        }
        for bad in ["", "abc", r#""a" "b""#, r#""a"#, r#"*,"a""#] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_names_content() {
        let sha256 = [0xab; 32];
        let full = of(&sha256, b"document");
        assert_ne!(full, of(&sha256, b"another"));
        let content = |tag: &str| match parse(tag) {
            Some(EntityTags::Some(tags)) => tags[0].content(),
            _ => None,
        };
        assert_eq!(content(&full), Some(sha256));
        assert_eq!(content(&format!("\"{}\"", hex::encode(sha256))), Some(sha256));
        assert_eq!(content(&format!("W/{full}")), None, "If-Match compares strongly");
        assert_eq!(content("\"abc\""), None);
    }
}
