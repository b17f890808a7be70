//! What each command does, and each reason why it does nothing: tables of cases, a file for each kind of command.

mod account;
mod asset;
mod client;
mod cluster;
mod lineage;
mod node;
mod once;
mod placement;
mod upload;
mod usage;
mod world;
mod zone;

use std::collections::BTreeSet;

use ncore_model::{Command, Outcome, Rejection};
use world::World;

/// A command, where it is applied, and what must become of it.
struct Case {
    name: &'static str,
    world: World,
    command: Command,
    expected: Outcome,
}

impl Case {
    fn new(name: &'static str, world: &World, command: Command, expected: Outcome) -> Self {
        Self { name, world: world.clone(), command, expected }
    }

    fn rejected(name: &'static str, world: &World, command: Command, rejection: Rejection) -> Self {
        Self::new(name, world, command, Outcome::Rejected(rejection))
    }
}

fn check(cases: Vec<Case>) {
    for mut case in cases {
        assert_eq!(case.world.apply(case.command), case.expected, "{}", case.name);
    }
}

/// The tables above, and those of `once`, reach every rejection that there is.
#[test]
fn every_rejection_is_reached() {
    let tables = [
        cluster::cases(),
        node::cases(),
        client::cases(),
        asset::cases(),
        placement::cases(),
        usage::cases(),
        account::cases(),
        upload::cases(),
        zone::cases(),
    ];
    let reached: BTreeSet<usize> = tables
        .into_iter()
        .flatten()
        .filter_map(|case| match case.expected {
            Outcome::Rejected(rejection) => Some(number(&rejection)),
            _ => None,
        })
        .chain(once::REACHED.iter().map(number))
        .collect();
    assert_eq!(reached, (0..REJECTIONS).collect());
}

/// How many rejections there are.
const REJECTIONS: usize = 46;

/// Each rejection's number. A new one does not compile until it stands here, and then needs a case.
fn number(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::AlreadyInitialised => 0,
        Rejection::NotInitialised => 1,
        Rejection::SchemaTooLow { .. } => 2,
        Rejection::SchemaUnsupported { .. } => 3,
        Rejection::SchemaNotNext { .. } => 4,
        Rejection::RequestExpired => 5,
        Rejection::KeyReused => 6,
        Rejection::TokenUnknown => 7,
        Rejection::TokenExpired => 8,
        Rejection::TokenRegion => 9,
        Rejection::NodeUnknown => 10,
        Rejection::NodeRemoved(_) => 11,
        Rejection::NodeNameTaken => 12,
        Rejection::Superseded => 13,
        Rejection::TooManyExceptions => 14,
        Rejection::ClientUnknown => 15,
        Rejection::ClientBlocked => 16,
        Rejection::AssetUnknown => 17,
        Rejection::AssetOfOther => 18,
        Rejection::PreconditionFailed => 19,
        Rejection::TooLate => 20,
        Rejection::HolderRemoved => 21,
        Rejection::FieldTooLong => 22,
        Rejection::TokenSpent => 23,
        Rejection::TooManyPlacements => 24,
        Rejection::PlacementUnknown => 25,
        Rejection::PathTaken => 26,
        Rejection::VisibilityFixed => 27,
        Rejection::StorageQuota { .. } => 28,
        Rejection::ClientHasAssets => 29,
        Rejection::RefreshUnknown => 30,
        Rejection::TooManyRefreshTokens => 31,
        Rejection::SigningKeyUnknown => 32,
        Rejection::AdministratorUnknown => 33,
        Rejection::TooManyAdministrators => 34,
        Rejection::UploadUnknown => 35,
        Rejection::UploadOffset { .. } => 36,
        Rejection::UploadLength => 37,
        Rejection::TooManyUploads => 38,
        Rejection::TooManyParts => 39,
        Rejection::TooManyPurges { .. } => 40,
        Rejection::ZoneUnknown => 41,
        Rejection::HostTaken { .. } => 42,
        Rejection::ZoneInvalid { .. } => 43,
        Rejection::TooManyZones { .. } => 44,
        Rejection::ClientHasZones => 45,
    }
}
