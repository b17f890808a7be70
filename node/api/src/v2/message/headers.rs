//! The headers of changes: `Idempotency-Key`, and the preconditions of RFC 9110, section 13.

use http::{
    HeaderMap, HeaderName,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use ncore_domain::OnceKey;
use ncore_model::Precondition;

use super::etag::{self, EntityTags};
use crate::problem::{Kind, Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The caller's key for "this once": a string of structured fields (RFC 9651), or the bare text that most clients send.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<OnceKey>, Problem> {
    let Some(text) = one(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    let bad = |detail: String| Problem::new(Kind::InvalidHeader, detail);
    let key = if text.starts_with('"') || text.ends_with('"') {
        string(text).ok_or_else(|| bad(format!("{IDEMPOTENCY_KEY} has a quote at one end, and is no string of RFC 9651")))?
    } else {
        text.to_owned()
    };
    OnceKey::parse(&key).map(Some).map_err(|error| bad(error.to_string()))
}

/// What a string says (RFC 9651, section 3.3.3): within quotes, with a backslash before each quote and each backslash.
fn string(text: &str) -> Option<String> {
    let (mut said, mut characters) = (String::new(), text.strip_prefix('"')?.strip_suffix('"')?.chars());
    while let Some(character) = characters.next() {
        said.push(match character {
            '"' => return None,
            '\\' => characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            character => character,
        });
    }
    Some(said)
}

/// What must be true of a path for an upload: `If-None-Match: *`, or `If-Match`.
pub(in crate::v2) fn upload_precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let matching = precondition(headers)?;
    match (etag::list(headers, &IF_NONE_MATCH)?, matching) {
        (None, matching) => Ok(matching),
        (Some(EntityTags::Any), Precondition::None) => Ok(Precondition::Absent),
        (Some(EntityTags::Any), _) => Err(Problem::new(Kind::InvalidHeader, "If-Match and If-None-Match exclude each other here")),
        (Some(EntityTags::Some(_)), _) => Err(Problem::new(Kind::InvalidHeader, "the only If-None-Match of an upload is *")),
    }
}

/// What must be true of an asset for a change: `If-Match`. Only the content counts: see [`etag`].
pub(in crate::v2) fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    Ok(match etag::list(headers, &IF_MATCH)? {
        None => Precondition::None,
        Some(EntityTags::Any) => Precondition::Present,
        // A tag that no asset of ours ever had matches nothing.
        Some(EntityTags::Some(tags)) => Precondition::Matches(tags.iter().filter_map(etag::EntityTag::content).collect()),
    })
}

/// A header that may come once.
pub(in crate::v2) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text.trim())),
        _ => Err(Problem::new(Kind::InvalidHeader, format!("{name} comes at most once, as text"))),
    }
}
