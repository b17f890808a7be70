//! `Upload-Metadata`: what an upload is to become, as clients of tus say it.
//!
//! The names are those of the parts of a form: `path`, `cache_ttl`, `mime` and `visibility`. Clients that know nothing of these send the
//! name and the type of the file, as `filename` or `name` and `filetype`; everything else is theirs, and is kept for them.

use base64::{Engine, engine::general_purpose::STANDARD};
use ncore_domain::MediaType;
use ncore_model::{AssetPath, MAX_UPLOAD_NOTE_BYTES, Precondition, UploadTarget};

use crate::{
    problem::{Kind, Problem},
    v2::{
        assets,
        upload::{cache_ttl, invalid, path_of},
    },
};

/// What the metadata of an upload ask for.
pub(super) fn target(text: &str, precondition: Precondition) -> Result<UploadTarget, Problem> {
    if text.len() > MAX_UPLOAD_NOTE_BYTES {
        return Err(Problem::new(Kind::InvalidHeader, format!("Upload-Metadata has at most {MAX_UPLOAD_NOTE_BYTES} bytes")));
    }
    let pairs = pairs(text)
        .ok_or_else(|| Problem::new(Kind::InvalidHeader, "Upload-Metadata is a list of pairs: a name, a space, and a text in base64"))?;
    let one = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_slice());
    let text = |name: &str| match one(name).map(str::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(Problem::new(Kind::InvalidHeader, format!("{name} in Upload-Metadata is not text in UTF-8"))),
    };
    let path = match text("path")? {
        Some(path) => AssetPath::parse(path).map_err(invalid)?,
        None => path_of(text("filename")?.or(text("name")?))?,
    };
    let mime = match text("mime")? {
        Some(mime) => Some(MediaType::parse(mime).map_err(invalid)?),
        // What a client sends unasked may be no type at all.
        None => text("filetype")?.and_then(|mime| MediaType::parse(mime).ok()),
    };
    Ok(UploadTarget {
        path: path.as_str().to_owned(),
        mime: mime.map(|mime| mime.as_str().to_owned()),
        cache_ttl_s: text("cache_ttl")?.map(cache_ttl).transpose()?,
        visibility: text("visibility")?.map(assets::visibility).transpose()?,
        precondition,
    })
}

/// The pairs of the header: names once each, without spaces or commas; a name alone has an empty text.
fn pairs(text: &str) -> Option<Vec<(&str, Vec<u8>)>> {
    let mut pairs: Vec<(&str, Vec<u8>)> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let is_new = !name.is_empty() && name.is_ascii() && pairs.iter().all(|(known, _)| *known != name);
        let value = STANDARD.decode(value.trim()).ok().filter(|_| is_new)?;
        pairs.push((name, value));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ncore_model::{Precondition, Visibility};

    use super::target;

    fn metadata(pairs: &[(&str, &str)]) -> String {
        pairs.iter().map(|(name, value)| format!("{name} {}", STANDARD.encode(value))).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn what_an_upload_is_to_become() {
        let text =
            metadata(&[("path", "/a/ü.webm"), ("cache_ttl", "60"), ("mime", "video/webm"), ("visibility", "restricted"), ("mine", "\0")]);
        let wanted = target(&text, Precondition::Absent).expect("a target");
        assert_eq!((wanted.path.as_str(), wanted.cache_ttl_s, wanted.mime.as_deref()), ("a/ü.webm", Some(60), Some("video/webm")));
        assert_eq!((wanted.visibility, wanted.precondition), (Some(Visibility::Restricted), Precondition::Absent));
        let plain = target(&metadata(&[("name", "C:\\x\\b.png"), ("filetype", "")]), Precondition::None).expect("a target");
        assert_eq!((plain.path.as_str(), plain.mime, plain.cache_ttl_s), ("b.png", None, None));
        assert!(target("path YQ==, is_confidential", Precondition::None).is_ok(), "a name alone");
    }

    #[test]
    fn what_is_no_metadata() {
        let bad = [
            String::new(),
            "path".to_owned(),
            "path !".to_owned(),
            "path YQ==,path YQ==".to_owned(),
            "path YQ==,,".to_owned(),
            metadata(&[("path", "../a")]),
            metadata(&[("path", "a"), ("cache_ttl", "x")]),
            metadata(&[("path", "a"), ("mime", "x")]),
            metadata(&[("path", "a"), ("visibility", "x")]),
            format!("path YQ==,x {}", "A".repeat(4_096)),
        ];
        for text in bad {
            assert!(target(&text, Precondition::None).is_err(), "{text}");
        }
    }
}
