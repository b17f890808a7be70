//! What is asked of the head of a response beyond what hyper asks: that it does not contradict itself about where its body ends, and has
//! no more fields than may be.

use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, StatusCode};

use crate::error::{ErrorKind, OriginError};
use crate::fields::strip_hop_by_hop;
use crate::link::MOST_FIELDS;
use crate::request::Outgoing;

/// Why the head of a response is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("its status is none that HTTP has")]
    Status,
    #[error("it changes the protocol, which was not asked for")]
    Switch,
    #[error("it is for another request: nobody asked for a part, or said what he has")]
    NotAsked,
    #[error("it says twice where its body ends")]
    Framing,
    #[error("its transfer coding is one that cannot be taken off")]
    Coding,
    #[error("its length is no number")]
    Length,
}

/// Checks the head of a response and removes the fields that are for the connection only.
pub(crate) fn check_head(head: &mut Parts) -> Result<(), OriginError> {
    let bad = |why: BadHead| OriginError::because(ErrorKind::Malformed, why);
    if head.headers.len() > MOST_FIELDS {
        return Err(OriginError::new(ErrorKind::HeadTooLarge));
    }
    if head.status.as_u16() >= 600 {
        return Err(bad(BadHead::Status));
    }
    check_framing(&mut head.headers).map_err(bad)?;
    strip_hop_by_hop(&mut head.headers);
    Ok(())
}

/// A response that changes the protocol although nobody asked.
pub(crate) fn check_no_switch(status: StatusCode) -> Result<(), OriginError> {
    if status == StatusCode::SWITCHING_PROTOCOLS { Err(OriginError::because(ErrorKind::Malformed, BadHead::Switch)) } else { Ok(()) }
}

/// A response without content, or with a part of it, although the request was for the whole: its viewer would be left with nothing.
pub(crate) fn check_asked(status: StatusCode, request: &Outgoing) -> Result<(), OriginError> {
    if request.allows(status) { Ok(()) } else { Err(OriginError::because(ErrorKind::Malformed, BadHead::NotAsked)) }
}

/// Whether a body in this transfer coding is the content as soon as its framing is off. It is chunked, or the word means nothing: then the
/// body ends with the connection (RFC 9112 §6.3). A compressed one would be handed on as what it is not.
fn may_pass(coding: &HeaderValue) -> bool {
    let coding = coding.as_bytes().trim_ascii();
    let is_one = !coding.is_empty() && !coding.contains(&b',') && !coding.contains(&b';');
    is_one && !COMPRESSED.iter().any(|known| coding.eq_ignore_ascii_case(known))
}

/// The transfer codings there are beside chunked (RFC 9112 §7).
const COMPRESSED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"compress", b"x-compress", b"deflate"];

/// Two lengths, or a length and a coding, are how responses are split (RFC 9112 §6.1, §6.3): whoever is behind might read it otherwise.
fn check_framing(headers: &mut HeaderMap) -> Result<(), BadHead> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !may_pass(coding) {
            return Err(BadHead::Coding);
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Err(BadHead::Framing);
        }
    }
    let mut length: Option<u64> = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let part = part.trim_ascii();
            let digits = !part.is_empty() && part.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(part).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            match (length, number) {
                (_, None) => return Err(BadHead::Length),
                (Some(before), Some(number)) if before != number => return Err(BadHead::Framing),
                (_, number) => length = number,
            }
        }
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{BadHead, check_framing};

    fn framing(fields: &[(&'static str, &'static str)]) -> Result<Vec<String>, BadHead> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        check_framing(&mut headers)?;
        Ok(headers.get_all("content-length").iter().map(|value| value.to_str().expect("text").to_owned()).collect())
    }

    #[test]
    fn where_a_body_ends_is_said_once() {
        assert_eq!(framing(&[("content-length", "5")]), Ok(vec!["5".to_owned()]));
        assert_eq!(framing(&[("content-length", "5, 5"), ("content-length", "05")]), Ok(vec!["5".to_owned()]));
        assert_eq!(framing(&[("transfer-encoding", "Chunked")]), Ok(vec![]));
        assert_eq!(framing(&[("transfer-encoding", "identity")]), Ok(vec![]), "up to the end of the connection");
        for (fields, bad) in [
            (&[("content-length", "5"), ("content-length", "6")][..], BadHead::Framing),
            (&[("content-length", "5,6")], BadHead::Framing),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], BadHead::Framing),
            (&[("content-length", "+5")], BadHead::Length),
            (&[("content-length", "-1")], BadHead::Length),
            (&[("content-length", "")], BadHead::Length),
            (&[("content-length", "5,")], BadHead::Length),
            (&[("content-length", "99999999999999999999")], BadHead::Length),
            (&[("transfer-encoding", "gzip, chunked")], BadHead::Coding),
            (&[("transfer-encoding", "gzip")], BadHead::Coding),
            (&[("transfer-encoding", "")], BadHead::Coding),
            (&[("content-length", "5"), ("transfer-encoding", "identity")], BadHead::Framing),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], BadHead::Coding),
        ] {
            assert_eq!(framing(fields), Err(bad), "{fields:?}");
        }
    }
}
