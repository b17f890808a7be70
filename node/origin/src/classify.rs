//! What hyper's errors mean here.

use std::error::Error as StdError;
use std::io;

use h2::Reason;

use crate::error::ErrorKind;
use crate::frames::Breach;

/// What is known of a request when its connection gives an error instead of the head of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    /// Whether the connection had been used before.
    pub(crate) used: bool,
    /// Whether any byte came since the request.
    pub(crate) answered: bool,
    /// What ended the connection, if it was what the origin did.
    pub(crate) breach: Option<Breach>,
}

/// What an error in place of the head of a response means.
pub(crate) fn head_error(error: &hyper::Error, circumstances: Circumstances) -> ErrorKind {
    if let Some(breach) = circumstances.breach {
        return breach.kind();
    }
    if error.is_parse_too_large() {
        return ErrorKind::HeadTooLarge;
    }
    if error.is_parse() {
        return ErrorKind::Malformed;
    }
    if let Some(h2) = find::<h2::Error>(error) {
        match h2.reason() {
            Some(Reason::REFUSED_STREAM) => return ErrorKind::Unprocessed,
            Some(
                Reason::PROTOCOL_ERROR
                | Reason::FRAME_SIZE_ERROR
                | Reason::COMPRESSION_ERROR
                | Reason::FLOW_CONTROL_ERROR
                | Reason::HTTP_1_1_REQUIRED
                | Reason::ENHANCE_YOUR_CALM,
            ) => return ErrorKind::Malformed,
            // The origin ended this one request, rather than the connection: it has seen it.
            _ if h2.is_reset() => return ErrorKind::Reset,
            _ => {}
        }
    }
    if circumstances.used && !circumstances.answered { ErrorKind::Stale } else { ErrorKind::Reset }
}

/// What an error within the body of a response means.
pub(crate) fn body_error(error: &hyper::Error) -> ErrorKind {
    if let Some(h2) = find::<h2::Error>(error) {
        return match h2.reason() {
            Some(Reason::PROTOCOL_ERROR | Reason::FRAME_SIZE_ERROR | Reason::FLOW_CONTROL_ERROR) if !h2.is_remote() => {
                ErrorKind::BodyMalformed
            }
            // What this node found wrong itself, below the library.
            _ if h2.get_io().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) => ErrorKind::BodyMalformed,
            _ => ErrorKind::BodyReset,
        };
    }
    if error.is_incomplete_message() {
        return ErrorKind::BodyShort;
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::UnexpectedEof) => ErrorKind::BodyShort,
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => ErrorKind::BodyMalformed,
        _ if error.is_parse() => ErrorKind::BodyMalformed,
        _ => ErrorKind::BodyReset,
    }
}

/// The first error of this kind among an error's causes.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
