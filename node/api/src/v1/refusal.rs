//! What version 1 answers when it does not do what was asked.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use ncore_domain::{ChangeError, ZoneError};
use ncore_model::Rejection;
use serde_json::json;

use crate::{
    front::at,
    problem::{Kind, Problem},
    v2::json,
};

/// A request that is not carried out.
pub(super) enum Refusal {
    /// As any other family would refuse it.
    Problem(Problem),
    /// Because of some of its fields.
    Invalid(Invalid),
}

/// What is wrong, by field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Invalid {
    errors: BTreeMap<String, Vec<String>>,
}

impl Invalid {
    /// Adds what is wrong with a field.
    pub(super) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.errors.entry(field.to_owned()).or_default().push(message.into());
    }

    /// This one field.
    pub(super) fn one(field: &str, message: impl Into<String>) -> Self {
        let mut invalid = Self::default();
        invalid.add(field, message);
        invalid
    }

    /// Nothing, if nothing is wrong.
    ///
    /// # Errors
    /// What is.
    pub(super) fn none(self) -> Result<(), Self> {
        if self.errors.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<ZoneError> for Refusal {
    fn from(error: ZoneError) -> Self {
        let (rejection, revision) = match error {
            ZoneError::Unknown => return not_found().into(),
            ZoneError::Reserved { .. } => return Invalid::one("custom_domains", error.to_string()).into(),
            ZoneError::State(error) => return Problem::from(error).into(),
            ZoneError::Change(ChangeError::Rejected { rejection, revision }) => (rejection, revision),
            ZoneError::Change(error) => return Problem::from(error).into(),
        };
        match rejection {
            Rejection::ZoneUnknown => not_found().decided_at(revision).into(),
            Rejection::ZoneInvalid { field } => Invalid::one(field.as_str(), rejection.to_string()).into(),
            Rejection::HostTaken { .. } => Invalid::one("custom_domains", rejection.to_string()).into(),
            Rejection::TooManyZones { .. } => Invalid::one("zones", rejection.to_string()).into(),
            rejection => Problem::from(ChangeError::Rejected { rejection, revision }).into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Invalid(Invalid { errors }) => {
                let document = json!({ "message": "The given data was invalid.", "errors": errors });
                json::respond(StatusCode::UNPROCESSABLE_ENTITY, &document)
            }
        }
    }
}

/// There is no such thing, or it is another client's.
pub(super) fn not_found() -> Problem {
    Problem::new(Kind::EndpointNotFound, "no such zone, or no such purge of it")
}

/// An answer, from this state.
pub(super) type Answer = Result<Response, Refusal>;

/// A document, as it was at a revision.
pub(super) fn answer(revision: ncore_model::Revision, status: StatusCode, document: &serde_json::Value) -> Response {
    at(revision, json::respond(status, document))
}
