//! What serving has of zones and their purges is what the replica has, at once and after every start.

mod harness;

use std::sync::Arc;

use harness::{Cluster, Machine, brisk};
use ncore_agent::AgentHandle;
use ncore_control::rebuild::beginning_after;
use ncore_model::{
    BeginLineage, ClientStatus, Command, CreateZone, Founder, NodeId, Outcome, PurgeZone, Query, RemoveZone, SCHEMA_MAX, SetClientStatus,
    ShieldZone, UpdateZone, Zone, ZoneOrigin, ZonePurgeTarget, ZoneSettings,
};

/// A cluster at the highest level.
fn cluster() -> Arc<Cluster> {
    let cluster = Cluster::new(1);
    for level in 2..=SCHEMA_MAX {
        assert_eq!(cluster.apply(Command::RaiseSchema { level }).1, Outcome::Done);
    }
    cluster
}

fn create(cluster: &Cluster, host: &str) -> Zone {
    let create = CreateZone {
        client: cluster.client.clone(),
        name: "zone".to_owned(),
        origins: vec![ZoneOrigin::new("https://origin.test")],
        host_header: None,
        cdn_suffix: "cdn.test".to_owned(),
        domains: vec![host.to_owned()],
        settings: ZoneSettings::default(),
    };
    match cluster.apply(Command::CreateZone(create)).1 {
        Outcome::ZoneCreated(id) => cluster.replica.zone(id).expect("reads").expect("is there"),
        other => panic!("{other:?}"),
    }
}

/// Purges, and gives where that stands in the log.
fn purge(cluster: &Cluster, zone: &Zone, target: ZonePurgeTarget) -> u64 {
    let purge = PurgeZone { client: zone.client.clone(), zone: zone.id, targets: vec![target] };
    let (revision, outcome) = cluster.apply(Command::PurgeZone(purge));
    assert_eq!(outcome, Outcome::Purged);
    revision.index
}

/// The number of the zone that serving has for a host.
fn served(agent: &AgentHandle, host: &str) -> Option<u64> {
    agent.zones().zones().load().get(host).map(|zone| zone.id)
}

fn newest(agent: &AgentHandle, zone: &Zone, url: &str) -> u64 {
    agent.zones().purges().newest_for(zone.number, url)
}

/// Nothing is waited for: when a change is applied, it is published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_follow_the_replica_at_once() {
    let cluster = cluster();
    let a = Machine::new(&cluster, 0).await;
    let before = create(&cluster, "before.test");
    let agent = a.start(brisk(1));
    assert_eq!(served(&agent, "before.test"), Some(before.number));
    assert_eq!(served(&agent, &before.cdn_hostname), Some(before.number));
    let zone = create(&cluster, "new.test");
    assert_eq!(served(&agent, "NEW.test."), Some(zone.number));

    let change = UpdateZone { domains: Some(vec!["other.test".to_owned()]), ..UpdateZone::nothing(zone.client.clone(), zone.id) };
    assert_eq!(cluster.apply(Command::UpdateZone(change)).1, Outcome::Done);
    assert_eq!((served(&agent, "new.test"), served(&agent, "other.test")), (None, Some(zone.number)));

    let shield = |agent: &AgentHandle| agent.zones().zones().load().get("other.test").and_then(|zone| zone.shield_region.clone());
    let region = cluster.replica.nodes().expect("reads")[0].region.clone();
    let shielded = |region: Option<&str>| {
        let update = UpdateZone::nothing(zone.client.clone(), zone.id);
        assert_eq!(cluster.apply(Command::ShieldZone(ShieldZone { update, region: region.map(Into::into) })).1, Outcome::Done);
    };
    shielded(Some(&region));
    assert_eq!((shield(&agent).as_deref(), shield(&a.start(brisk(2))).as_deref()), (Some(&*region), Some(&*region)));
    shielded(None);
    assert_eq!(shield(&agent), None);

    let set = |status| cluster.apply(Command::SetClientStatus(SetClientStatus { client: zone.client.clone(), status })).1;
    assert_eq!(set(ClientStatus::Suspended), Outcome::Done);
    assert_eq!((served(&agent, "other.test"), served(&agent, "before.test")), (None, None), "nothing of a suspended client is served");
    let restarted = a.start(brisk(3));
    assert_eq!(served(&restarted, "before.test"), None, "nor after a start");
    assert_eq!(set(ClientStatus::Active), Outcome::Done);
    assert_eq!((served(&agent, "other.test"), served(&restarted, "before.test")), (Some(zone.number), Some(before.number)));

    let remove = RemoveZone { client: zone.client.clone(), zone: zone.id, versions: None };
    assert_eq!(cluster.apply(Command::RemoveZone(remove)).1, Outcome::Done);
    assert_eq!((served(&agent, "other.test"), served(&agent, "before.test")), (None, Some(before.number)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purges_follow_the_replica_at_once() {
    let cluster = cluster();
    let a = Machine::new(&cluster, 0).await;
    let (zone, other) = (create(&cluster, "a.test"), create(&cluster, "b.test"));
    let early = purge(&cluster, &zone, ZonePurgeTarget::Url("/a".to_owned()));
    let agent = a.start(brisk(1));
    assert_eq!((newest(&agent, &zone, "/a?x"), newest(&agent, &zone, "/b")), (early, 0));
    let prefix = purge(&cluster, &zone, ZonePurgeTarget::Prefix("/img/".to_owned()));
    assert_eq!((newest(&agent, &zone, "/a"), newest(&agent, &zone, "/img/ü")), (early, prefix));
    let all = purge(&cluster, &zone, ZonePurgeTarget::Zone);
    assert_eq!((newest(&agent, &zone, "/a"), newest(&agent, &zone, "/b"), newest(&agent, &other, "/a")), (all, all, 0));
    let late = purge(&cluster, &zone, ZonePurgeTarget::Url("/a".to_owned()));
    let restarted = a.start(brisk(2));
    for agent in [&agent, &restarted] {
        assert_eq!((newest(agent, &zone, "/a"), newest(agent, &zone, "/b")), (late, all));
    }
    let remove = RemoveZone { client: zone.client.clone(), zone: zone.id, versions: None };
    assert_eq!(cluster.apply(Command::RemoveZone(remove)).1, Outcome::Done);
    assert_eq!(newest(&agent, &zone, "/a"), 0, "of a zone that is gone nothing is kept");
}

/// In a new lineage nothing from before it is good: purges of it may be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lineage_begins_with_a_floor() {
    let cluster = cluster();
    let a = Machine::new(&cluster, 0).await;
    let zone = create(&cluster, "a.test");
    let agent = a.start(brisk(1));
    let base = cluster.replica.revision().index;
    let index = beginning_after(base);
    let begin = BeginLineage { number: 2, base, at_ms: 0, founder: Founder::Survivor(NodeId(1)) };
    cluster.replica.begin_lineage(index, &begin, b"").expect("begins");
    assert_eq!(newest(&agent, &zone, "/a"), index);
    assert_eq!((newest(&a.start(brisk(2)), &zone, "/a"), served(&agent, "a.test")), (index, Some(zone.number)));
}
