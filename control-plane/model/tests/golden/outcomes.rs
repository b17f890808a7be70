//! Every outcome and every rejection. They are kept in the state, by their numbers.

use std::collections::BTreeSet;

use ncore_model::{Deletion, NodeId, Outcome, Rejection, ZoneField};

use super::{Golden, administrator, asset, asset_id, client, record, upload, zone_id};

/// How many outcomes and rejections there are.
const OUTCOMES: usize = 16;
const REJECTIONS: usize = 46;

pub(super) fn all() -> Vec<Golden> {
    let outcomes = outcomes().into_iter().map(|outcome| record(&format!("outcome.{}", describe(&outcome).1), &outcome));
    let rejections = rejections().into_iter().map(|rejection| {
        let name = format!("outcome.rejected-{}", describe_rejection(&rejection).1);
        record(&name, &Outcome::Rejected(rejection))
    });
    outcomes.chain(rejections).collect()
}

fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Done,
        Outcome::NodeAdded(NodeId(70_001)),
        Outcome::ClientAdded(client()),
        Outcome::AssetCreated(asset()),
        Outcome::AssetReplaced(asset()),
        Outcome::AssetDeleted(asset_id()),
        Outcome::AssetPatched(asset()),
        Outcome::Purged,
        Outcome::AssetMoved(asset()),
        Outcome::RefreshReused,
        Outcome::AdministratorAdded(administrator()),
        Outcome::UploadCreated(upload()),
        Outcome::UploadAppended { offset: 70_000, expires_at_ms: 1_700_086_400_000 },
        Outcome::AssetsDeleted(vec![Deletion::Deleted(asset_id()), Deletion::Rejected(Rejection::AssetUnknown)]),
        Outcome::ZoneCreated(zone_id()),
    ]
}

fn rejections() -> Vec<Rejection> {
    vec![
        Rejection::AlreadyInitialised,
        Rejection::NotInitialised,
        Rejection::SchemaTooLow { needed: 2, level: 1 },
        Rejection::SchemaUnsupported { node: NodeId(3), level: 2 },
        Rejection::SchemaNotNext { level: 1 },
        Rejection::RequestExpired,
        Rejection::KeyReused,
        Rejection::TokenUnknown,
        Rejection::TokenExpired,
        Rejection::TokenRegion,
        Rejection::NodeUnknown,
        Rejection::NodeRemoved(NodeId(3)),
        Rejection::NodeNameTaken,
        Rejection::Superseded,
        Rejection::TooManyExceptions,
        Rejection::ClientUnknown,
        Rejection::ClientBlocked,
        Rejection::AssetUnknown,
        Rejection::AssetOfOther,
        Rejection::PreconditionFailed,
        Rejection::TooLate,
        Rejection::HolderRemoved,
        Rejection::FieldTooLong,
        Rejection::TokenSpent,
        Rejection::TooManyPlacements,
        Rejection::PlacementUnknown,
        Rejection::PathTaken,
        Rejection::VisibilityFixed,
        Rejection::StorageQuota { quota: 1_000_000, used: 999_999 },
        Rejection::ClientHasAssets,
        Rejection::RefreshUnknown,
        Rejection::TooManyRefreshTokens,
        Rejection::SigningKeyUnknown,
        Rejection::AdministratorUnknown,
        Rejection::TooManyAdministrators,
        Rejection::UploadUnknown,
        Rejection::UploadOffset { offset: 70_000 },
        Rejection::UploadLength,
        Rejection::TooManyUploads,
        Rejection::TooManyParts,
        Rejection::TooManyPurges { after_ms: 59_999 },
        Rejection::ZoneUnknown,
        Rejection::HostTaken { host: "cdn.example".into() },
        Rejection::ZoneInvalid { field: ZoneField::Paths },
        Rejection::TooManyZones { quota: 5 },
        Rejection::ClientHasZones,
    ]
}

/// Each outcome's number on disk, and the name of its file. A new one does not compile until it stands here.
fn describe(outcome: &Outcome) -> (usize, &'static str) {
    match outcome {
        Outcome::Done => (0, "done"),
        Outcome::Rejected(_) => (1, "rejected"),
        Outcome::NodeAdded(_) => (2, "node_added"),
        Outcome::ClientAdded(_) => (3, "client_added"),
        Outcome::AssetCreated(_) => (4, "asset_created"),
        Outcome::AssetReplaced(_) => (5, "asset_replaced"),
        Outcome::AssetDeleted(_) => (6, "asset_deleted"),
        Outcome::AssetPatched(_) => (7, "asset_patched"),
        Outcome::Purged => (8, "purged"),
        Outcome::AssetMoved(_) => (9, "asset_moved"),
        Outcome::RefreshReused => (10, "refresh_reused"),
        Outcome::AdministratorAdded(_) => (11, "administrator_added"),
        Outcome::UploadCreated(_) => (12, "upload_created"),
        Outcome::UploadAppended { .. } => (13, "upload_appended"),
        Outcome::AssetsDeleted(_) => (14, "assets_deleted"),
        Outcome::ZoneCreated(_) => (15, "zone_created"),
    }
}

/// The same for rejections.
fn describe_rejection(rejection: &Rejection) -> (usize, &'static str) {
    match rejection {
        Rejection::AlreadyInitialised => (0, "already_initialised"),
        Rejection::NotInitialised => (1, "not_initialised"),
        Rejection::SchemaTooLow { .. } => (2, "schema_too_low"),
        Rejection::SchemaUnsupported { .. } => (3, "schema_unsupported"),
        Rejection::SchemaNotNext { .. } => (4, "schema_not_next"),
        Rejection::RequestExpired => (5, "request_expired"),
        Rejection::KeyReused => (6, "key_reused"),
        Rejection::TokenUnknown => (7, "token_unknown"),
        Rejection::TokenExpired => (8, "token_expired"),
        Rejection::TokenRegion => (9, "token_region"),
        Rejection::NodeUnknown => (10, "node_unknown"),
        Rejection::NodeRemoved(_) => (11, "node_removed"),
        Rejection::NodeNameTaken => (12, "node_name_taken"),
        Rejection::Superseded => (13, "superseded"),
        Rejection::TooManyExceptions => (14, "too_many_exceptions"),
        Rejection::ClientUnknown => (15, "client_unknown"),
        Rejection::ClientBlocked => (16, "client_blocked"),
        Rejection::AssetUnknown => (17, "asset_unknown"),
        Rejection::AssetOfOther => (18, "asset_of_other"),
        Rejection::PreconditionFailed => (19, "precondition_failed"),
        Rejection::TooLate => (20, "too_late"),
        Rejection::HolderRemoved => (21, "holder_removed"),
        Rejection::FieldTooLong => (22, "field_too_long"),
        Rejection::TokenSpent => (23, "token_spent"),
        Rejection::TooManyPlacements => (24, "too_many_placements"),
        Rejection::PlacementUnknown => (25, "placement_unknown"),
        Rejection::PathTaken => (26, "path_taken"),
        Rejection::VisibilityFixed => (27, "visibility_fixed"),
        Rejection::StorageQuota { .. } => (28, "storage_quota"),
        Rejection::ClientHasAssets => (29, "client_has_assets"),
        Rejection::RefreshUnknown => (30, "refresh_unknown"),
        Rejection::TooManyRefreshTokens => (31, "too_many_refresh_tokens"),
        Rejection::SigningKeyUnknown => (32, "signing_key_unknown"),
        Rejection::AdministratorUnknown => (33, "administrator_unknown"),
        Rejection::TooManyAdministrators => (34, "too_many_administrators"),
        Rejection::UploadUnknown => (35, "upload_unknown"),
        Rejection::UploadOffset { .. } => (36, "upload_offset"),
        Rejection::UploadLength => (37, "upload_length"),
        Rejection::TooManyUploads => (38, "too_many_uploads"),
        Rejection::TooManyParts => (39, "too_many_parts"),
        Rejection::TooManyPurges { .. } => (40, "too_many_purges"),
        Rejection::ZoneUnknown => (41, "zone_unknown"),
        Rejection::HostTaken { .. } => (42, "host_taken"),
        Rejection::ZoneInvalid { .. } => (43, "zone_invalid"),
        Rejection::TooManyZones { .. } => (44, "too_many_zones"),
        Rejection::ClientHasZones => (45, "client_has_zones"),
    }
}

#[test]
fn every_outcome_has_its_number_and_a_case() {
    let mut numbers = BTreeSet::from([describe(&Outcome::Rejected(Rejection::NotInitialised)).0]);
    for outcome in outcomes() {
        let number = describe(&outcome).0;
        assert_eq!(usize::from(ncore_model::encode(&outcome).expect("encodes")[10]), number, "{outcome:?}");
        numbers.insert(number);
    }
    assert_eq!(numbers, (0..OUTCOMES).collect());
}

#[test]
fn every_rejection_has_its_number_and_a_case() {
    let mut numbers = BTreeSet::new();
    for rejection in rejections() {
        let number = describe_rejection(&rejection).0;
        let bytes = ncore_model::encode(&Outcome::Rejected(rejection)).expect("encodes");
        assert_eq!((bytes[10], usize::from(bytes[11])), (1, number));
        numbers.insert(number);
    }
    assert_eq!(numbers, (0..REJECTIONS).collect());
}

/// Each part of a zone that a rejection may name has its number for ever.
#[test]
fn every_field_of_a_zone_has_its_number() {
    let fields = [
        ZoneField::Name,
        ZoneField::Origins,
        ZoneField::HostHeader,
        ZoneField::CdnHostname,
        ZoneField::Domains,
        ZoneField::CacheTtl,
        ZoneField::NegativeTtl,
        ZoneField::StaleOnError,
        ZoneField::StaleWhileRevalidate,
        ZoneField::Bypass,
        ZoneField::Paths,
        ZoneField::ShieldRegion,
    ];
    for (number, field) in fields.into_iter().enumerate() {
        let bytes = ncore_model::encode(&Outcome::Rejected(Rejection::ZoneInvalid { field })).expect("encodes");
        assert_eq!((bytes[11], usize::from(bytes[12])), (43, number));
    }
}
