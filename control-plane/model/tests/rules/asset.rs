//! Commands about assets, and the blobs behind them.

use ncore_model::{
    Asset, AssetId, BlobHash, ClientId, ClientStatus, Command, DeleteAsset, DescribeAsset, MAX_PURGES_COUNTED, MoveAsset, NodeId,
    NodeState, Outcome, PatchAsset, Precondition, Proposal, PurgeAssets, PurgeLimit, PurgeWithin, PutAsset, PutAssetAs, Query, Rejection,
    SchemaRange, SetClientStatus, Table, Visibility, apply,
};

use crate::{
    Case, check,
    world::{LONG, World, nobody, patch, put},
};

pub(crate) fn cases() -> Vec<Case> {
    [puts(), preconditions(), deletes(), patches(), moves(), visibilities(), purges()].into_iter().flatten().collect()
}

fn delete(client: &ClientId, asset: &AssetId) -> DeleteAsset {
    DeleteAsset { client: client.clone(), asset: asset.clone(), precondition: Precondition::None }
}

fn purge(client: &ClientId, pattern: &str) -> Command {
    Command::PurgeAssets(PurgeAssets { client: client.clone(), pattern: pattern.into() })
}

/// The same world, with the client in another status.
fn with_status(world: &World, client: &ClientId, status: ClientStatus) -> World {
    let mut world = world.clone();
    assert_eq!(world.apply(Command::SetClientStatus(SetClientStatus { client: client.clone(), status })), Outcome::Done);
    world
}

fn puts() -> Vec<Case> {
    let (mut world, client, asset) = World::with_asset();
    let other = world.client();
    let two = world.node("two", SchemaRange::BUILD);
    let mut without_two = world.clone();
    assert_eq!(without_two.apply(Command::SetNodeState { node: two, state: NodeState::Removed }), Outcome::Done);
    let mut draining_two = world.clone();
    assert_eq!(draining_two.apply(Command::SetNodeState { node: two, state: NodeState::Draining }), Outcome::Done);
    let next_ms = world.now_ms + 1;
    let put_it = |put: PutAsset| Command::PutAsset(put);
    let base = put(&client, "b.txt", 2);
    let held_by_both = PutAsset { holders: vec![NodeId(1), two], ..base.clone() };
    let created = |world: &World| {
        let index = world.index + 1;
        Asset {
            id: AssetId::from_request(world.next_request()),
            path: "b.txt".into(),
            size: 2,
            sha256: [2; 32],
            blob: BlobHash([2; 32]),
            created_at_ms: world.now_ms + 1,
            modified_at_ms: world.now_ms + 1,
            version: index,
            ..asset.clone()
        }
    };
    let replaced = Asset { id: asset.id.clone(), path: "a.txt".into(), created_at_ms: asset.created_at_ms, ..created(&world) };
    vec![
        Case::new("a free path", &world, put_it(base.clone()), Outcome::AssetCreated(created(&world))),
        Case::new("a path with content", &world, put_it(put(&client, "a.txt", 2)), Outcome::AssetReplaced(replaced)),
        Case::rejected("another client's path", &world, put_it(put(&other, "a.txt", 2)), Rejection::AssetOfOther),
        Case::rejected("a long path", &world, put_it(PutAsset { path: "x".repeat(1_025), ..base.clone() }), Rejection::FieldTooLong),
        Case::rejected("a long MIME type", &world, put_it(PutAsset { mime: "x".repeat(257), ..base.clone() }), Rejection::FieldTooLong),
        Case::new(
            "the last moment of the pins",
            &world,
            put_it(PutAsset { pinned_until_ms: next_ms, ..base.clone() }),
            Outcome::AssetCreated(created(&world)),
        ),
        Case::rejected("a moment too late", &world, put_it(PutAsset { pinned_until_ms: next_ms - 1, ..base.clone() }), Rejection::TooLate),
        Case::rejected("nobody", &world, put_it(put(&nobody(), "b.txt", 2)), Rejection::ClientUnknown),
        Case::rejected(
            "a client under review",
            &with_status(&world, &client, ClientStatus::Review),
            put_it(base.clone()),
            Rejection::ClientBlocked,
        ),
        Case::rejected(
            "a suspended client",
            &with_status(&world, &client, ClientStatus::Suspended),
            put_it(base.clone()),
            Rejection::ClientBlocked,
        ),
        Case::rejected("a holder that was removed", &without_two, put_it(held_by_both.clone()), Rejection::HolderRemoved),
        Case::rejected("a holder that never was", &world, put_it(PutAsset { holders: vec![NodeId(99)], ..base }), Rejection::HolderRemoved),
        Case::new("a holder that drains", &draining_two, put_it(held_by_both), Outcome::AssetCreated(created(&draining_two))),
    ]
}

/// Which preconditions hold, on a free path and on one whose content has the SHA-256 of ones.
fn preconditions() -> Vec<Case> {
    let (world, client, asset) = World::with_asset();
    let table = [
        (Precondition::None, true, true),
        (Precondition::Absent, true, false),
        (Precondition::Present, false, true),
        (Precondition::Matches(vec![[1; 32]]), false, true),
        (Precondition::Matches(vec![[9; 32], [1; 32]]), false, true),
        (Precondition::Matches(vec![[9; 32]]), false, false),
        (Precondition::Matches(Vec::new()), false, false),
    ];
    let mut cases = Vec::new();
    for (precondition, on_free, on_taken) in table {
        for (path, holds) in [("free.txt", on_free), ("a.txt", on_taken)] {
            let command = Command::PutAsset(PutAsset { precondition: precondition.clone(), ..put(&client, path, 3) });
            if holds {
                let outcome = world.clone().apply(command);
                assert!(matches!(outcome, Outcome::AssetCreated(_) | Outcome::AssetReplaced(_)), "{precondition:?} on {path}: {outcome:?}");
            } else {
                cases.push(Case::rejected("a put", &world, command, Rejection::PreconditionFailed));
            }
        }
        let remove = Command::DeleteAsset(DeleteAsset { precondition: precondition.clone(), ..delete(&client, &asset.id) });
        let describe = Command::PatchAsset(PatchAsset { precondition, ..patch(&client, &asset.id) });
        if on_taken {
            cases.push(Case::new("a delete", &world, remove, Outcome::AssetDeleted(asset.id.clone())));
            assert!(matches!(world.clone().apply(describe), Outcome::AssetPatched(_)));
        } else {
            cases.push(Case::rejected("a delete", &world, remove, Rejection::PreconditionFailed));
            cases.push(Case::rejected("a patch", &world, describe, Rejection::PreconditionFailed));
        }
    }
    cases
}

fn deletes() -> Vec<Case> {
    let (mut world, client, asset) = World::with_asset();
    let other = world.client();
    let gone = AssetId::from_text("as_none");
    let remove = |client: &ClientId, asset: &AssetId| Command::DeleteAsset(delete(client, asset));
    let blocked = with_status(&world, &client, ClientStatus::Review);
    vec![
        Case::new("an asset", &world, remove(&client, &asset.id), Outcome::AssetDeleted(asset.id.clone())),
        Case::rejected("nothing", &world, remove(&client, &gone), Rejection::AssetUnknown),
        Case::rejected("another client's", &world, remove(&other, &asset.id), Rejection::AssetOfOther),
        Case::rejected("nobody", &world, remove(&nobody(), &asset.id), Rejection::ClientUnknown),
        Case::rejected("a client under review", &blocked, remove(&client, &asset.id), Rejection::ClientBlocked),
    ]
}

fn patches() -> Vec<Case> {
    let (mut world, client, asset) = World::with_asset();
    let other = world.client();
    let describe = |patch: PatchAsset| Command::PatchAsset(patch);
    let html = Asset { mime: "text/html".into(), modified_at_ms: world.now_ms + 1, ..asset.clone() };
    let brief = Asset { cache_ttl_s: 5, modified_at_ms: world.now_ms + 1, ..asset.clone() };
    let long = PatchAsset { mime: Some("x".repeat(LONG)), ..patch(&client, &asset.id) };
    let blocked = with_status(&world, &client, ClientStatus::Suspended);
    let none = AssetId::from_text("as_none");
    vec![
        Case::new("its MIME type", &world, describe(patch(&client, &asset.id)), Outcome::AssetPatched(html)),
        Case::new(
            "its time to live",
            &world,
            describe(PatchAsset { mime: None, cache_ttl_s: Some(5), ..patch(&client, &asset.id) }),
            Outcome::AssetPatched(brief),
        ),
        Case::rejected("a long MIME type", &world, describe(long), Rejection::FieldTooLong),
        Case::rejected("nothing", &world, describe(patch(&client, &none)), Rejection::AssetUnknown),
        Case::rejected("another client's", &world, describe(patch(&other, &asset.id)), Rejection::AssetOfOther),
        Case::rejected("nobody", &world, describe(patch(&nobody(), &asset.id)), Rejection::ClientUnknown),
        Case::rejected("a suspended client", &blocked, describe(patch(&client, &asset.id)), Rejection::ClientBlocked),
    ]
}

/// As [`World::with_asset`], at the level of these commands.
fn world_of_level_5() -> (World, ClientId, Asset) {
    let (mut world, client, asset) = World::with_asset();
    for level in 3..=5 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    (world, client, asset)
}

fn move_to(client: &ClientId, asset: &AssetId, path: &str) -> Command {
    let (client, asset, path) = (client.clone(), asset.clone(), path.to_owned());
    Command::MoveAsset(MoveAsset { client, asset, path, precondition: Precondition::None })
}

fn moves() -> Vec<Case> {
    let (mut world, client, asset) = world_of_level_5();
    let other = world.client();
    world.asset(put(&client, "taken.txt", 2));
    world.asset(put(&other, "of-other.txt", 3));
    let moved = Asset { path: "b.txt".into(), modified_at_ms: world.now_ms + 1, version: world.index + 1, ..asset.clone() };
    let blocked = with_status(&world, &client, ClientStatus::Review);
    let matches = Precondition::Matches(vec![[9; 32]]);
    let (early, _, _) = World::with_asset();
    let conditional = MoveAsset { client: client.clone(), asset: asset.id.clone(), path: "b.txt".into(), precondition: matches };
    vec![
        Case::new("to a free path", &world, move_to(&client, &asset.id, "b.txt"), Outcome::AssetMoved(moved)),
        Case::new("to where it is", &world, move_to(&client, &asset.id, "a.txt"), Outcome::AssetMoved(asset.clone())),
        Case::rejected("too early", &early, move_to(&client, &asset.id, "b.txt"), Rejection::SchemaTooLow { needed: 5, level: 2 }),
        Case::rejected("to a path of its own client", &world, move_to(&client, &asset.id, "taken.txt"), Rejection::PathTaken),
        Case::rejected("to a path of another client", &world, move_to(&client, &asset.id, "of-other.txt"), Rejection::AssetOfOther),
        Case::rejected("to a long path", &world, move_to(&client, &asset.id, &"x".repeat(LONG + 1_024)), Rejection::FieldTooLong),
        Case::rejected("other content", &world, Command::MoveAsset(conditional), Rejection::PreconditionFailed),
        Case::rejected("nothing", &world, move_to(&client, &AssetId::from_text("as_none"), "b.txt"), Rejection::AssetUnknown),
        Case::rejected("another client's", &world, move_to(&other, &asset.id, "b.txt"), Rejection::AssetOfOther),
        Case::rejected("a client under review", &blocked, move_to(&client, &asset.id, "b.txt"), Rejection::ClientBlocked),
    ]
}

fn purge_within(client: &ClientId, pattern: &str, limit: u32) -> Command {
    let purge = PurgeAssets { client: client.clone(), pattern: pattern.into() };
    Command::PurgeWithin(PurgeWithin { purge, limit: PurgeLimit { subject: [7; 16], limit, span_ms: 1_000 } })
}

fn describe(client: &ClientId, asset: &AssetId, visibility: Option<Visibility>) -> Command {
    let patch = PatchAsset { mime: None, ..patch(client, asset) };
    Command::DescribeAsset(DescribeAsset { patch, visibility })
}

fn put_as(client: &ClientId, path: &str, content: u8, visibility: Visibility) -> Command {
    Command::PutAssetAs(PutAssetAs { put: put(client, path, content), visibility })
}

fn visibilities() -> Vec<Case> {
    let (mut world, client, asset) = world_of_level_5();
    let other = world.client();
    let fixed = world.asset(put(&client, "restricted/a.txt", 2));
    let patched = Asset { modified_at_ms: world.now_ms + 1, ..asset.clone() };
    let (public, restricted) = (Some(Visibility::Public), Some(Visibility::Restricted));
    vec![
        Case::new("restricted", &world, describe(&client, &asset.id, restricted), Outcome::AssetPatched(patched.clone())),
        Case::new("public", &world, describe(&client, &asset.id, public), Outcome::AssetPatched(patched)),
        Case::rejected("public, where the path says no", &world, describe(&client, &fixed.id, public), Rejection::VisibilityFixed),
        Case::rejected(
            "put as public, where the path says no",
            &world,
            put_as(&client, "restricted/b", 1, Visibility::Public),
            Rejection::VisibilityFixed,
        ),
        Case::rejected("put over another client's", &world, put_as(&other, "a.txt", 1, Visibility::Restricted), Rejection::AssetOfOther),
        Case::rejected("another client's", &world, describe(&other, &asset.id, restricted), Rejection::AssetOfOther),
        Case::rejected("another client's, public", &world, describe(&other, &fixed.id, public), Rejection::AssetOfOther),
    ]
}

fn purges() -> Vec<Case> {
    let (world, client) = World::with_client();
    let blocked = with_status(&world, &client, ClientStatus::Suspended);
    let (counting, counted) = counting();
    let within = |limit| purge_within(&counted, "*", limit);
    let mut once = counting.clone();
    assert_eq!(once.apply(within(2)), Outcome::Purged);
    let never = Rejection::TooManyPurges { after_ms: u64::MAX - counting.now_ms - 1 };
    vec![
        Case::new("the second of two", &once, within(2), Outcome::Purged),
        Case::rejected("the second of one, a millisecond later", &once, within(1), Rejection::TooManyPurges { after_ms: 999 }),
        Case::rejected("one of none", &counting, within(0), never),
        Case::rejected("of too many to count", &counting, within(MAX_PURGES_COUNTED + 1), Rejection::FieldTooLong),
        Case::rejected("counted, by nobody", &counting, purge_within(&nobody(), "*", 2), Rejection::ClientUnknown),
        Case::rejected("counted too early", &world, purge_within(&client, "*", 2), Rejection::SchemaTooLow { needed: 7, level: 1 }),
        Case::new("a purge", &world, purge(&client, "img/*"), Outcome::Purged),
        Case::rejected("a long pattern", &world, purge(&client, &"x".repeat(LONG)), Rejection::FieldTooLong),
        Case::rejected("nobody", &world, purge(&nobody(), "*"), Rejection::ClientUnknown),
        Case::rejected("a suspended client", &blocked, purge(&client, "*"), Rejection::ClientBlocked),
    ]
}

#[test]
fn asset_commands() {
    check(cases());
}

/// One blob behind two paths goes with the second of them.
#[test]
fn a_blob_stays_as_long_as_an_asset_names_it() {
    let (mut world, client, first) = World::with_asset();
    let references = |world: &World| world.tables.blob(BlobHash([1; 32])).expect("reads").map(|blob| blob.references);
    assert_eq!(references(&world), Some(1));
    let second = world.asset(put(&client, "b.txt", 1));
    assert_eq!(references(&world), Some(2));
    world.asset(put(&client, "b.txt", 1));
    assert_eq!(references(&world), Some(2), "the same content once more");
    assert_eq!(world.apply(Command::DeleteAsset(delete(&client, &first.id))), Outcome::AssetDeleted(first.id));
    assert_eq!(references(&world), Some(1));
    let replaced = world.asset(put(&client, "b.txt", 2));
    assert_eq!(replaced.id, second.id);
    assert_eq!(references(&world), None);
}

#[test]
fn the_holders_of_a_blob_are_those_of_its_last_put() {
    let (mut world, client, _) = World::with_asset();
    let two = world.node("two", SchemaRange::BUILD);
    world.asset(PutAsset { holders: vec![two], ..put(&client, "b.txt", 1) });
    assert_eq!(world.tables.blob(BlobHash([1; 32])).expect("reads").map(|blob| blob.holders), Some(vec![two]));
    world.asset(put(&client, "b.txt", 2));
    assert_eq!(world.tables.blob(BlobHash([1; 32])).expect("reads").map(|blob| blob.holders), Some(vec![two]), "one reference less");
}

/// Content at a path is another version; its description is not.
#[test]
fn a_version_is_of_the_content() {
    let (mut world, client, asset) = World::with_asset();
    let versions = |world: &World| world.tables.versions_from(0, 10).expect("reads").iter().map(|asset| asset.version).collect::<Vec<_>>();
    assert!(matches!(world.apply(Command::PatchAsset(patch(&client, &asset.id))), Outcome::AssetPatched(_)));
    assert_eq!(versions(&world), [asset.version]);
    let replaced = world.asset(put(&client, "a.txt", 2));
    assert_eq!(replaced.version, world.index);
    assert_eq!(versions(&world), [replaced.version]);
    assert_eq!(world.apply(Command::DeleteAsset(delete(&client, &asset.id))), Outcome::AssetDeleted(asset.id));
    assert_eq!(versions(&world), []);
}

/// Who may read an asset goes with the asset: through new content and another path, until it is said otherwise or the asset is gone.
#[test]
fn visibility_goes_with_the_asset() {
    let (mut world, client, asset) = world_of_level_5();
    let seen = |world: &World| {
        let asset = world.tables.asset(&asset.id).expect("reads").expect("is there");
        world.tables.visibility(&asset).expect("reads")
    };
    assert_eq!(seen(&world), Visibility::Public);
    world.apply(describe(&client, &asset.id, Some(Visibility::Restricted)));
    assert_eq!(seen(&world), Visibility::Restricted);
    world.apply(describe(&client, &asset.id, None));
    world.asset(put(&client, "a.txt", 2));
    world.apply(move_to(&client, &asset.id, "pub/a.txt"));
    assert_eq!(seen(&world), Visibility::Restricted);
    world.apply(put_as(&client, "pub/a.txt", 3, Visibility::Public));
    assert_eq!(seen(&world), Visibility::Public);
    world.apply(move_to(&client, &asset.id, "restricted/a.txt"));
    assert_eq!(seen(&world), Visibility::Restricted, "by its path");
    world.apply(put_as(&client, "restricted/a.txt", 3, Visibility::Restricted));
    world.apply(Command::DeleteAsset(delete(&client, &asset.id)));
    assert_eq!(world.table(Table::RestrictedAssets), []);
}

/// A path that was left free may be taken by anyone, under an id of its own.
#[test]
fn a_free_path_is_anybodys() {
    let (mut world, client, asset) = World::with_asset();
    let other = world.client();
    assert_eq!(world.apply(Command::DeleteAsset(delete(&client, &asset.id))), Outcome::AssetDeleted(asset.id.clone()));
    let taken = world.asset(put(&other, "a.txt", 1));
    assert_ne!(taken.id, asset.id);
    assert_eq!(taken.client, other);
}

/// In no stretch of log time there are more purges of a subject than its limit, whatever clocks do; who is refused is told when to come again,
/// and is let in then; and nothing is kept of a subject whose purges are over.
#[test]
fn purges_are_held_to_their_limit() {
    let (mut world, client) = counting();
    let other = world.client();
    let began_ms = world.now_ms;
    let log_time_ms = |world: &World| world.tables.cluster().expect("reads").expect("a cluster").log_time_ms;
    let mut purged = Vec::new();
    for step in 0..400_u64 {
        // Every now and then by a leader whose clock is behind.
        world.now_ms = began_ms + (step * 17).saturating_sub(if step % 9 == 0 { 100 } else { 0 });
        let outcome = world.apply(purge_within(&client, "*", 5));
        let now_ms = log_time_ms(&world);
        match outcome {
            Outcome::Purged => purged.push(now_ms),
            Outcome::Rejected(Rejection::TooManyPurges { after_ms }) => {
                assert_eq!(now_ms + after_ms, purged[purged.len() - 5] + 1_000, "it says when");
            }
            outcome => panic!("{outcome:?}"),
        }
        assert!(step > 4 || world.apply(purge_within(&other, "*", 5)) == Outcome::Purged, "clients are counted apart");
    }
    let most = purged.iter().map(|begin| purged.iter().filter(|at| (*begin..begin + 1_000).contains(*at)).count()).max();
    assert_eq!(most, Some(5));
    assert!(purged.len() >= 5 * 6, "{} of a limit of 5 in each of nearly 7 seconds", purged.len());
    assert!(!world.table(Table::PurgeCounts).is_empty());
    world.now_ms += 2_000;
    assert_eq!(world.apply(purge(&client, "another")), Outcome::Purged);
    assert_eq!(world.table(Table::PurgeCounts), []);
}

/// A cluster at level 7 with a client.
fn counting() -> (World, ClientId) {
    let (mut world, client) = World::with_client();
    for level in 2..=7 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    (world, client)
}

/// Purges are kept for 10,000 entries at least, and do not pile up for ever.
#[test]
fn old_purges_go() {
    let (mut world, client) = World::with_client();
    assert_eq!(world.apply(purge(&client, "first")), Outcome::Purged);
    let first = world.index;
    world.index = first + 9_999;
    assert_eq!(world.apply(purge(&client, "second")), Outcome::Purged);
    let kept = |world: &World| world.tables.purges_from(0, 10).expect("reads").into_iter().map(|(index, _)| index).collect::<Vec<_>>();
    assert_eq!(kept(&world), [first, first + 10_000]);
    assert_eq!(world.apply(purge(&client, "third")), Outcome::Purged);
    assert_eq!(kept(&world), [first + 10_000, first + 10_001]);
    for _ in 0..10_100 {
        world.index += 1;
        let command = purge(&client, "more");
        let proposal = Proposal { request: world.next_request(), idempotency: None, log_time_ms: world.now_ms, command };
        apply(&mut world.tables, world.index, &proposal).expect("applies");
    }
    assert_eq!(world.table(Table::Purges).len(), 10_001);
}
