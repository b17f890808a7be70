//! The endpoints of uploads that come in pieces.

use ncore_model::Scope;
use serde_json::{Value, json};

use super::{
    operation::{Access, Body, Operation, Parameter, Place, Success},
    table::{ABSENT, JSON, KEY, MATCH, PLAIN, REVISION},
};
use crate::{
    problem::Kind,
    v2::{resumable::PIECE_TYPE, written},
};

/// Every one of them.
pub(super) fn operations() -> [Operation; 5] {
    [discover(), create(), head(), append(), end()]
}

const ID: Parameter =
    Parameter { name: "id", place: Place::Path, description: "id of the upload", schema: || json!({ "type": "string", "minLength": 1 }) };
const TUS: Parameter = Parameter {
    name: "Tus-Resumable",
    place: Place::NeededHeader,
    description: "always `1.0.0`; without it the answer is 412",
    schema: || json!({ "type": "string", "enum": ["1.0.0"] }),
};
const CHECKSUM: Parameter = Parameter {
    name: "Upload-Checksum",
    place: Place::Header,
    description: "`sha1` or `sha256`, a space, and the digest of the body in base64",
    schema: || json!({ "type": "string", "pattern": written::CHECKSUM }),
};
const OFFSET: (&str, &str) = ("Upload-Offset", "how many bytes are there");
const EXPIRES: (&str, &str) = ("Upload-Expires", "when the upload ends unless more comes");
const ASSET: (&str, &str) = ("X-NCore-Asset", "id of the asset that the upload has become");

const ONE: Operation = Operation { path: "/api/v2/uploads/{id}", tag: "uploads", access: Access::Token(Scope::AssetsWrite), ..PLAIN };

fn number() -> Value {
    json!({ "type": "string", "pattern": written::NUMBER })
}

const fn bytes() -> Body {
    Body { media_type: PIECE_TYPE, schema: |_| json!({ "type": "string", "contentMediaType": "application/octet-stream" }) }
}

fn discover() -> Operation {
    Operation {
        method: "OPTIONS",
        path: "/api/v2/uploads",
        id: "discoverUploads",
        tag: "uploads",
        summary: "What of tus 1.0.0 can be used.",
        parameters: &[],
        successes: &[Success {
            status: 204,
            description: "in the headers",
            schema: None,
            media_type: JSON,
            headers: &[
                ("Tus-Version", "`1.0.0`"),
                ("Tus-Extension", "the extensions"),
                ("Tus-Max-Size", "the most bytes of an upload"),
                ("Tus-Checksum-Algorithm", "the algorithms of `Upload-Checksum`"),
            ],
        }],
        ..PLAIN
    }
}

fn create() -> Operation {
    Operation {
        method: "POST",
        path: "/api/v2/uploads",
        id: "createUpload",
        tag: "uploads",
        summary: "Begin an upload that comes in pieces (tus 1.0.0). Requires auth.",
        access: Access::Token(Scope::AssetsWrite),
        parameters: &const {
            [
                TUS,
                Parameter {
                    name: "Upload-Length",
                    place: Place::NeededHeader,
                    description: "how many bytes there will be",
                    schema: number,
                },
                Parameter {
                    name: "Upload-Metadata",
                    place: Place::NeededHeader,
                    description: "`path`, `cache_ttl`, `mime`, `visibility`, each with its text in base64; `filename` if there is no path",
                    schema: || json!({ "type": "string", "format": "upload-metadata", "examples": ["path aW1hZ2VzL2EucG5n"] }),
                },
                CHECKSUM,
                KEY,
                MATCH,
                ABSENT,
                REVISION,
            ]
        },
        successes: &[Success {
            status: 201,
            description: "pieces are sent to the Location",
            schema: None,
            media_type: JSON,
            headers: &[("Location", "of the upload"), OFFSET, EXPIRES, ASSET],
        }],
        own_problems: &[
            Kind::ClientBlocked,
            Kind::AssetOfOther,
            Kind::VisibilityFixed,
            Kind::IncompleteBody,
            Kind::InvalidBody,
            Kind::InvalidField,
            Kind::TusVersion,
            Kind::PreconditionFailed,
            Kind::KeyReused,
            Kind::UploadTooLarge,
            Kind::UploadLength,
            Kind::TooManyUploads,
            Kind::ChecksumMismatch,
            Kind::DiskFull,
            Kind::TooFewCopies,
            Kind::SchemaTooLow,
            Kind::Busy,
            Kind::AnswerLost,
        ],
        ..PLAIN
    }
}

fn head() -> Operation {
    Operation {
        method: "HEAD",
        id: "showUpload",
        summary: "How far an upload is. Requires auth.",
        parameters: &const { [ID, TUS, REVISION] },
        successes: &[Success {
            status: 200,
            description: "in the headers",
            schema: None,
            media_type: JSON,
            headers: &[OFFSET, ("Upload-Length", "how many bytes there will be"), ("Upload-Metadata", "as it was sent"), EXPIRES, ASSET],
        }],
        own_problems: &[Kind::EndpointNotFound, Kind::UploadNotFound, Kind::TusVersion],
        ..ONE
    }
}

fn append() -> Operation {
    Operation {
        method: "PATCH",
        id: "appendUpload",
        summary: "Send a piece of an upload, to any node. Requires auth.",
        parameters: &const {
            [
                ID,
                TUS,
                Parameter { name: "Upload-Offset", place: Place::NeededHeader, description: "how many bytes are there", schema: number },
                CHECKSUM,
                REVISION,
            ]
        },
        bodies: &const { [bytes()] },
        successes: &[Success {
            status: 204,
            description: "the piece is durable on enough nodes; after the last, the upload is an asset",
            schema: None,
            media_type: JSON,
            headers: &[OFFSET, EXPIRES, ASSET],
        }],
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::UploadNotFound,
            Kind::UploadOffset,
            Kind::UploadLength,
            Kind::ClientBlocked,
            Kind::AssetOfOther,
            Kind::VisibilityFixed,
            Kind::IncompleteBody,
            Kind::TusVersion,
            Kind::UnsupportedMediaType,
            Kind::PreconditionFailed,
            Kind::TooManyParts,
            Kind::ChecksumMismatch,
            Kind::DiskFull,
            Kind::TooFewCopies,
            Kind::SchemaTooLow,
            Kind::Busy,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}

fn end() -> Operation {
    Operation {
        method: "DELETE",
        id: "endUpload",
        summary: "End an upload; an asset that it has become stays. Requires auth.",
        parameters: &const { [ID, TUS, REVISION] },
        successes: &[Success { status: 204, description: "it is gone", schema: None, media_type: JSON, headers: &[] }],
        own_problems: &[
            Kind::EndpointNotFound,
            Kind::UploadNotFound,
            Kind::ClientBlocked,
            Kind::TusVersion,
            Kind::SchemaTooLow,
            Kind::AnswerLost,
        ],
        ..ONE
    }
}
