//! Commands about the accounts of clients: registration, quotas, secrets, refresh tokens, administrators.

use ncore_model::{
    AddAdministrator, AddRefreshToken, AdministratorId, ClientId, ClientStatus, Command, DeleteAsset, MAX_ADMINISTRATORS,
    MAX_REFRESH_FAMILIES, NewRefreshToken, Outcome, Plan, Precondition, PutAsset, Query, REFRESH_MARGIN_MS, RegisterClient, Rejection,
    RotateSecret, Scope, SetClientStatus, Stored, Table, UpdateClient, UseRefreshToken,
};

use crate::{
    Case, check,
    world::{LONG, World, nobody, put},
};

const DAY_MS: u64 = 24 * 3_600_000;

pub(crate) fn cases() -> Vec<Case> {
    let (low, client) = World::with_client();
    let world = raised(low.clone());
    let id = ClientId::from_request(world.next_request());
    let long = || "x".repeat(LONG);
    let register = Command::RegisterClient;
    let too_long = |name, client| Case::rejected(name, &world, register(client), Rejection::FieldTooLong);
    let administrator = AddAdministrator { name: "ada".into(), token_hash: [1; 32], lifetime_ms: None };
    let mut owner = world.clone();
    owner.apply(Command::UpdateClient(UpdateClient { plan: Some(quota(Some(10))), ..update(&client) }));
    owner.asset(PutAsset { size: 10, ..put(&client, "a", 1) });
    let mut crowd = world.clone();
    for number in 0..MAX_ADMINISTRATORS {
        let mut token_hash = [0; 32];
        token_hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
        crowd.apply(Command::AddAdministrator(AddAdministrator { token_hash, ..administrator.clone() }));
    }
    let mut refreshing = world.clone();
    for family in 0..u8::try_from(MAX_REFRESH_FAMILIES).expect("is small") {
        refreshing.apply(refreshed(&client, family));
    }
    vec![
        Case::rejected(
            "too much",
            &owner,
            Command::PutAsset(PutAsset { size: 1, ..put(&client, "b", 2) }),
            Rejection::StorageQuota { quota: 10, used: 10 },
        ),
        Case::rejected("deleting an owner", &owner, Command::DeleteClient { client: client.clone() }, Rejection::ClientHasAssets),
        Case::rejected("a token too many", &refreshing, refreshed(&client, 99), Rejection::TooManyRefreshTokens),
        Case::rejected("one too many", &crowd, Command::AddAdministrator(administrator.clone()), Rejection::TooManyAdministrators),
        Case::new("a client with an account", &world, register(registration()), Outcome::ClientAdded(id)),
        Case::rejected("registering too early", &low, register(registration()), Rejection::SchemaTooLow { needed: 6, level: 1 }),
        too_long("a long name", RegisterClient { name: long(), ..registration() }),
        too_long("a long plan", RegisterClient { plan: Plan { name: long(), ..Plan::default() }, ..registration() }),
        too_long("many ranges", RegisterClient { ip_ranges: vec!["::1".parse().expect("a range"); LONG], ..registration() }),
        too_long("many scopes of a refresh token", RegisterClient { refresh: Some(wide()), ..registration() }),
        Case::rejected("changing nobody", &world, Command::UpdateClient(update(&nobody())), Rejection::ClientUnknown),
        Case::rejected("deleting nobody", &world, Command::DeleteClient { client: nobody() }, Rejection::ClientUnknown),
        Case::rejected("a secret of nobody", &world, rotate(&nobody(), "h"), Rejection::ClientUnknown),
        Case::rejected("a token of nobody", &world, refreshed(&nobody(), 1), Rejection::ClientUnknown),
        Case::rejected("using what is not there", &world, using(&client, 1, 1, 2), Rejection::RefreshUnknown),
        Case::rejected("a key that is not there", &world, Command::RemoveSigningKey { id: "k".into() }, Rejection::SigningKeyUnknown),
        Case::new(
            "an administrator",
            &world,
            Command::AddAdministrator(administrator),
            Outcome::AdministratorAdded(AdministratorId::from_request(world.next_request())),
        ),
        Case::rejected(
            "removing no administrator",
            &world,
            Command::RemoveAdministrator { administrator: AdministratorId::from_text("ad_x") },
            Rejection::AdministratorUnknown,
        ),
    ]
}

#[test]
fn account_commands() {
    check(cases());
}

/// Up to the last byte of the quota, and not one more; what is replaced makes room, and what is deleted too.
#[test]
fn a_quota_is_exact() {
    let mut world = raised(World::cluster());
    let client = registered(&mut world, RegisterClient { plan: quota(Some(100)), ..registration() });
    let of = |path: &str, size| Command::PutAsset(PutAsset { size, ..put(&client, path, 1) });
    assert!(matches!(world.apply(of("a", 60)), Outcome::AssetCreated(_)));
    let full = Outcome::Rejected(Rejection::StorageQuota { quota: 100, used: 60 });
    assert_eq!(world.apply(of("b", 41)), full);
    assert!(matches!(world.apply(of("b", 40)), Outcome::AssetCreated(_)));
    assert_eq!(world.tables.stored(&client).expect("reads"), Some(Stored { assets: 2, bytes: 100 }));
    assert!(matches!(world.apply(of("a", 59)), Outcome::AssetReplaced(_)));
    let gone = world.tables.asset_at("b").expect("reads").expect("is there");
    world.apply(Command::DeleteAsset(DeleteAsset { client: client.clone(), asset: gone.id, precondition: Precondition::None }));
    assert_eq!(world.tables.stored(&client).expect("reads"), Some(Stored { assets: 1, bytes: 59 }));
    // Beyond a quota that was lowered a client may still shrink.
    world.apply(Command::UpdateClient(UpdateClient { plan: Some(quota(Some(10))), ..update(&client) }));
    assert!(matches!(world.apply(of("a", 58)), Outcome::AssetReplaced(_)));
    assert!(matches!(world.apply(of("a", 59)), Outcome::Rejected(Rejection::StorageQuota { quota: 10, used: 58 })));
    assert!(matches!(world.apply(of("c", 1)), Outcome::Rejected(Rejection::StorageQuota { .. })));
}

/// A client that is older than accounts are is counted from its first change on, with what it has by then.
#[test]
fn an_old_client_is_counted_from_its_first_change_on() {
    let (world, client) = World::with_client();
    let mut world = raised(world);
    world.asset(PutAsset { size: 7, ..put(&client, "a", 1) });
    world.asset(PutAsset { size: 8, ..put(&client, "b", 2) });
    assert_eq!(world.tables.stored(&client).expect("reads"), None);
    assert_eq!(world.apply(Command::UpdateClient(UpdateClient { plan: Some(quota(Some(16))), ..update(&client) })), Outcome::Done);
    assert_eq!(world.tables.stored(&client).expect("reads"), Some(Stored { assets: 2, bytes: 15 }));
    let put = Command::PutAsset(PutAsset { size: 2, ..put(&client, "c", 3) });
    assert_eq!(world.apply(put), Outcome::Rejected(Rejection::StorageQuota { quota: 16, used: 15 }));
}

/// Each token is good once. One that was used before ends all that followed from it, and it makes no difference who shows it.
#[test]
fn a_refresh_token_is_good_once() {
    let mut world = raised(World::cluster());
    let client = registered(&mut world, RegisterClient { refresh: Some(token(1)), ..registration() });
    assert_eq!(world.apply(using(&client, 1, 1, 2)), Outcome::Done);
    assert_eq!(world.apply(using(&client, 1, 2, 3)), Outcome::Done);
    assert_eq!(world.tables.refresh_family(&client, &[1; 16]).expect("reads").map(|family| family.uses), Some(2));
    assert_eq!(world.apply(using(&client, 1, 2, 4)), Outcome::RefreshReused);
    assert_eq!(world.apply(using(&client, 1, 3, 4)), Outcome::Rejected(Rejection::RefreshUnknown));
    assert_eq!(world.table(Table::RefreshFamilies), []);
}

#[test]
fn a_refresh_token_ends() {
    let mut world = raised(World::cluster());
    let client = registered(&mut world, RegisterClient { refresh: Some(token(1)), ..registration() });
    let suspend = |status| Command::SetClientStatus(SetClientStatus { client: client.clone(), status });
    world.apply(suspend(ClientStatus::Suspended));
    assert_eq!(world.apply(using(&client, 1, 1, 2)), Outcome::Rejected(Rejection::ClientBlocked));
    world.apply(suspend(ClientStatus::Active));
    // It lives two days without being used, and four in all.
    for (shown, next) in [(1, 2), (2, 3)] {
        world.now_ms += 2 * DAY_MS - 10;
        assert_eq!(world.apply(using(&client, 1, shown, next)), Outcome::Done);
    }
    world.now_ms += DAY_MS;
    assert_eq!(world.apply(using(&client, 1, 3, 4)), Outcome::Rejected(Rejection::RefreshUnknown));
    world.now_ms += REFRESH_MARGIN_MS;
    for _ in 0..4 {
        world.apply(suspend(ClientStatus::Active));
    }
    assert_eq!(world.table(Table::RefreshFamilies), []);
}

#[test]
fn refresh_tokens_are_bounded_and_end_with_the_secret() {
    let mut world = raised(World::cluster());
    let client = registered(&mut world, registration());
    for family in 0..u8::try_from(MAX_REFRESH_FAMILIES).expect("is small") {
        assert_eq!(world.apply(refreshed(&client, family)), Outcome::Done);
    }
    assert_eq!(world.apply(refreshed(&client, 99)), Outcome::Rejected(Rejection::TooManyRefreshTokens));
    let another = registered(&mut world, RegisterClient { refresh: Some(token(1)), ..registration() });
    assert_eq!(world.apply(rotate(&client, "other")), Outcome::Done);
    let account = world.tables.account(&client).expect("reads").expect("is there");
    assert_eq!(account.secret_set_at, world.index);
    assert_eq!(world.tables.client(&client).expect("reads").expect("is there").secret_hash, "other");
    assert_eq!(world.apply(using(&client, 1, 1, 2)), Outcome::Rejected(Rejection::RefreshUnknown));
    assert_eq!(world.apply(using(&another, 1, 1, 2)), Outcome::Done);
}

#[test]
fn a_client_goes_once_it_has_nothing() {
    let mut world = raised(World::cluster());
    let client = registered(&mut world, RegisterClient { refresh: Some(token(1)), ..registration() });
    let asset = world.asset(put(&client, "a", 1));
    let delete = || Command::DeleteClient { client: client.clone() };
    assert_eq!(world.apply(delete()), Outcome::Rejected(Rejection::ClientHasAssets));
    world.apply(Command::DeleteAsset(DeleteAsset { client: client.clone(), asset: asset.id, precondition: Precondition::None }));
    assert_eq!(world.apply(delete()), Outcome::Done);
    for table in [Table::Clients, Table::Accounts, Table::Stored, Table::RefreshFamilies] {
        assert_eq!(world.table(table), [], "{}", table.as_str());
    }
    assert_eq!(world.apply(Command::PutAsset(put(&client, "a", 1))), Outcome::Rejected(Rejection::ClientUnknown));
}

#[test]
fn an_administrator_comes_and_goes() {
    let mut world = raised(World::cluster());
    let add = AddAdministrator { name: "ada".into(), token_hash: [1; 32], lifetime_ms: Some(DAY_MS) };
    let Outcome::AdministratorAdded(id) = world.apply(Command::AddAdministrator(add)) else { panic!("not added") };
    let known = world.tables.administrator_by_token(&[1; 32]).expect("reads").expect("is there");
    assert_eq!((&known.id, known.expires_at_ms), (&id, Some(world.now_ms + DAY_MS)));
    assert_eq!(world.apply(Command::RemoveAdministrator { administrator: id }), Outcome::Done);
    assert_eq!(world.tables.administrators().expect("reads"), []);
}

fn registration() -> RegisterClient {
    RegisterClient {
        name: "shop".into(),
        secret_hash: "$argon2id$".into(),
        scopes: Scope::ALL[..4].to_vec(),
        domains: vec!["shop.test".into()],
        status: ClientStatus::Active,
        plan: Plan::default(),
        ip_ranges: Vec::new(),
        since_ms: None,
        refresh: None,
    }
}

fn registered(world: &mut World, registration: RegisterClient) -> ClientId {
    match world.apply(Command::RegisterClient(registration)) {
        Outcome::ClientAdded(id) => id,
        other => panic!("{other:?}"),
    }
}

fn quota(storage_bytes: Option<u64>) -> Plan {
    Plan { storage_bytes, ..Plan::default() }
}

fn update(client: &ClientId) -> UpdateClient {
    UpdateClient { client: client.clone(), name: None, scopes: None, domains: None, status: None, plan: None, ip_ranges: None }
}

fn rotate(client: &ClientId, secret_hash: &str) -> Command {
    Command::RotateSecret(RotateSecret { client: client.clone(), secret_hash: secret_hash.into(), refresh: None })
}

/// A token whose secret has the hash 1.
fn token(family: u8) -> NewRefreshToken {
    NewRefreshToken { family: [family; 16], secret_hash: [1; 32], scopes: Vec::new(), idle_ms: 2 * DAY_MS, life_ms: 4 * DAY_MS }
}

fn wide() -> NewRefreshToken {
    NewRefreshToken { scopes: vec![Scope::AssetsRead; LONG], ..token(1) }
}

fn refreshed(client: &ClientId, family: u8) -> Command {
    Command::AddRefreshToken(AddRefreshToken { client: client.clone(), token: token(family) })
}

fn using(client: &ClientId, family: u8, shown: u8, next: u8) -> Command {
    Command::UseRefreshToken(UseRefreshToken {
        client: client.clone(),
        family: [family; 16],
        secret_hash: [shown; 32],
        next_hash: [next; 32],
    })
}

fn raised(mut world: World) -> World {
    for level in 2..=6 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    world
}
