//! What came of a request, as far as the client can know.
//!
//! "Unknown" is a result of its own: a request that was sent and not answered may have been done. Whoever treats it as
//! a failure has a test that finds nothing.

use super::Revision;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// The result of a request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It was done.
    Ok(T),
    /// It was refused and not done; the same request will be refused again.
    Rejected(Box<Problem>),
    /// It was not done; another node, or the same one later, may do it.
    Unavailable(Cause),
    /// It may have been done, or may yet be done. To find out, repeat it with the same idempotency key.
    Unknown(Cause),
}

/// Why a request has no definite answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The node could not be connected to: nothing was sent.
    NotConnected(String),
    /// No answer within the client's deadline.
    Timeout,
    /// The connection broke after (a part of) the request was sent.
    Broken(String),
    /// The node itself says so.
    Answered(Box<Problem>),
}

/// An error answer of the API (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Problem {
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// The name of the error; empty if the body is not a problem document.
    #[serde(default)]
    pub code: String,
    /// For writes that did not happen: `unavailable`; that may have happened: `unknown`.
    #[serde(default)]
    pub outcome: Option<String>,
    /// The id of the request, also in the header `X-Request-Id`.
    #[serde(default)]
    pub request_id: Option<String>,
    /// What a person may want to know.
    #[serde(default)]
    pub detail: Option<String>,
    /// The header `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// The header `Content-Type`.
    #[serde(skip)]
    pub content_type: String,
    /// The header `X-NCore-Revision`: from which state this was said.
    #[serde(skip)]
    pub revision: Option<Revision>,
}

impl<T> Outcome<T> {
    /// The value, or an error that says what happened.
    ///
    /// # Errors
    /// [`NotDone`] unless it was done.
    pub fn done(self) -> Result<T, NotDone> {
        match self {
            Self::Ok(value) => Ok(value),
            Self::Rejected(problem) => Err(NotDone::Rejected(problem)),
            Self::Unavailable(cause) => Err(NotDone::Unavailable(cause)),
            Self::Unknown(cause) => Err(NotDone::Unknown(cause)),
        }
    }

    /// Changes the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Ok(value) => Outcome::Ok(change(value)),
            Self::Rejected(problem) => Outcome::Rejected(problem),
            Self::Unavailable(cause) => Outcome::Unavailable(cause),
            Self::Unknown(cause) => Outcome::Unknown(cause),
        }
    }

    /// The node's own words, if it did answer with an error.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Rejected(problem) | Self::Unavailable(Cause::Answered(problem)) | Self::Unknown(Cause::Answered(problem)) => {
                Some(problem)
            }
            Self::Ok(_) | Self::Unavailable(_) | Self::Unknown(_) => None,
        }
    }
}

/// [`Outcome`] without its good case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotDone {
    /// See [`Outcome::Rejected`].
    #[error("rejected: {0}")]
    Rejected(Box<Problem>),
    /// See [`Outcome::Unavailable`].
    #[error("unavailable: {0}")]
    Unavailable(Cause),
    /// See [`Outcome::Unknown`].
    #[error("outcome unknown: {0}")]
    Unknown(Cause),
}

impl Cause {
    /// Sorts what reqwest reports into `Unavailable` and `Unknown`.
    pub(super) fn outcome<T>(error: &reqwest::Error) -> Outcome<T> {
        match Self::of(error) {
            cause @ Self::NotConnected(_) => Outcome::Unavailable(cause),
            cause => Outcome::Unknown(cause),
        }
    }

    /// What became of the connection.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            Self::NotConnected(chain(error))
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Broken(chain(error))
        }
    }
}

impl Problem {
    /// Sorts an error answer. What the node does not call unavailable may have happened if the status is 5xx.
    pub(super) fn outcome<T>(self) -> Outcome<T> {
        let unavailable = self.outcome.as_deref() == Some("unavailable") || self.status == TOO_MANY;
        match self.status {
            _ if unavailable => Outcome::Unavailable(Cause::Answered(Box::new(self))),
            // Nothing was stored for lack of room; there is no point in asking the same node again soon.
            507 => Outcome::Rejected(Box::new(self)),
            500.. => Outcome::Unknown(Cause::Answered(Box::new(self))),
            _ => Outcome::Rejected(Box::new(self)),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected(error) => write!(f, "not connected: {error}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Broken(error) => write!(f, "connection broken: {error}"),
            Self::Answered(problem) => problem.fmt(f),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        let extras = [("outcome", &self.outcome), ("request", &self.request_id), ("detail", &self.detail)];
        for (name, value) in extras {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The rate limiter turns requests away before it looks at them.
const TOO_MANY: u16 = 429;

#[cfg(test)]
mod tests {
    use super::{Cause, Outcome, Problem};

    fn outcome(status: u16, word: Option<&str>) -> Outcome<()> {
        Problem { status, outcome: word.map(str::to_owned), ..Problem::default() }.outcome()
    }

    #[test]
    fn only_the_node_can_say_that_nothing_happened() {
        assert!(matches!(outcome(503, Some("unavailable")), Outcome::Unavailable(Cause::Answered(_))));
        assert!(matches!(outcome(503, Some("unknown")), Outcome::Unknown(Cause::Answered(_))));
        assert!(matches!(outcome(503, None), Outcome::Unknown(Cause::Answered(_))));
        assert!(matches!(outcome(500, None), Outcome::Unknown(Cause::Answered(_))));
        assert!(matches!(outcome(422, None), Outcome::Rejected(_)));
        assert!(matches!(outcome(507, None), Outcome::Rejected(_)));
        assert!(matches!(outcome(429, None), Outcome::Unavailable(_)));
    }
}
