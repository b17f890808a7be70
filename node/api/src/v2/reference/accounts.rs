//! The endpoints of accounts and of those who manage them.

use serde_json::json;

use super::{
    operation::{Access, Operation, Parameter, Place, Success},
    table::{ACK, JSON, KEY, PLAIN, PREFER, REVISION, SECRET, json_body, schema, success},
};
use crate::{
    problem::Kind,
    v2::{
        admin::{Changes, Client, ClientPage, GivenToken, NewClient, Wanted},
        metadata::{AuthorizationServer, Keys},
        token::Facts,
    },
};

/// Every one of them.
pub(super) fn operations() -> [Operation; 11] {
    [
        authorization_server(),
        keys(),
        introspect(),
        account(),
        list(),
        register(),
        show(),
        change(),
        delete(),
        rotate_secret(),
        add_refresh_token(),
    ]
}

fn authorization_server() -> Operation {
    Operation {
        path: "/.well-known/oauth-authorization-server",
        id: "authorizationServer",
        tag: "credentials",
        summary: "Public. Where tokens come from (RFC 8414).",
        successes: &const { [success(200, "the metadata", schema::<AuthorizationServer>)] },
        ..PLAIN
    }
}

fn keys() -> Operation {
    Operation {
        path: "/.well-known/jwks.json",
        id: "keys",
        tag: "credentials",
        summary: "Public. The keys that access tokens are signed with (RFC 7517).",
        successes: &const {
            [Success { media_type: "application/jwk-set+json", ..success(200, "those that sign, signed, or will sign", schema::<Keys>) }]
        },
        ..PLAIN
    }
}

fn introspect() -> Operation {
    Operation {
        path: "/api/v2/auth/introspect",
        id: "introspectToken",
        summary: "What an access token is good for (RFC 7662): its own client asks, or an administrator.",
        access: Access::SecretOrAdministrator,
        successes: &const { [success(200, "what it is good for; `active` alone if it is for nothing", schema::<Facts>)] },
        own_problems: &[Kind::IncompleteBody, Kind::BodyTooLarge],
        ..SECRET
    }
}

fn account() -> Operation {
    Operation {
        path: "/api/v2/account",
        id: "showAccount",
        tag: "credentials",
        summary: "What a client is, what its plan allows, and how much it has stored. Any token of it will do.",
        access: Access::AnyToken,
        successes: &const { [success(200, "the client", schema::<Client>)] },
        own_problems: &[Kind::ClientNotFound],
        ..PLAIN
    }
}

const ADMIN: Operation = Operation { path: "/api/v2/admin/clients", tag: "administration", access: Access::Administrator, ..PLAIN };
const ONE: Operation = Operation { path: "/api/v2/admin/clients/{id}", ..ADMIN };
const ID: Parameter =
    Parameter { name: "id", place: Place::Path, description: "id of the client", schema: || json!({ "type": "string", "minLength": 1 }) };

fn list() -> Operation {
    Operation {
        id: "listClients",
        summary: "List clients. For administrators.",
        parameters: &const {
            [
                Parameter {
                    name: "limit",
                    place: Place::Query,
                    description: "the most clients of the page; beyond 1000 it is 1000",
                    schema: || json!({ "type": "integer", "minimum": 1, "default": 100 }),
                },
                Parameter {
                    name: "cursor",
                    place: Place::Query,
                    description: "`next_cursor` of the page before",
                    schema: || json!({ "type": "string" }),
                },
                REVISION,
            ]
        },
        successes: &const { [Success { headers: &[("Link", "the next page (RFC 8288)")], ..success(200, "a page", schema::<ClientPage>) }] },
        own_problems: &[Kind::InvalidQuery, Kind::InvalidCursor],
        ..ADMIN
    }
}

fn register() -> Operation {
    Operation {
        method: "POST",
        id: "registerClient",
        summary: "Register a client; its secret and refresh token are in this answer alone. For administrators.",
        parameters: &const { [KEY, REVISION] },
        bodies: &const { [json_body(schema::<Wanted>)] },
        successes: &const { [Success { headers: &[("Location", "of the client")], ..success(201, "registered", schema::<NewClient>) }] },
        own_problems: &[
            Kind::InvalidBody,
            Kind::IncompleteBody,
            Kind::InvalidField,
            Kind::UnsupportedMediaType,
            Kind::BodyTooLarge,
            Kind::KeyReused,
            Kind::ClientNotFound,
            Kind::HostTaken,
            Kind::SchemaTooLow,
            Kind::Busy,
            Kind::AnswerLost,
        ],
        ..ADMIN
    }
}

fn show() -> Operation {
    Operation {
        id: "showClient",
        summary: "Show a client. For administrators.",
        parameters: &const { [ID, REVISION] },
        successes: &const { [success(200, "the client", schema::<Client>)] },
        own_problems: &[Kind::EndpointNotFound, Kind::ClientNotFound],
        ..ONE
    }
}

fn change() -> Operation {
    Operation {
        method: "PATCH",
        id: "changeClient",
        summary: "Change a client: what is left out stays as it is. Its tokens follow. For administrators.",
        parameters: &const { [ID, KEY, PREFER, REVISION] },
        bodies: &const { [json_body(schema::<Changes>)] },
        successes: &const { [Success { headers: &[ACK], ..success(200, "the client as it is now", schema::<Client>) }] },
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::ClientNotFound,
            Kind::InvalidBody,
            Kind::IncompleteBody,
            Kind::InvalidField,
            Kind::UnsupportedMediaType,
            Kind::BodyTooLarge,
            Kind::KeyReused,
            Kind::HostTaken,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}

fn delete() -> Operation {
    Operation {
        method: "DELETE",
        id: "deleteClient",
        summary: "Remove a client that has neither assets nor zones. For administrators.",
        parameters: &const { [ID, KEY, PREFER, REVISION] },
        successes: &[Success { status: 204, description: "it is gone", schema: None, media_type: JSON, headers: &[ACK] }],
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::ClientNotFound,
            Kind::ClientHasAssets,
            Kind::ClientHasZones,
            Kind::KeyReused,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}

fn rotate_secret() -> Operation {
    Operation {
        method: "POST",
        path: "/api/v2/admin/clients/{id}/secret",
        id: "rotateSecret",
        summary: "Another secret and refresh token for a client; what it had is good for nothing any more. For administrators.",
        parameters: &const { [ID, KEY, PREFER, REVISION] },
        successes: &const { [Success { headers: &[ACK], ..success(200, "the client", schema::<NewClient>) }] },
        own_problems: &[Kind::EndpointNotFound, Kind::ClientNotFound, Kind::KeyReused, Kind::SchemaTooLow, Kind::Busy, Kind::AnswerLost],
        ..ONE
    }
}

fn add_refresh_token() -> Operation {
    Operation {
        method: "POST",
        path: "/api/v2/admin/clients/{id}/refresh-tokens",
        id: "addRefreshToken",
        summary: "A further refresh token for a client. For administrators.",
        parameters: &const { [ID, KEY, REVISION] },
        successes: &const { [success(201, "the token", schema::<GivenToken>)] },
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::ClientNotFound,
            Kind::TooManyRefreshTokens,
            Kind::KeyReused,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}
