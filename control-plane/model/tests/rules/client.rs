//! Commands about clients.

use ncore_model::{AddClient, ClientId, ClientStatus, Command, Outcome, Query, Rejection, Scope, SetClientStatus};

use crate::{
    Case, check,
    world::{LONG, World, add_client, nobody},
};

pub(crate) fn cases() -> Vec<Case> {
    let (world, client) = World::with_client();
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
