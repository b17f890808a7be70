//! Why an origin gave no answer, or not a whole one: what went wrong, whose fault it is, whether another try makes sense, and what the
//! viewer is told. Nothing in here carries a secret: an address of an origin has no user information ([`OriginUrl`](crate::OriginUrl)
//! refuses it), and fields of requests are never named.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;

/// An error of any kind, as bodies have them.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why there is no response, or why its body ended early.
#[derive(Debug)]
pub struct OriginError {
    kind: ErrorKind,
    origin: Option<Arc<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl OriginError {
    pub(crate) const fn new(kind: ErrorKind) -> Self {
        Self { kind, origin: None, source: None }
    }

    pub(crate) fn because(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, origin: None, source: Some(Arc::from(source.into())) }
    }

    /// An error that another node had with an origin.
    #[must_use]
    pub const fn reported(kind: ErrorKind) -> Self {
        Self::new(kind)
    }

    /// The same error, of this origin.
    pub(crate) fn at(mut self, origin: &Arc<str>) -> Self {
        self.origin.get_or_insert_with(|| Arc::clone(origin));
        self
    }

    /// The same error for another request that waited for the same thing.
    pub(crate) fn share(&self) -> Self {
        Self { kind: self.kind, origin: self.origin.clone(), source: self.source.clone() }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.kind.fault()
    }

    /// Whether another try makes sense.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        self.kind.retry()
    }

    /// What the viewer is answered, if there is nothing stale to give.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The origin, as host and port.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "origin {origin}: {}", self.kind.describe()),
            None => f.write_str(self.kind.describe()),
        }
    }
}

impl StdError for OriginError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The origin answered, and wrongly, or accepted and never answered.
    Origin,
    /// The origin was not reached, or the connection to it broke.
    Network,
    /// This node has no room.
    Here,
    /// The operator does not allow such a target.
    Policy,
    /// The viewer, whose request could not be sent, or whose body did not come.
    Viewer,
}

impl Fault {
    /// The name in logs and figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Network => "network",
            Self::Here => "here",
            Self::Policy => "policy",
            Self::Viewer => "viewer",
        }
    }
}

/// Whether another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing of the request reached an origin: any request may be sent again.
    Unsent,
    /// It may have reached one: a request that may be carried out twice may be sent again, if its body can be.
    IfIdempotent,
    /// No.
    Never,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The origin's address is one that the operator does not allow.
    Refused,
    /// The name of the origin has no address.
    Unresolved,
    /// No address of the origin took the connection.
    Unreachable,
    /// No address of the origin took the connection in time.
    ConnectTimeout,
    /// There is no TLS with it: its certificate is not what it should be, or it speaks something else.
    Tls,
    /// The TLS handshake did not end in time.
    TlsTimeout,
    /// As many requests or connections as may be are under way, and none ended in time.
    Busy,
    /// The origin, or its connection as it ended, said that it did nothing with the request.
    Unprocessed,
    /// A connection that had been used before ended before any byte of a response.
    Stale,
    /// The connection ended before the whole head of a response was there.
    Reset,
    /// No head of a response came in time.
    HeadTimeout,
    /// The head of the response is longer, or has more fields, than may be.
    HeadTooLarge,
    /// What came is no HTTP, or contradicts itself.
    Malformed,
    /// Too many informational responses came before one that is final.
    TooManyInformational,
    /// The body of the response stood still for too long.
    BodyStalled,
    /// The connection broke within the body of the response.
    BodyReset,
    /// The body of the response ended before the length that was announced.
    BodyShort,
    /// The body of the response is not framed as it should be.
    BodyMalformed,
    /// The body of the request failed.
    RequestBody,
    /// The body of the request stood still for too long.
    RequestStalled,
    /// The request is of a kind that is not sent to origins.
    Unsendable,
}

impl ErrorKind {
    /// Every kind, in the order of [`as_str`](Self::as_str) in the documentation.
    pub const ALL: [Self; 21] = [
        Self::Refused,
        Self::Unresolved,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::Tls,
        Self::TlsTimeout,
        Self::Busy,
        Self::Unprocessed,
        Self::Stale,
        Self::Reset,
        Self::HeadTimeout,
        Self::HeadTooLarge,
        Self::Malformed,
        Self::TooManyInformational,
        Self::BodyStalled,
        Self::BodyReset,
        Self::BodyShort,
        Self::BodyMalformed,
        Self::RequestBody,
        Self::RequestStalled,
        Self::Unsendable,
    ];

    /// The name in logs and figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unresolved => "unresolved",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::TlsTimeout => "tls_timeout",
            Self::Busy => "busy",
            Self::Unprocessed => "unprocessed",
            Self::Stale => "stale",
            Self::Reset => "reset",
            Self::HeadTimeout => "head_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::Malformed => "malformed",
            Self::TooManyInformational => "too_many_informational",
            Self::BodyStalled => "body_stalled",
            Self::BodyReset => "body_reset",
            Self::BodyShort => "body_short",
            Self::BodyMalformed => "body_malformed",
            Self::RequestBody => "request_body",
            Self::RequestStalled => "request_stalled",
            Self::Unsendable => "unsendable",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What it means, in words for the log.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Refused => "its address is not one that origins may have here",
            Self::Unresolved => "its name has no address",
            Self::Unreachable => "it took no connection",
            Self::ConnectTimeout => "it took no connection in time",
            Self::Tls => "there is no TLS with it",
            Self::TlsTimeout => "the TLS handshake did not end in time",
            Self::Busy => "as many requests as may be are under way",
            Self::Unprocessed => "it did nothing with the request",
            Self::Stale => "a connection that was used before ended before any response",
            Self::Reset => "the connection ended before the head of a response",
            Self::HeadTimeout => "no head of a response came in time",
            Self::HeadTooLarge => "the head of the response is too large",
            Self::Malformed => "what came is not HTTP as it should be",
            Self::TooManyInformational => "too many informational responses came",
            Self::BodyStalled => "the body of the response stood still for too long",
            Self::BodyReset => "the connection broke within the body of the response",
            Self::BodyShort => "the body of the response ended before its length",
            Self::BodyMalformed => "the body of the response is not framed as it should be",
            Self::RequestBody => "the body of the request failed",
            Self::RequestStalled => "the body of the request stood still for too long",
            Self::Unsendable => "such a request is not sent to origins",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::Refused => Fault::Policy,
            Self::Unresolved | Self::Unreachable | Self::ConnectTimeout | Self::Stale | Self::Reset | Self::BodyReset => Fault::Network,
            Self::Busy => Fault::Here,
            Self::Tls
            | Self::TlsTimeout
            | Self::Unprocessed
            | Self::HeadTimeout
            | Self::HeadTooLarge
            | Self::Malformed
            | Self::TooManyInformational
            | Self::BodyStalled
            | Self::BodyShort
            | Self::BodyMalformed => Fault::Origin,
            Self::RequestBody | Self::RequestStalled | Self::Unsendable => Fault::Viewer,
        }
    }

    /// Whether another try makes sense.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::Unresolved | Self::Unreachable | Self::ConnectTimeout | Self::Tls | Self::TlsTimeout | Self::Busy | Self::Unprocessed => {
                Retry::Unsent
            }
            Self::Stale => Retry::IfIdempotent,
            _ => Retry::Never,
        }
    }

    /// What the viewer is answered.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::ConnectTimeout | Self::TlsTimeout | Self::HeadTimeout | Self::BodyStalled => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestBody | Self::Unsendable => StatusCode::BAD_REQUEST,
            Self::RequestStalled => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether it says something about how well the origin is. A connection that went stale in the pool says nothing.
    pub(crate) const fn is_failure_of_origin(self) -> bool {
        matches!(self.fault(), Fault::Origin | Fault::Network) && !matches!(self, Self::Stale | Self::Unprocessed)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorKind, Fault, Retry};

    #[test]
    fn kinds_are_listed_once_each_and_have_names_of_their_own() {
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index, "{}", kind.as_str());
            assert!(!ErrorKind::ALL[..index].iter().any(|other| other.as_str() == kind.as_str()), "{}", kind.as_str());
        }
    }

    #[test]
    fn what_the_viewer_did_is_never_tried_again_and_never_a_5xx() {
        for kind in ErrorKind::ALL {
            assert_eq!(kind.fault() == Fault::Viewer, kind.status().is_client_error(), "{}", kind.as_str());
            if kind.fault() == Fault::Viewer {
                assert_eq!(kind.retry(), Retry::Never);
                assert!(!kind.is_failure_of_origin());
            }
        }
    }
}
