//! Commands about clients.

use ncore_model::{
    AddClient, ClientId, ClientStatus, Command, Outcome, Query, Rejection, RevokeToken, RevokedToken, Scope, SetClientStatus, Table,
};

use crate::{
    Case, check,
    world::{LONG, START_MS, World, add_client, nobody},
};

const DAY_MS: u64 = 24 * 3_600_000;
const HOUR_MS: u64 = 3_600_000;

pub(crate) fn cases() -> Vec<Case> {
    let (world, client) = World::with_client();
    let raised = raised(world.clone());
    let revoke = |client: &ClientId, token: &str| revocation(client, token, START_MS + DAY_MS);
    let add = |client: AddClient| Command::AddClient(client);
    let long = || "x".repeat(LONG);
    let too_long = |name, client| Case::rejected(name, &World::cluster(), add(client), Rejection::FieldTooLong);
    let set = |client: &ClientId, status| Command::SetClientStatus(SetClientStatus { client: client.clone(), status });
    vec![
        Case::new("a client", &world, add(add_client()), Outcome::ClientAdded(ClientId::from_request(world.next_request()))),
        too_long("a long name", AddClient { name: long(), ..add_client() }),
        too_long("a long secret", AddClient { secret_hash: long(), ..add_client() }),
        too_long("a long domain", AddClient { domains: vec!["a.test".into(), long()], ..add_client() }),
        too_long("many domains", AddClient { domains: vec!["a.test".into(); LONG], ..add_client() }),
        too_long("many scopes", AddClient { scopes: vec![Scope::AssetsRead; LONG], ..add_client() }),
        Case::new("suspending", &world, set(&client, ClientStatus::Suspended), Outcome::Done),
        Case::new("revoking a token", &raised, revoke(&client, "t1"), Outcome::Done),
        Case::rejected("revoking a token of nobody", &raised, revoke(&nobody(), "t1"), Rejection::ClientUnknown),
        Case::rejected("a token without an id", &raised, revoke(&client, ""), Rejection::FieldTooLong),
        Case::rejected("a long id of a token", &raised, revoke(&client, &long()), Rejection::FieldTooLong),
        Case::rejected("revoking too early", &world, revoke(&client, "t1"), Rejection::SchemaTooLow { needed: 4, level: 1 }),
        Case::rejected("suspending nobody", &world, set(&nobody(), ClientStatus::Suspended), Rejection::ClientUnknown),
    ]
}

#[test]
fn client_commands() {
    check(cases());
}

#[test]
fn a_status_changes_and_nothing_else() {
    let (mut world, id) = World::with_client();
    let before = world.tables.client(&id).expect("reads").expect("is there");
    assert_eq!(before.status, ClientStatus::Active);
    for status in [ClientStatus::Review, ClientStatus::Suspended, ClientStatus::Active] {
        assert_eq!(world.apply(Command::SetClientStatus(SetClientStatus { client: id.clone(), status })), Outcome::Done);
        let after = world.tables.client(&id).expect("reads").expect("is there");
        assert_eq!(after.status, status);
        assert_eq!(
            (after.name, after.secret_hash, after.created_at_ms),
            (before.name.clone(), before.secret_hash.clone(), before.created_at_ms)
        );
    }
}

/// A revocation stands until an hour after the end of its token, whoever repeats it, and then it is forgotten.
#[test]
fn a_revocation_ends_with_its_token() {
    let (world, client) = World::with_client();
    let mut world = raised(world);
    let ends_ms = world.now_ms + DAY_MS;
    assert_eq!(world.apply(revocation(&client, "t1", ends_ms)), Outcome::Done);
    let revoked_at_ms = world.now_ms;
    world.now_ms += HOUR_MS;
    assert_eq!(world.apply(revocation(&client, "t1", ends_ms + DAY_MS)), Outcome::Done);
    let kept = RevokedToken { client: client.clone(), revoked_at_ms };
    for (at_ms, expected) in [(ends_ms, Some(&kept)), (ends_ms + HOUR_MS - 5, Some(&kept)), (ends_ms + HOUR_MS, None)] {
        world.now_ms = at_ms;
        // What is due goes with the entries, some at a time.
        for _ in 0..4 {
            world.apply(Command::SetClientStatus(SetClientStatus { client: client.clone(), status: ClientStatus::Active }));
        }
        assert_eq!(world.tables.revoked_token("t1").expect("reads").as_ref(), expected, "{}", at_ms - ends_ms);
    }
}

/// Of a token that ended long ago nothing is kept, and a time that is far off costs no more than a month.
#[test]
fn what_is_kept_of_a_revocation_is_bounded() {
    let (world, client) = World::with_client();
    let mut world = raised(world);
    assert_eq!(world.apply(revocation(&client, "old", world.now_ms - HOUR_MS)), Outcome::Done);
    assert_eq!(world.table(Table::RevokedTokens), []);
    assert_eq!(world.apply(revocation(&client, "far", u64::MAX)), Outcome::Done);
    assert_eq!(world.table(Table::RevokedTokens).len(), 1);
    world.now_ms += 33 * DAY_MS;
    for _ in 0..4 {
        world.apply(Command::SetClientStatus(SetClientStatus { client: client.clone(), status: ClientStatus::Active }));
    }
    assert_eq!(world.table(Table::RevokedTokens), []);
}

fn revocation(client: &ClientId, token: &str, expires_at_ms: u64) -> Command {
    Command::RevokeToken(RevokeToken { client: client.clone(), token: token.to_owned(), expires_at_ms })
}

fn raised(mut world: World) -> World {
    for level in 2..=4 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    world
}
