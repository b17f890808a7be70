//! Which representation of an asset a request is about: its content as it is, or in a coding (RFC 9110 §12.5.3).
//!
//! | the request has | it is about |
//! |---|---|
//! | no coding that it takes | the content as it is |
//! | a tag of a variant that is here, in `If-Match` or `If-Range` | that variant |
//! | a current tag in `If-None-Match` | what the tag stands for: it is current, here or not |
//! | `Range` alone | the content as it is |
//! | anything else | the best variant that is here, and if there is none, the content as it is |
//!
//! Variants appear and go by themselves, and are another node's own. So whoever asks for ranges without saying of what gets them out of
//! bytes that are the same everywhere and at all times, and a download that is made of ranges is never a mix.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE},
};
use ncore_cache::{
    content_coding::Accepted,
    etag::{EntityTag, Strength, TagList},
};

use super::{
    catalog::{AssetEntry, TagMeaning},
    coded::{Absent, Variants},
};

/// What a request is about.
pub(super) enum Choice {
    /// The content as it is; the client takes nothing else.
    Only,
    /// This one of several.
    One(Arc<AssetEntry>),
    /// A variant that the client has and that this node need not have: its tag.
    Current(HeaderValue),
}

pub(super) fn choose(headers: &HeaderMap, entry: &Arc<AssetEntry>, variants: &dyn Variants) -> Choice {
    if !entry.is_codable() {
        return Choice::Only;
    }
    let accepted = Accepted::of(headers);
    if !accepted.allows_any() {
        return Choice::Only;
    }
    let named = if headers.contains_key(IF_MATCH) {
        named_variant(headers, IF_MATCH, entry, &accepted, variants)
    } else if headers.contains_key(IF_NONE_MATCH) {
        current_tag(headers, entry, &accepted, variants)
    } else if headers.contains_key(RANGE) {
        match headers.contains_key(IF_RANGE) {
            true => named_variant(headers, IF_RANGE, entry, &accepted, variants),
            false => Some(Choice::One(Arc::clone(entry))),
        }
    } else {
        None
    };
    named.unwrap_or_else(|| best(entry, &accepted, variants))
}

/// The best that is here; the best of all is what is made if it is not.
fn best(entry: &Arc<AssetEntry>, accepted: &Accepted, variants: &dyn Variants) -> Choice {
    let mut absent = Absent::Make;
    for coding in accepted.best_first() {
        if let Some(variant) = variants.find(entry, coding, absent) {
            return Choice::One(variant);
        }
        absent = Absent::Leave;
    }
    Choice::One(Arc::clone(entry))
}

/// The representation that a strong tag in `field` names, if it is here and the client takes it.
fn named_variant(
    headers: &HeaderMap,
    field: HeaderName,
    entry: &Arc<AssetEntry>,
    accepted: &Accepted,
    variants: &dyn Variants,
) -> Option<Choice> {
    tags(headers, field).filter(|tag| tag.strength() == Strength::Strong).find_map(|tag| match entry.meaning_of(&tag)? {
        TagMeaning::AsItIs => Some(Choice::One(Arc::clone(entry))),
        TagMeaning::Coded(coding) if accepted.allows(coding) => {
            let variant = variants.find(entry, coding, Absent::Leave).filter(|variant| variant.has_tag(&tag))?;
            Some(Choice::One(variant))
        }
        TagMeaning::Coded(_) => None,
    })
}

/// What the client has of this content, by `If-None-Match`.
fn current_tag(headers: &HeaderMap, entry: &Arc<AssetEntry>, accepted: &Accepted, variants: &dyn Variants) -> Option<Choice> {
    tags(headers, IF_NONE_MATCH).find_map(|tag| match entry.meaning_of(&tag)? {
        TagMeaning::AsItIs => Some(Choice::One(Arc::clone(entry))),
        TagMeaning::Coded(coding) if accepted.allows(coding) => {
            let variant = variants.find(entry, coding, Absent::Leave).filter(|variant| variant.has_tag(&tag));
            match variant {
                Some(variant) => Some(Choice::One(variant)),
                None => HeaderValue::from_bytes(&[b"\"", tag.opaque(), b"\""].concat()).ok().map(Choice::Current),
            }
        }
        TagMeaning::Coded(_) => None,
    })
}

/// The tags of a field, up to the first that is malformed. A date in `If-Range` is none.
fn tags(headers: &HeaderMap, field: HeaderName) -> impl Iterator<Item = EntityTag<'_>> {
    headers.get_all(field).into_iter().flat_map(|line| TagList::new(line.as_bytes())).map_while(Result::ok)
}
