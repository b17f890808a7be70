//! Which error of the domain is which problem.

use std::error::Error;

use ncore_control::ReadError;
use ncore_domain::{AssetError, ChangeError, ResumableError, SignError, StateError, UploadError};
use ncore_model::Rejection;

use super::{Kind, Problem};

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Stopping => Self::new(Kind::Unavailable, error.to_string()),
            StateError::Replica(_) | StateError::Table(_) => Self::internal(&error),
        }
    }
}

impl From<AssetError> for Problem {
    fn from(error: AssetError) -> Self {
        match error {
            AssetError::Unknown => Self::new(Kind::AssetNotFound, error.to_string()),
            AssetError::OfOther => Self::new(Kind::AssetOfOther, error.to_string()),
            AssetError::State(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unavailable { .. } => Self::new(Kind::Unavailable, error.to_string()),
            ChangeError::Unknown { reason } => Self::new(
                Kind::Unknown,
                format!("whether the change took place is not known: {reason}; repeat it with the same Idempotency-Key to find out"),
            ),
            ChangeError::Rejected { rejection, revision } => rejected(&rejection).decided_at(revision),
            ChangeError::Unreadable(_) | ChangeError::Unexpected => {
                tracing::error!(error = &error as &dyn Error, "a change took place, and its answer is lost");
                Self::new(Kind::AnswerLost, error.to_string())
            }
        }
    }
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Lifetime => Self::new(Kind::InvalidField, error.to_string()),
            SignError::ClientUnknown => Self::new(Kind::Unavailable, error.to_string()),
            SignError::State(error) => error.into(),
        }
    }
}

/// What kind of refusal a rejection is; `None` for the answers to commands that no customer asks for.
pub(crate) fn kind_of(rejection: &Rejection) -> Option<Kind> {
    Some(match rejection {
        Rejection::AssetUnknown => Kind::AssetNotFound,
        Rejection::AssetOfOther => Kind::AssetOfOther,
        Rejection::ClientBlocked => Kind::ClientBlocked,
        Rejection::PreconditionFailed => Kind::PreconditionFailed,
        Rejection::PathTaken => Kind::PathTaken,
        Rejection::VisibilityFixed => Kind::VisibilityFixed,
        Rejection::KeyReused => Kind::KeyReused,
        Rejection::StorageQuota { .. } => Kind::StorageQuota,
        Rejection::ClientHasAssets => Kind::ClientHasAssets,
        Rejection::ClientHasZones => Kind::ClientHasZones,
        Rejection::HostTaken { .. } => Kind::HostTaken,
        Rejection::TooManyRefreshTokens => Kind::TooManyRefreshTokens,
        Rejection::FieldTooLong => Kind::InvalidField,
        Rejection::SchemaTooLow { .. } => Kind::SchemaTooLow,
        Rejection::UploadUnknown => Kind::UploadNotFound,
        Rejection::UploadOffset { .. } => Kind::UploadOffset,
        Rejection::UploadLength => Kind::UploadLength,
        Rejection::TooManyUploads => Kind::TooManyUploads,
        Rejection::TooManyParts => Kind::TooManyParts,
        // The client was there when its token was checked; nodes come and go, and so does time. A new try meets them as they are.
        Rejection::TooLate
        | Rejection::HolderRemoved
        | Rejection::RequestExpired
        | Rejection::NotInitialised
        | Rejection::ClientUnknown => Kind::Unavailable,
        _ => return None,
    })
}

fn rejected(rejection: &Rejection) -> Problem {
    match kind_of(rejection) {
        Some(kind) => Problem::new(kind, rejection.to_string()),
        None => Problem::internal(rejection),
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let kind = match error {
            UploadError::TooLarge { .. } => Kind::UploadTooLarge,
            UploadError::Full => Kind::DiskFull,
            UploadError::Busy => Kind::Busy,
            UploadError::TooFewCopies { .. } => Kind::TooFewCopies,
            UploadError::State(error) => return error.into(),
            UploadError::Change(error) => return error.into(),
            UploadError::Target => return Self::internal(&error),
            UploadError::Store(_) => {
                tracing::error!(error = &error as &dyn Error, "an upload cannot be stored");
                Kind::Unavailable
            }
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ResumableError> for Problem {
    fn from(error: ResumableError) -> Self {
        let kind = match error {
            ResumableError::Unknown => Kind::UploadNotFound,
            ResumableError::Offset { .. } => Kind::UploadOffset,
            ResumableError::TooLong { .. } => Kind::UploadLength,
            ResumableError::PieceOutOfReach | ResumableError::Read(ReadError::NoLeader) => Kind::Unavailable,
            ResumableError::Read(ReadError::Behind { .. } | ReadError::Lost { .. }) => Kind::Behind,
            ResumableError::State(error) => return error.into(),
            ResumableError::Change(error) => return error.into(),
            ResumableError::Upload(error) => return error.into(),
        };
        Self::new(kind, error.to_string())
    }
}
