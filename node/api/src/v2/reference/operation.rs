//! What an endpoint is, for the document.

use ncore_model::Scope;
use schemars::SchemaGenerator;
use serde_json::Value;

use crate::{problem::Kind, v2::STATUS_PATH};

/// A method of a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    pub(super) parameters: &'static [Parameter],
    /// The bodies that it takes, one of them.
    pub(super) bodies: &'static [Body],
    /// Whether one of them must be sent.
    pub(super) needs_a_body: bool,
    pub(super) successes: &'static [Success],
    /// The problems that are its own, beside those of every operation and of its access.
    pub(super) own_problems: &'static [Kind],
    /// Statuses with which it answers an error of OAuth.
    pub(super) oauth_errors: &'static [u16],
}

/// Who may call it.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Anybody,
    Token(Scope),
    /// As above, and administrators.
    TokenOrAdministrator(Scope),
    /// Any token of a client.
    AnyToken,
    Administrator,
    /// Whoever has the secret of a client.
    Secret,
    /// As above, and administrators.
    SecretOrAdministrator,
}

pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) description: &'static str,
    pub(super) schema: fn() -> Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    /// A header without which the request is refused.
    NeededHeader,
}

impl Place {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header | Self::NeededHeader => "header",
        }
    }

    pub(super) const fn is_required(self) -> bool {
        matches!(self, Self::Path | Self::NeededHeader)
    }
}

pub(super) type Schema = fn(&mut SchemaGenerator) -> Value;

pub(super) struct Body {
    pub(super) media_type: &'static str,
    pub(super) schema: Schema,
}

pub(super) struct Success {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) schema: Option<Schema>,
    /// The type of its body, if it has one.
    pub(super) media_type: &'static str,
    /// Headers beside those of every response.
    pub(super) headers: &'static [(&'static str, &'static str)],
}

/// What any request may meet.
const OF_ALL: [Kind; 7] =
    [Kind::InvalidHeader, Kind::RevisionUnknown, Kind::RevisionLost, Kind::Behind, Kind::Unavailable, Kind::Unknown, Kind::Internal];
/// What a request with a token may meet.
const OF_TOKENS: [Kind; 6] =
    [Kind::TokenMissing, Kind::TokenMalformed, Kind::TokenInvalid, Kind::AddressNotAllowed, Kind::SiteNotAllowed, Kind::Fenced];
/// What one whose scopes matter may meet besides.
const OF_SCOPES: [Kind; 2] = [Kind::ScopeMissing, Kind::ClientUnderReview];
/// What a request that is for administrators may meet besides.
const OF_ADMINISTRATORS: [Kind; 1] = [Kind::AdministratorRequired];

impl Operation {
    /// Every problem that it may answer with.
    pub(super) fn problems(&self) -> impl Iterator<Item = Kind> {
        let (of_tokens, more): (&[Kind], &[Kind]) = match self.access {
            Access::Anybody | Access::Secret => (&[], &[]),
            Access::Token(_) | Access::TokenOrAdministrator(_) => (&OF_TOKENS, &OF_SCOPES),
            Access::AnyToken | Access::SecretOrAdministrator => (&OF_TOKENS, &[]),
            Access::Administrator => (&OF_TOKENS, &OF_ADMINISTRATORS),
        };
        let limited: &[Kind] = if self.is_limited() { &[Kind::RateLimited] } else { &[] };
        OF_ALL.iter().chain(limited).chain(of_tokens).chain(more).chain(self.own_problems).copied()
    }

    /// Whether a request counts for a limit.
    pub(super) fn is_limited(&self) -> bool {
        self.path != STATUS_PATH
    }
}
