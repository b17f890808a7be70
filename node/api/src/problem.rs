//! Every error of the API: one table of what went wrong, with its status and its name.
//!
//! A handler answers with a [`Problem`]. That is a status, some headers, and the problem itself in the extensions of the
//! response; the family that was asked gives it a body in its own style.

mod from_domain;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE},
};
use ncore_model::Revision;

use crate::front::X_NCORE_REVISION;

pub(crate) use from_domain::kind_of;

/// What went wrong. See [`Kind::row`] for the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    TokenMissing,
    TokenMalformed,
    TokenInvalid,
    ScopeMissing,
    AddressNotAllowed,
    SiteNotAllowed,
    AdministratorRequired,
    ClientUnderReview,
    ClientBlocked,
    StorageQuota,
    AssetOfOther,
    PathTaken,
    VisibilityFixed,
    EndpointNotFound,
    AssetNotFound,
    ClientNotFound,
    ClientHasAssets,
    ClientHasZones,
    HostTaken,
    TooManyRefreshTokens,
    UploadNotFound,
    UploadOffset,
    UploadLength,
    TooManyUploads,
    TooManyParts,
    ChecksumMismatch,
    TusVersion,
    MethodNotAllowed,
    InvalidBody,
    IncompleteBody,
    InvalidField,
    InvalidQuery,
    InvalidCursor,
    InvalidHeader,
    UnsupportedMediaType,
    PreconditionFailed,
    KeyReused,
    RevisionLost,
    RevisionUnknown,
    UploadTooLarge,
    BodyTooLarge,
    DiskFull,
    TooFewCopies,
    SchemaTooLow,
    RateLimited,
    Busy,
    Behind,
    Fenced,
    Unavailable,
    Unknown,
    AnswerLost,
    Internal,
}

/// What the caller may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The same request will be refused again.
    Never,
    /// The same request may succeed, after this many seconds.
    After(u8),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) retry: Retry,
    /// For changes: `unavailable` did certainly not take place, `unknown` may have. Silent where the status says it.
    pub(crate) outcome: Option<&'static str>,
}

impl Kind {
    /// Every one of them.
    pub(crate) const ALL: [Self; 52] = [
        Self::TokenMissing,
        Self::TokenMalformed,
        Self::TokenInvalid,
        Self::ScopeMissing,
        Self::AddressNotAllowed,
        Self::SiteNotAllowed,
        Self::AdministratorRequired,
        Self::ClientUnderReview,
        Self::ClientBlocked,
        Self::StorageQuota,
        Self::AssetOfOther,
        Self::PathTaken,
        Self::VisibilityFixed,
        Self::EndpointNotFound,
        Self::AssetNotFound,
        Self::ClientNotFound,
        Self::ClientHasAssets,
        Self::ClientHasZones,
        Self::HostTaken,
        Self::TooManyRefreshTokens,
        Self::UploadNotFound,
        Self::UploadOffset,
        Self::UploadLength,
        Self::TooManyUploads,
        Self::TooManyParts,
        Self::ChecksumMismatch,
        Self::TusVersion,
        Self::MethodNotAllowed,
        Self::InvalidBody,
        Self::IncompleteBody,
        Self::InvalidField,
        Self::InvalidQuery,
        Self::InvalidCursor,
        Self::InvalidHeader,
        Self::UnsupportedMediaType,
        Self::PreconditionFailed,
        Self::KeyReused,
        Self::RevisionLost,
        Self::RevisionUnknown,
        Self::UploadTooLarge,
        Self::BodyTooLarge,
        Self::DiskFull,
        Self::TooFewCopies,
        Self::SchemaTooLow,
        Self::RateLimited,
        Self::Busy,
        Self::Behind,
        Self::Fenced,
        Self::Unavailable,
        Self::Unknown,
        Self::AnswerLost,
        Self::Internal,
    ];

    /// The table.
    pub(crate) const fn row(self) -> Row {
        const NOT_DONE: Option<&str> = Some("unavailable");
        const NOT_KNOWN: Option<&str> = Some("unknown");
        match self {
            Self::TokenMissing => refused(401, "token_missing", "Missing token"),
            Self::TokenMalformed => refused(400, "token_malformed", "Malformed authorization"),
            Self::TokenInvalid => refused(401, "token_invalid", "Invalid token"),
            Self::ScopeMissing => refused(403, "scope_missing", "Token valid but lacks required scope"),
            Self::AddressNotAllowed => refused(403, "address_not_allowed", "Credentials may not be used from this address"),
            Self::SiteNotAllowed => refused(403, "site_not_allowed", "Token may not be used by pages of this site"),
            Self::AdministratorRequired => refused(403, "administrator_required", "Only administrators may do this"),
            Self::StorageQuota => refused(403, "storage_quota_exceeded", "Storage quota of the client is used up"),
            Self::ClientNotFound => refused(404, "client_not_found", "Client does not exist"),
            Self::ClientHasAssets => refused(409, "client_has_assets", "Client still has assets"),
            Self::ClientHasZones => refused(409, "client_has_zones", "Client still has zones"),
            Self::HostTaken => refused(409, "host_taken", "A zone has this host name"),
            Self::TooManyRefreshTokens => refused(409, "too_many_refresh_tokens", "Client has too many refresh tokens"),
            Self::ClientUnderReview => refused(403, "client_under_review", "Client is under review"),
            Self::ClientBlocked => refused(403, "client_blocked", "Client may not write"),
            Self::AssetOfOther => refused(403, "asset_of_other_client", "Asset belongs to different client"),
            Self::PathTaken => refused(409, "path_taken", "Another asset has this path"),
            Self::VisibilityFixed => refused(409, "visibility_fixed", "The path says who may read the asset"),
            Self::EndpointNotFound => refused(404, "endpoint_not_found", "Endpoint does not exist"),
            Self::AssetNotFound => refused(404, "asset_not_found", "Asset does not exist"),
            Self::UploadNotFound => refused(404, "upload_not_found", "Upload does not exist"),
            Self::UploadOffset => refused(409, "upload_offset", "Another number of bytes is there"),
            Self::UploadLength => refused(413, "upload_length", "More bytes came than the upload is to have"),
            Self::TooManyUploads => row(429, "too_many_uploads", "Too many uploads are open", Retry::After(60), NOT_DONE),
            Self::TooManyParts => refused(400, "too_many_parts", "The upload came in too many pieces"),
            Self::ChecksumMismatch => refused(460, "checksum_mismatch", "The bytes are not those of the checksum"),
            Self::TusVersion => refused(412, "tus_version", "Tus-Resumable must be 1.0.0"),
            Self::MethodNotAllowed => refused(405, "method_not_allowed", "Method not allowed"),
            Self::InvalidBody => refused(400, "invalid_body", "Malformed request body or missing params"),
            Self::IncompleteBody => refused(400, "incomplete_body", "The request body broke off"),
            Self::InvalidField => refused(400, "invalid_field", "A field of the request is not valid"),
            Self::InvalidQuery => refused(400, "invalid_query", "A query parameter is not valid"),
            Self::InvalidCursor => refused(400, "invalid_cursor", "The cursor is not of this list"),
            Self::InvalidHeader => refused(400, "invalid_header", "A header of the request is not valid"),
            Self::UnsupportedMediaType => refused(415, "unsupported_media_type", "Unsupported media type"),
            Self::PreconditionFailed => refused(412, "precondition_failed", "Precondition failed"),
            Self::KeyReused => refused(422, "idempotency_key_reused", "Idempotency key was used for another request"),
            Self::RevisionLost => refused(409, "revision_lost", "The revision is of a history that was lost"),
            Self::RevisionUnknown => refused(400, "revision_unknown", "No node has the revision"),
            Self::UploadTooLarge => refused(413, "upload_too_large", "Upload exceeds the per file limit"),
            Self::BodyTooLarge => refused(413, "body_too_large", "Request body is too large"),
            Self::DiskFull => row(507, "disk_full", "Insufficient storage", Retry::Never, None),
            Self::TooFewCopies => row(503, "too_few_copies", "Too few nodes can store the upload", Retry::After(5), NOT_DONE),
            Self::SchemaTooLow => row(503, "schema_too_low", "Not every node has been upgraded", Retry::After(60), NOT_DONE),
            Self::RateLimited => row(429, "rate_limited", "Too many requests", Retry::After(1), None),
            Self::Busy => row(503, "busy", "This node has too much to do", Retry::After(1), NOT_DONE),
            Self::Behind => row(503, "behind", "This node has not reached the revision", Retry::After(1), NOT_DONE),
            Self::Fenced => row(503, "fenced", "This node has lost touch with the cluster", Retry::After(1), NOT_DONE),
            Self::Unavailable => row(503, "unavailable", "The cluster cannot take changes now", Retry::After(1), NOT_DONE),
            Self::Unknown => row(503, "unknown", "Whether the change took place is not known", Retry::After(1), NOT_KNOWN),
            Self::AnswerLost => row(500, "answer_lost", "The change took place, and its answer is lost", Retry::Never, NOT_KNOWN),
            Self::Internal => row(500, "internal", "Contact support with request ID", Retry::Never, None),
        }
    }
}

const fn refused(status: u16, code: &'static str, title: &'static str) -> Row {
    row(status, code, title, Retry::Never, None)
}

const fn row(status: u16, code: &'static str, title: &'static str, retry: Retry, outcome: Option<&'static str>) -> Row {
    let status = match StatusCode::from_u16(status) {
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Row { status, code, title, retry, outcome }
}

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    /// `WWW-Authenticate` (RFC 6750, section 3).
    challenge: Option<String>,
    /// The state in which a change was refused; for other refusals, what the node had reached will do.
    revision: Option<Revision>,
    /// Which limit was reached, and after how many seconds there is more.
    quota: Option<(&'static str, u64)>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), challenge: None, revision: None, quota: None }
    }

    pub(crate) fn with_challenge(self, challenge: String) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// A refusal that the log decided, at this revision.
    pub(crate) fn decided_at(self, revision: Revision) -> Self {
        Self { revision: Some(revision), ..self }
    }

    /// The refusal of a request for which a limit has nothing left.
    pub(crate) fn over_quota(policy: &'static str, detail: String, retry_after_s: u64) -> Self {
        Self { quota: Some((policy, retry_after_s)), ..Self::new(Kind::RateLimited, detail) }
    }

    /// Something that is this node's fault. What it was goes to the log and not to the caller.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed for a reason of this node's own");
        Self::new(Kind::Internal, "this node failed; quote the request id")
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The limit that was reached, if it is that.
    pub(crate) fn violated_policy(&self) -> Option<&'static str> {
        self.quota.map(|(policy, _)| policy)
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let row = self.kind.row();
        let mut response = row.status.into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Retry::After(seconds) = row.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from(u16::from(seconds)));
        }
        if let Some((_, seconds)) = self.quota {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge.as_ref().and_then(|challenge| HeaderValue::from_str(challenge).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(revision) = self.revision.and_then(|revision| HeaderValue::try_from(revision.to_string()).ok()) {
            headers.insert(X_NCORE_REVISION, revision);
        }
        response.extensions_mut().insert(self);
        response
    }
}
