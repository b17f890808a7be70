//! Commands about zones: what one may be, whose host is whose, and what is kept of purges.

use ncore_model::{
    AddClient, ClientId, Command, CreateShieldedZone, CreateZone, MAX_PURGE_TARGETS, MAX_ZONE_PURGE_WEIGHT, NodeId, Outcome, Plan,
    PurgeZone, Query, RegisterClient, Rejection, RemoveZone, SCHEMA_MAX, Scope, ShieldZone, Table, UpdateClient, UpdateZone, Zone,
    ZoneBypass, ZoneField, ZoneId, ZoneOrigin, ZonePurgeTarget, ZoneSettings, ZoneSettingsPatch,
};

use crate::{
    Case, check,
    world::{LONG, World, add_client, nobody, update_node},
};

/// A cluster at the highest level, with a client that has a zone of the host `own.test`.
fn world() -> (World, ClientId, Zone) {
    let mut world = World::cluster();
    for level in 2..=SCHEMA_MAX {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    let client = world.client();
    let zone = created(&mut world, CreateZone { domains: vec!["own.test".into()], ..create(&client) });
    (world, client, zone)
}

fn create(client: &ClientId) -> CreateZone {
    CreateZone {
        client: client.clone(),
        name: "zone".into(),
        origins: vec![ZoneOrigin::new("https://origin.test")],
        host_header: None,
        cdn_suffix: "cdn.test".into(),
        domains: Vec::new(),
        settings: ZoneSettings::default(),
    }
}

fn created(world: &mut World, create: CreateZone) -> Zone {
    match world.apply(Command::CreateZone(create)) {
        Outcome::ZoneCreated(id) => world.tables.zone(id).expect("reads").expect("is there"),
        other => panic!("{other:?}"),
    }
}

fn purge(zone: &Zone, targets: Vec<ZonePurgeTarget>) -> Command {
    Command::PurgeZone(PurgeZone { client: zone.client.clone(), zone: zone.id, targets })
}

fn update(zone: &Zone) -> UpdateZone {
    UpdateZone::nothing(zone.client.clone(), zone.id)
}

fn with_domains(client: &ClientId, domains: &[&str]) -> Command {
    let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
    Command::CreateZone(CreateZone { domains, ..create(client) })
}

fn taken(host: &str) -> Rejection {
    Rejection::HostTaken { host: host.to_owned() }
}

pub(crate) fn cases() -> Vec<Case> {
    let (world, client, zone) = world();
    let mut other = world.clone();
    let stranger = other.client();
    let theirs = |update: UpdateZone| Command::UpdateZone(UpdateZone { client: stranger.clone(), ..update });
    let level_1 = World::with_client();
    let mut poor = world.clone();
    let plan = Plan { zones: Some(1), ..Plan::default() };
    let bare = UpdateClient { client: client.clone(), name: None, scopes: None, domains: None, status: None, plan: None, ip_ranges: None };
    poor.apply(Command::UpdateClient(UpdateClient { plan: Some(plan), ..bare.clone() }));
    let remove = |client: &ClientId, zone: &Zone, versions: Option<Vec<u64>>| {
        Command::RemoveZone(RemoveZone { client: client.clone(), zone: zone.id, versions })
    };
    let id = ZoneId::from_request(world.next_request());
    vec![
        Case::new("a zone", &world, Command::CreateZone(create(&client)), Outcome::ZoneCreated(id)),
        Case::rejected("of nobody", &world, Command::CreateZone(create(&nobody())), Rejection::ClientUnknown),
        Case::rejected("too early", &level_1.0, Command::CreateZone(create(&level_1.1)), Rejection::SchemaTooLow { needed: 8, level: 1 }),
        Case::rejected("one too many", &poor, Command::CreateZone(create(&client)), Rejection::TooManyZones { quota: 1 }),
        Case::rejected("the host of a zone", &world, with_domains(&client, &["own.test"]), taken("own.test")),
        Case::rejected("the host of a client", &world, with_domains(&client, &["shop.test"]), taken("shop.test")),
        Case::rejected("the given host of a zone", &world, with_domains(&client, &[&zone.cdn_hostname]), taken(&zone.cdn_hostname)),
        Case::rejected(
            "a domain that a zone has",
            &world,
            Command::AddClient(AddClient { domains: vec!["OWN.test.".into()], ..add_client() }),
            taken("own.test"),
        ),
        Case::rejected(
            "another domain that a zone has",
            &world,
            Command::UpdateClient(UpdateClient { domains: Some(vec!["own.test".into()]), ..bare }),
            taken("own.test"),
        ),
        Case::rejected("an owner of zones", &world, Command::DeleteClient { client: client.clone() }, Rejection::ClientHasZones),
        Case::new(
            "an update",
            &world,
            Command::UpdateZone(UpdateZone { versions: Some(vec![zone.version]), ..update(&zone) }),
            Outcome::Done,
        ),
        Case::rejected(
            "an update of another version",
            &world,
            Command::UpdateZone(UpdateZone { versions: Some(vec![zone.version + 1]), ..update(&zone) }),
            Rejection::PreconditionFailed,
        ),
        Case::rejected("an update of another's", &other, theirs(update(&zone)), Rejection::ZoneUnknown),
        Case::rejected("removing another's", &other, remove(&stranger, &zone, None), Rejection::ZoneUnknown),
        Case::rejected("removing another version", &world, remove(&client, &zone, Some(Vec::new())), Rejection::PreconditionFailed),
        Case::rejected(
            "purging another's",
            &other,
            Command::PurgeZone(PurgeZone { client: stranger.clone(), zone: zone.id, targets: vec![ZonePurgeTarget::Zone] }),
            Rejection::ZoneUnknown,
        ),
        Case::rejected("purging nothing", &world, purge(&zone, Vec::new()), Rejection::ZoneInvalid { field: ZoneField::Paths }),
        Case::rejected(
            "purging too much",
            &world,
            purge(&zone, vec![ZonePurgeTarget::Zone; MAX_PURGE_TARGETS + 1]),
            Rejection::ZoneInvalid { field: ZoneField::Paths },
        ),
    ]
}

#[test]
fn zone_commands() {
    check(cases());
}

/// Each part of a zone is looked at, in a new zone and in a change.
#[test]
fn what_no_zone_may_be() {
    let (world, client, zone) = world();
    let origins = |origins: &[&str]| origins.iter().map(|url| ZoneOrigin::new(*url)).collect::<Vec<_>>();
    let settings = |settings: ZoneSettings| CreateZone { settings, ..create(&client) };
    let bypass = |prefixes: &[&str], cookies: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        settings(ZoneSettings {
            bypass: ZoneBypass { everything: false, prefixes: texts(prefixes), cookies: texts(cookies) },
            ..ZoneSettings::default()
        })
    };
    let domains = |names: &[&str]| CreateZone { domains: names.iter().map(|name| (*name).to_owned()).collect(), ..create(&client) };
    let long = "x".repeat(LONG);
    let many: Vec<String> = (0..101).map(|number| format!("h{number}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let backup = vec![ZoneOrigin { backup: true, ..ZoneOrigin::new("https://a.test") }];
    let cases = [
        (CreateZone { name: " ".into(), ..create(&client) }, ZoneField::Name),
        (CreateZone { name: long.clone(), ..create(&client) }, ZoneField::Name),
        (CreateZone { name: "a\nb".into(), ..create(&client) }, ZoneField::Name),
        (CreateZone { origins: Vec::new(), ..create(&client) }, ZoneField::Origins),
        (CreateZone { origins: origins(&["a.test"]), ..create(&client) }, ZoneField::Origins),
        (CreateZone { origins: origins(&["https://a.test"; 17]), ..create(&client) }, ZoneField::Origins),
        (CreateZone { origins: backup, ..create(&client) }, ZoneField::Origins),
        (CreateZone { origins: origins(&["https://a.test/x", "https://b.test"]), ..create(&client) }, ZoneField::Origins),
        (CreateZone { host_header: Some("a b".into()), ..create(&client) }, ZoneField::HostHeader),
        (CreateZone { host_header: Some(String::new()), ..create(&client) }, ZoneField::HostHeader),
        (CreateZone { cdn_suffix: "a_b".into(), ..create(&client) }, ZoneField::CdnHostname),
        (domains(&["a.test", "a.test"]), ZoneField::Domains),
        (domains(&["A.test"]), ZoneField::Domains),
        (domains(&["*.a.test"]), ZoneField::Domains),
        (domains(&["127.0.0.1"]), ZoneField::Domains),
        (domains(&["localhost"]), ZoneField::Domains),
        (domains(&["a..test"]), ZoneField::Domains),
        (domains(&[&long]), ZoneField::Domains),
        (domains(&many), ZoneField::Domains),
        (settings(ZoneSettings { cache_ttl_s: Some(u32::MAX), ..ZoneSettings::default() }), ZoneField::CacheTtl),
        (settings(ZoneSettings { negative_ttl_s: Some(u32::MAX), ..ZoneSettings::default() }), ZoneField::NegativeTtl),
        (settings(ZoneSettings { stale_on_error_s: Some(u32::MAX), ..ZoneSettings::default() }), ZoneField::StaleOnError),
        (settings(ZoneSettings { stale_while_revalidate_s: Some(u32::MAX), ..ZoneSettings::default() }), ZoneField::StaleWhileRevalidate),
        (bypass(&["a"], &[]), ZoneField::Bypass),
        (bypass(&["/"; 101], &[]), ZoneField::Bypass),
        (bypass(&[], &["a b"]), ZoneField::Bypass),
        (bypass(&[], &[""]), ZoneField::Bypass),
    ];
    for (create, field) in cases {
        let expected = Outcome::Rejected(Rejection::ZoneInvalid { field });
        let change = UpdateZone {
            name: Some(create.name.clone()),
            origins: Some(create.origins.clone()),
            host_header: Some(create.host_header.clone()),
            domains: Some(create.domains.clone()),
            settings: ZoneSettingsPatch {
                cache_ttl_s: Some(create.settings.cache_ttl_s),
                bypass: Some(create.settings.bypass.clone()),
                negative_ttl_s: Some(create.settings.negative_ttl_s),
                stale_on_error_s: Some(create.settings.stale_on_error_s),
                stale_while_revalidate_s: Some(create.settings.stale_while_revalidate_s),
                ..ZoneSettingsPatch::default()
            },
            ..update(&zone)
        };
        assert_eq!(world.clone().apply(Command::CreateZone(create)), expected, "{field:?}");
        if field != ZoneField::CdnHostname {
            assert_eq!(world.clone().apply(Command::UpdateZone(change)), expected, "{field:?}");
        }
    }
}

/// A slash at the end of a path makes it no other.
#[test]
fn origins_have_one_path() {
    let (mut world, client, _) = world();
    let origins = ["https://a.test/x/", "http://b.test:80/x"].map(ZoneOrigin::new).to_vec();
    let zone = created(&mut world, CreateZone { origins, ..create(&client) });
    assert_eq!((zone.origins[0].path(), zone.origins[1].path()), ("/x", "/x"));
    let origins = ["https://a.test/", "http://b.test"].map(ZoneOrigin::new).to_vec();
    assert_eq!(created(&mut world, CreateZone { origins, ..create(&client) }).origins[0].path(), "");
}

/// Below the wildcard of a client only that client may have hosts, and the address of a node is nobody's.
#[test]
fn hosts_of_others() {
    let (mut world, client, _) = world();
    let add = AddClient { domains: vec!["*.wild.test".into()], ..add_client() };
    let Outcome::ClientAdded(wild) = world.apply(Command::AddClient(add)) else { panic!("no client") };
    assert_eq!(world.clone().apply(with_domains(&client, &["a.wild.test"])), Outcome::Rejected(taken("a.wild.test")));
    assert!(matches!(world.clone().apply(with_domains(&wild, &["a.wild.test"])), Outcome::ZoneCreated(_)));
    assert!(matches!(world.clone().apply(with_domains(&client, &["wild.test"])), Outcome::ZoneCreated(_)));
    let mut node = update_node(NodeId(1), "one");
    node.http_address = "https://Cdn.node.test:8443/".into();
    node.incarnation = 2;
    assert_eq!(world.apply(Command::UpdateNode(node)), Outcome::Done);
    assert_eq!(world.apply(with_domains(&client, &["cdn.node.test"])), Outcome::Rejected(taken("cdn.node.test")));
}

/// What is not named stays, what is removed is free, and the zone is found by what it has.
#[test]
fn a_zone_changes_its_hosts() {
    let (mut world, client, zone) = world();
    let change = UpdateZone {
        domains: Some(vec!["new.test".into()]),
        settings: ZoneSettingsPatch { cache_ttl_s: Some(Some(60)), ..ZoneSettingsPatch::default() },
        ..update(&zone)
    };
    assert_eq!(world.apply(Command::UpdateZone(change)), Outcome::Done);
    let now = world.tables.zone_of_host("new.test").expect("reads").expect("is there");
    assert_eq!((now.id, now.number, now.version, now.settings.cache_ttl_s), (zone.id, zone.number, world.index, Some(60)));
    assert_eq!((&now.name, &now.origins, &now.cdn_hostname), (&zone.name, &zone.origins, &zone.cdn_hostname));
    assert_eq!(world.tables.zone_of_host("own.test").expect("reads"), None);
    created(&mut world, CreateZone { domains: vec!["own.test".into()], ..create(&client) });
    let (total, page) = world.tables.zones_of(&client, 1, 10).expect("reads");
    assert_eq!((total, page.len(), &page[0].domains), (2, 1, &vec!["own.test".to_owned()]));
}

#[test]
fn a_zone_goes_with_all_that_is_its() {
    let (mut world, client, zone) = world();
    assert_eq!(world.apply(purge(&zone, vec![ZonePurgeTarget::Url("/a".into())])), Outcome::Purged);
    let region = Some(world.tables.nodes().expect("reads")[0].region.clone());
    assert_eq!(world.apply(Command::ShieldZone(ShieldZone { update: update(&zone), region })), Outcome::Done);
    let zone = world.tables.zone(zone.id).expect("reads").expect("is there");
    let remove = RemoveZone { client: client.clone(), zone: zone.id, versions: Some(vec![zone.version]) };
    assert_eq!(world.apply(Command::RemoveZone(remove)), Outcome::Done);
    for table in [Table::Zones, Table::ClientZones, Table::ZoneHosts, Table::ZonePurges, Table::ZonePurgeMarks, Table::ZoneShields] {
        assert_eq!(world.table(table), [], "{}", table.as_str());
    }
    assert_eq!(world.apply(Command::DeleteClient { client }), Outcome::Done);
}

/// A shield is where a node is, and changes with the zone or not at all.
#[test]
fn where_a_shield_may_be() {
    let (mut world, client, zone) = world();
    let here = world.tables.nodes().expect("reads")[0].region.clone();
    let region_of = |world: &World, id| world.tables.zone_shield(id).expect("reads");
    let wrong = Outcome::Rejected(Rejection::ZoneInvalid { field: ZoneField::ShieldRegion });
    let shielded = |region: &str| Command::CreateShieldedZone(CreateShieldedZone { zone: create(&client), region: region.into() });
    let shield = |update: UpdateZone, region: Option<&str>| Command::ShieldZone(ShieldZone { update, region: region.map(Into::into) });
    for region in ["", "nowhere"] {
        assert_eq!(world.apply(shielded(region)), wrong);
        assert_eq!(world.apply(shield(UpdateZone { name: Some("new".into()), ..update(&zone) }, Some(region))), wrong);
    }
    assert_eq!(world.tables.zone(zone.id).expect("reads").as_ref(), Some(&zone), "nothing of it is done");
    let Outcome::ZoneCreated(made) = world.apply(shielded(&here)) else { panic!("a node is there") };
    assert_eq!((region_of(&world, made), region_of(&world, zone.id)), (Some(here.clone()), None));

    let stale = UpdateZone { versions: Some(vec![1]), ..update(&zone) };
    assert_eq!(world.apply(shield(stale, Some(&here))), Outcome::Rejected(Rejection::PreconditionFailed));
    assert_eq!(region_of(&world, zone.id), None);
    assert_eq!(world.apply(shield(UpdateZone { name: Some("new".into()), ..update(&zone) }, Some(&here))), Outcome::Done);
    let now = world.tables.zone(zone.id).expect("reads").expect("is there");
    assert_eq!((region_of(&world, zone.id), now.version, &*now.name), (Some(here.clone()), world.index, "new"));
    assert_eq!(world.apply(Command::UpdateZone(update(&zone))), Outcome::Done);
    assert_eq!(region_of(&world, zone.id), Some(here), "what is not said stays");
    assert_eq!(world.apply(shield(update(&zone), None)), Outcome::Done);
    assert_eq!(region_of(&world, zone.id), None);
}

#[test]
fn shields_need_their_level() {
    let mut world = World::cluster();
    for level in 2..=8 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    let client = world.client();
    let region = world.tables.nodes().expect("reads")[0].region.clone();
    let zone = created(&mut world, create(&client));
    let too_low = Outcome::Rejected(Rejection::SchemaTooLow { needed: 9, level: 8 });
    for command in [
        Command::CreateShieldedZone(CreateShieldedZone { zone: create(&client), region: region.clone() }),
        Command::ShieldZone(ShieldZone { update: update(&zone), region: Some(region) }),
    ] {
        assert_eq!(world.clone().apply(command.clone()), too_low);
        let mut raised = world.clone();
        assert_eq!(raised.apply(Command::RaiseSchema { level: 9 }), Outcome::Done);
        assert!(!matches!(raised.apply(command), Outcome::Rejected(_)));
    }
}

/// So many purges are kept. The index of the newest that is not is the floor, and a purge of the whole zone says so by itself.
#[test]
fn purges_are_kept_above_a_floor() {
    let (mut world, _, zone) = world();
    let kept = |world: &World| world.tables.zone_purges_from(zone.number, 0).expect("reads");
    let mark = |world: &World| world.tables.zone_purge_mark(zone.number).expect("reads");
    let most = MAX_ZONE_PURGE_WEIGHT as usize / (MAX_PURGE_TARGETS + 1) - 1;
    for _ in 0..most {
        assert_eq!(world.apply(purge(&zone, vec![ZonePurgeTarget::Url("/a".into()); MAX_PURGE_TARGETS])), Outcome::Purged);
    }
    assert_eq!((kept(&world).len(), mark(&world).floor), (most, 0));
    let first = kept(&world)[0].0;
    assert_eq!(world.apply(purge(&zone, vec![ZonePurgeTarget::Prefix("/".into())])), Outcome::Purged);
    assert_eq!((kept(&world).len(), mark(&world).oldest_good()), (most + 1, 0), "there is room for a small one");
    assert_eq!(world.apply(purge(&zone, vec![ZonePurgeTarget::Url("/a".into()); MAX_PURGE_TARGETS])), Outcome::Purged);
    assert_eq!((kept(&world).len(), mark(&world).oldest_good()), (most + 1, first));
    assert_eq!(world.apply(purge(&zone, vec![ZonePurgeTarget::Zone])), Outcome::Purged);
    assert_eq!((mark(&world).zone_at, mark(&world).oldest_good()), (world.index, world.index));
    let weight: u32 = kept(&world).iter().map(|(_, purge)| u32::try_from(purge.targets.len()).expect("is small") + 1).sum();
    assert_eq!(mark(&world).weight, weight);
    assert!(weight <= MAX_ZONE_PURGE_WEIGHT);
}

/// Whoever gets a scope of level 8 needs that level, in whatever command.
#[test]
fn scopes_of_zones_need_their_level() {
    let mut world = World::cluster();
    for level in 2..8 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    let client = world.client();
    let add = |scope| Command::AddClient(AddClient { scopes: vec![scope], ..add_client() });
    let register = |scope| {
        Command::RegisterClient(RegisterClient {
            name: "shop".into(),
            secret_hash: "$argon2id$".into(),
            scopes: vec![Scope::AssetsRead, scope],
            domains: Vec::new(),
            status: ncore_model::ClientStatus::Active,
            plan: Plan::default(),
            ip_ranges: Vec::new(),
            since_ms: None,
            refresh: None,
        })
    };
    let update = |scope| {
        let scopes = Some(vec![scope]);
        let client = client.clone();
        Command::UpdateClient(UpdateClient { client, name: None, scopes, domains: None, status: None, plan: None, ip_ranges: None })
    };
    let too_low = Outcome::Rejected(Rejection::SchemaTooLow { needed: 8, level: 7 });
    for command in [add(Scope::ZonesRead), register(Scope::ZonesWrite), update(Scope::ZonesRead)] {
        assert_eq!(world.clone().apply(command.clone()), too_low);
        let mut raised = world.clone();
        assert_eq!(raised.apply(Command::RaiseSchema { level: 8 }), Outcome::Done);
        assert!(!matches!(raised.apply(command), Outcome::Rejected(_)));
    }
    for command in [add(Scope::MetricsRead), register(Scope::CachePurge), update(Scope::AssetsWrite)] {
        assert!(!matches!(world.clone().apply(command), Outcome::Rejected(_)));
    }
}

#[test]
fn ids_of_zones_are_uuids() {
    let (world, _, zone) = world();
    let text = zone.id.to_string();
    assert_eq!((text.len(), text.as_bytes()[14], text.parse()), (36, b'4', Ok(zone.id)));
    assert_eq!(text.to_uppercase().parse(), Ok(zone.id));
    assert!(zone.cdn_hostname.starts_with('z') && zone.cdn_hostname.ends_with(".cdn.test"), "{}", zone.cdn_hostname);
    for bad in ["", "x", &text[1..], &text.replace('-', ""), &text.replacen(|digit: char| digit != '-', "+", 1)] {
        assert_eq!(bad.parse::<ZoneId>(), Err(()), "{bad}");
    }
    assert_ne!(ZoneId::from_request(world.next_request()), zone.id);
}
