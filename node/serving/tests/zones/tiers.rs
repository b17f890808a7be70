//! Several nodes in front of one origin, each the tier of others, with nothing between them but calls.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use ncore_serving::zones::{
    CacheUsed, Explanation, PassedBy, Question, Tier, TierAnswer, TierAsk, TierLink, TierNode, Tiered, Zone, ZoneServer,
};
use ncore_store::cached::EntryKey;
use ncore_telemetry::{AccessLine, AccessQuery, AccessRecord, AccessWriter};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::{
    origin::{Origin, Reply},
    site::{Answer, Fields, Site, eventually},
};

/// How long a node that stands still is waited for.
const FROZEN_FOR: Duration = Duration::from_millis(200);

/// All nodes, and what they asked each other.
#[derive(Default)]
struct Mesh {
    nodes: Mutex<Vec<TierNode>>,
    zones: Mutex<HashMap<u64, ZoneServer>>,
    silent: Mutex<HashSet<u64>>,
    /// Those that stand still: what is asked of them waits for a while, and is answered if they go on by then.
    frozen: watch::Sender<HashSet<u64>>,
    /// Nobody answers, and nobody is to remember that.
    probing: AtomicBool,
    asked: Mutex<Vec<(u64, u64, Tier)>>,
}

impl Mesh {
    fn asked(&self) -> Vec<(u64, u64, Tier)> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }

    async fn goes_on(&self, node: u64) -> Result<(), PassedBy> {
        let mut frozen = self.frozen.subscribe();
        let gone_on = frozen.wait_for(|frozen| !frozen.contains(&node));
        timeout(FROZEN_FOR, gone_on).await.map(drop).map_err(|_| PassedBy::Late)
    }
}

/// The way of one node to the others.
struct Link {
    own: TierNode,
    mesh: Arc<Mesh>,
}

impl Link {
    fn to(&self, node: u64) -> Result<ZoneServer, PassedBy> {
        if self.mesh.probing.load(Ordering::SeqCst) {
            return Err(PassedBy::Busy);
        }
        if self.mesh.silent.lock().expect("no panic").contains(&node) {
            return Err(PassedBy::Late);
        }
        self.mesh.zones.lock().expect("no panic").get(&node).cloned().ok_or(PassedBy::Unreachable)
    }
}

impl TierLink for Link {
    fn own(&self) -> TierNode {
        self.own.clone()
    }

    fn nodes(&self) -> Arc<[TierNode]> {
        self.mesh.nodes.lock().expect("no panic").clone().into()
    }

    fn ask(&self, node: u64, ask: TierAsk) -> BoxFuture<'static, Result<TierAnswer, PassedBy>> {
        self.mesh.asked.lock().expect("no panic").push((self.own.id, node, ask.tier));
        let (to, mesh) = (self.to(node), Arc::clone(&self.mesh));
        Box::pin(async move {
            mesh.goes_on(node).await?;
            to?.admit(ask).await?.answer().await
        })
    }

    fn end(&self, node: u64, keys: Vec<EntryKey>) -> BoxFuture<'static, Result<(), PassedBy>> {
        let to = self.to(node);
        Box::pin(async move {
            to?.end(&keys).await;
            Ok(())
        })
    }
}

/// Nodes 1, 2 and so on, one in each of these regions.
pub(crate) struct Cluster {
    pub(crate) origin: Arc<Origin>,
    mesh: Arc<Mesh>,
    sites: Vec<Site>,
}

impl Cluster {
    async fn start(regions: &[&str]) -> Self {
        Self::start_with(regions, |_| {}).await
    }

    pub(crate) async fn start_with(regions: &[&str], adjust: impl Fn(&mut Zone)) -> Self {
        let (origin, mesh) = (Arc::new(Origin::start().await), Arc::<Mesh>::default());
        let mut sites = Vec::new();
        for (id, region) in (1..).zip(regions) {
            let own = TierNode { id, region: (*region).into() };
            mesh.nodes.lock().expect("no panic").push(own.clone());
            let link = Arc::new(Link { own, mesh: Arc::clone(&mesh) });
            let site = Site::beside(Arc::clone(&origin), Some(link), &adjust).await;
            mesh.zones.lock().expect("no panic").insert(id, site.zones.clone());
            sites.push(site);
        }
        Self { origin, mesh, sites }
    }

    /// The node of that id.
    fn node(&self, id: usize) -> &Site {
        &self.sites[id - 1]
    }

    pub(crate) async fn get(&self, node: usize, path: &str, fields: Fields<'_>) -> Answer {
        self.node(node).get(path, fields).await
    }

    /// A path for which node 1 asks these nodes, in this order.
    async fn path(&self, wanted: &[u64]) -> String {
        self.mesh.probing.store(true, Ordering::SeqCst);
        let mut number = 0;
        let path = loop {
            let path = format!("/{number}");
            self.mesh.asked();
            let _ = self.node(1).ask(Method::HEAD, &path, &[]).await;
            if self.mesh.asked().iter().map(|(_, asked, _)| *asked).eq(wanted.iter().copied()) {
                break path;
            }
            number += 1;
        };
        self.mesh.probing.store(false, Ordering::SeqCst);
        path
    }

    /// The record of the last answer that a node has given to GET for a path, of so many.
    async fn record(&self, node: usize, path: &str, count: usize) -> AccessRecord {
        let log = &self.node(node).log;
        let _writer = AccessWriter::start(Arc::clone(log), None, "node").expect("a thread");
        let all = || {
            let records = log.find(&AccessQuery::default(), 1, 1_000);
            records.into_iter().filter(|record| record.method() == "GET" && record.path() == path).collect::<Vec<_>>()
        };
        eventually("the records", || all().len() >= count).await;
        all().into_iter().max_by_key(|record| record.number).expect("a record")
    }

    async fn explained(&self, node: usize, path: &str) -> Explanation {
        let question = Question { host: "zone.test".into(), target: path.parse().expect("a target"), headers: HeaderMap::new() };
        self.node(node).zones.explain(&question).await.expect("a zone")
    }

    pub(crate) fn freeze(&self, node: usize, is_frozen: bool) {
        let node = u64::try_from(node).expect("is small");
        self.mesh.frozen.send_modify(|frozen| {
            if is_frozen {
                frozen.insert(node)
            } else {
                frozen.remove(&node)
            };
        });
    }

    pub(crate) fn fence(&self, node: usize, is_fenced: bool) {
        self.node(node).view.is_stale.store(is_fenced, Ordering::SeqCst);
    }

    pub(crate) fn at_revision(&self, node: usize, revision: u64, purge: u64) {
        self.node(node).view.purge.store(purge, Ordering::SeqCst);
        self.node(node).view.revision.store(revision, Ordering::SeqCst);
    }
}

const THREE: [&str; 3] = ["eu", "us", "ap"];

#[tokio::test]
async fn three_nodes_ask_the_origin_once() {
    for regions in [THREE, ["eu", "eu", "eu"], ["eu", "eu", "us"]] {
        let cluster = Cluster::start(&regions).await;
        for path in ["/a", "/b", "/c", "/d", "/e"] {
            cluster.origin.reply(path, Reply::new(200, "content").cached("max-age=60").field("age", "20"));
            let before = cluster.origin.count();
            for node in 1..=3 {
                let answer = cluster.get(node, path, &[]).await;
                // Who owns it has been asked by the first.
                assert!(matches!(answer.cache(), "MISS" | "HIT") && answer.text() == "content", "{answer:?}");
                let age: u64 = answer.header("age").parse().expect("a number");
                assert!((20..60).contains(&age), "{answer:?}");
                let status = answer.header("cache-status");
                assert!(status.split(", ").last().is_some_and(|own| own.starts_with("ncore;")), "{status}");
                assert_eq!(status.matches("ncore;").count(), 1, "{status}");
                assert_eq!(answer.header("via"), "1.1 ncore");
                assert_eq!(cluster.get(node, path, &[]).await.cache(), "HIT");
            }
            assert_eq!(cluster.origin.count() - before, 1, "{regions:?} {path}");
            let seen = cluster.origin.last();
            assert_eq!((seen.header("via"), seen.header("cdn-loop").matches("ncore").count()), ("1.1 ncore", 1));
            assert_eq!(seen.header("x-forwarded-host"), "zone.test");
        }
        let handed: u64 = cluster.sites.iter().map(|site| site.metrics.zones_handed_down(CacheUsed::Hit)).sum();
        assert!(handed > 0);
    }
}

#[tokio::test]
async fn the_owner_in_the_region_then_the_shield() {
    let cluster = Cluster::start(&["eu", "eu", "us"]).await;
    let path = cluster.path(&[2, 3]).await;
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=60"));
    let answer = cluster.get(1, &path, &[]).await;
    assert_eq!(answer.text(), "content");
    assert_eq!(cluster.mesh.asked(), [(1, 2, Tier::Region), (2, 3, Tier::Shield)]);
    let fwd = "fwd=uri-miss;stored";
    assert_eq!(answer.header("cache-status"), format!("ncore/shield;{fwd}, ncore/region;{fwd}, ncore;{fwd}"), "it came from the origin");
    assert_eq!((answer.cache(), answer.header("via")), ("MISS", "1.1 ncore"));
    assert_eq!(cluster.node(1).metrics.zones_answered_by(Tier::Origin), cluster.node(1).metrics.zones(CacheUsed::Miss));

    cluster.node(1).view.purge.store(1, Ordering::SeqCst);
    let answer = cluster.get(1, &path, &[]).await;
    let told: Vec<_> = answer.header("cache-status").split(", ").collect();
    assert!(told.len() == 2 && told[0].starts_with("ncore/region;hit;ttl=") && told[1] == "ncore;fwd=uri-miss;stored", "{told:?}");
    assert_eq!(cluster.node(1).metrics.zones_answered_by(Tier::Region), 1);
}

/// What is said of an answer stands before what is said by the origin's own caches, and is not kept with it.
#[tokio::test]
async fn each_cache_on_the_way_is_a_member() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=60").field("cache-status", "theirs; hit"));
    let answer = cluster.get(1, &path, &[]).await;
    assert_eq!(answer.header("cache-status"), "theirs;hit, ncore/region;fwd=uri-miss;stored, ncore;fwd=uri-miss;stored");
    for node in 1..=2 {
        let told = cluster.get(node, &path, &[]).await.header("cache-status").to_owned();
        assert!(told.starts_with("theirs;hit, ncore;hit;ttl=") && told.matches("ncore").count() == 1, "{told}");
    }
}

#[tokio::test]
async fn the_log_says_whose_cache_it_was() {
    let cluster = Cluster::start(&["eu", "eu", "us"]).await;
    let path = cluster.path(&[2, 3]).await;
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=60"));
    let mut expected = vec![(Tier::Origin, 3), (Tier::Own, 1), (Tier::Region, 2), (Tier::Shield, 3)].into_iter();
    let mut check = async |count| {
        cluster.get(1, &path, &[]).await;
        let record = cluster.record(1, &path, count).await;
        let zone = record.zone.as_deref().expect("of a zone");
        let (tier, node) = expected.next().expect("so many");
        assert_eq!((zone.tier, zone.tier_node), (Some(tier), Some(node)), "{record:?}");
        assert!(zone.asked.is_none(), "it has asked no origin itself: {record:?}");
        let line = serde_json::to_value(AccessLine::new(&record, "node")).expect("JSON");
        assert_eq!((&line["zone"]["tier"], &line["zone"]["tier_node"]), (&tier.as_str().into(), &node.into()));
    };
    check(1).await;
    check(2).await;
    cluster.at_revision(1, 0, 1);
    check(3).await;
    for node in 1..=2 {
        cluster.at_revision(node, 1, 2);
    }
    cluster.at_revision(3, 1, 0);
    check(4).await;
}

/// What is explained is what is asked then.
#[tokio::test]
async fn who_would_be_asked_is_explained() {
    let cluster = Cluster::start(&["eu", "eu", "us"]).await;
    let path = cluster.path(&[2, 3]).await;
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=0").field("etag", "\"a\""));
    for node in 1..=3 {
        cluster.at_revision(node, 7, 0);
    }
    let asks = |explained: &Explanation| -> Vec<u64> { explained.tiers.asks.iter().map(|hop| hop.node).collect() };
    let doubts = |explained: &Explanation| {
        [&explained.tiers.owner, &explained.tiers.shield].map(|owner| owner.as_ref().is_some_and(|owner| owner.in_doubt_for_ms.is_some()))
    };
    let explained = cluster.explained(1, &path).await;
    assert_eq!((explained.asks, asks(&explained), explained.tiers.min_revision), (Some("region"), vec![2, 3], 7));
    let owners = [&explained.tiers.owner, &explained.tiers.shield].map(|owner| owner.as_ref().map(|owner| (owner.node, owner.is_this)));
    assert_eq!((owners, doubts(&explained)), ([Some((2, false)), Some((3, false))], [false, false]));
    assert_eq!(cluster.explained(2, &path).await.tiers.owner.map(|owner| (owner.node, owner.is_this)), Some((2, true)));
    assert_eq!(cluster.explained(3, &path).await.asks, Some("origin"), "the shield asks nobody else");

    cluster.mesh.silent.lock().expect("no panic").insert(2);
    cluster.get(1, &path, &[]).await;
    assert_eq!(cluster.mesh.asked(), [(1, 2, Tier::Region), (1, 3, Tier::Shield)]);
    let explained = cluster.explained(1, &path).await;
    assert_eq!((explained.asks, asks(&explained), doubts(&explained)), (Some("shield"), vec![3], [true, false]));
    cluster.get(1, &path, &[]).await;
    assert_eq!(cluster.mesh.asked(), [(1, 3, Tier::Shield)]);

    cluster.fence(1, true);
    let explained = cluster.explained(1, &path).await;
    assert_eq!((explained.tiers.unused, asks(&explained), explained.asks), (Some("fenced"), vec![], Some("origin")));
    let alone = Cluster::start_with(&THREE, |zone| zone.tiered = Tiered::No).await;
    assert_eq!(alone.explained(1, "/a").await.tiers.unused, Some("off"));
}

#[tokio::test]
async fn the_shield_is_in_the_region_of_the_zone() {
    for (wanted, shield, is_empty) in [("us", Some(3), false), ("ap", None, true)] {
        let cluster = Cluster::start_with(&["eu", "eu", "us"], |zone| zone.shield_region = Some(wanted.into())).await;
        for path in ["/a", "/b", "/c", "/d", "/e", "/f"] {
            cluster.origin.reply(path, Reply::new(200, "content").cached("max-age=60"));
            let explained = cluster.explained(1, path).await;
            assert_eq!(explained.tiers.shield_region.as_deref(), Some(wanted));
            assert_eq!(explained.tiers.shield_region_is_empty, is_empty);
            let found = explained.tiers.shield.expect("there is one in any case").node;
            assert!(shield.is_none_or(|shield| shield == found), "{wanted}: {found}");
            cluster.mesh.asked();
            let before = cluster.origin.count();
            for node in 1..=3 {
                cluster.get(node, path, &[]).await;
            }
            assert_eq!(cluster.origin.count() - before, 1);
            let of_origin = cluster.record(1, path, 1).await.zone.and_then(|zone| zone.tier_node);
            assert_eq!(of_origin, Some(found), "the shield has asked the origin");
        }
    }
}

/// Each takes the other for the shield, and has asked it before it is asked.
#[tokio::test]
async fn nodes_that_ask_each_other_do_not_wait_for_each_other() {
    let others = Mutex::new(vec!["eu", "us"]);
    let cluster =
        Cluster::start_with(&["eu", "us"], |zone| zone.shield_region = others.lock().expect("no panic").pop().map(Into::into)).await;
    cluster.origin.reply("/a", Reply::new(200, "content").cached("max-age=60"));
    for node in 1..=2 {
        cluster.freeze(node, true);
    }
    let all_asked = async {
        eventually("both ask", || cluster.mesh.asked.lock().expect("no panic").len() == 2).await;
        for node in 1..=2 {
            cluster.freeze(node, false);
        }
    };
    let (one, other, ()) = tokio::join!(cluster.get(1, "/a", &[]), cluster.get(2, "/a", &[]), all_asked);
    assert_eq!((one.text(), other.text()), ("content", "content"));
    assert_eq!(cluster.mesh.asked().len(), 2);
    let done = [1, 2].map(|node| cluster.node(node).metrics.tiers_asked(None));
    assert_eq!(done, [1, 1], "neither is passed by");
}

/// The time that the origin takes is in what each node on the way waits, and counts once.
#[tokio::test]
async fn a_delay_counts_once_however_many_nodes_wait() {
    let cluster = Arc::new(Cluster::start(&["eu", "eu", "us"]).await);
    let path = cluster.path(&[2, 3]).await;
    let gate = Arc::new(Semaphore::new(0));
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=60").field("age", "20").behind(&gate));
    let (answer, ()) = tokio::join!(cluster.get(1, &path, &[]), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        gate.close();
    });
    assert_eq!(cluster.mesh.asked().len(), 2);
    let age: u64 = answer.header("age").parse().expect("a number");
    // Thrice it would be 29.
    assert!((23..28).contains(&age), "{age}");
}

#[tokio::test]
async fn a_zone_without_tiers_asks_for_itself() {
    let cluster = Cluster::start_with(&THREE, |zone| zone.tiered = Tiered::No).await;
    cluster.origin.reply("/a", Reply::new(200, "content").cached("max-age=60"));
    for node in 1..=3 {
        assert_eq!(cluster.get(node, "/a", &[]).await.text(), "content");
    }
    assert_eq!((cluster.origin.count(), cluster.mesh.asked()), (3, vec![]));
}

#[tokio::test]
async fn a_tier_that_does_not_answer_is_passed_by() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    cluster.mesh.silent.lock().expect("no panic").insert(2);
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=0").field("etag", "\"a\""));
    for _ in 0..3 {
        assert_eq!(cluster.get(1, &path, &[]).await.text(), "content");
    }
    assert_eq!(cluster.mesh.asked(), [(1, 2, Tier::Region)], "it is not asked again at once");
}

#[tokio::test]
async fn a_fenced_tier_is_passed_by() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=60"));
    cluster.node(2).view.is_stale.store(true, Ordering::SeqCst);
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "content");
    assert_eq!(cluster.node(1).metrics.tiers_asked(Some(PassedBy::Fenced)), 1);
}

/// Two nodes, and a path of the second's whose content is old once, and then new.
async fn old_then_new() -> (Cluster, String) {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    for body in ["old", "new"] {
        cluster.origin.reply(&path, Reply::new(200, body).cached("max-age=60"));
    }
    (cluster, path)
}

/// The owner has what was purged, and has not heard of the purge.
#[tokio::test]
async fn what_was_purged_is_not_handed_down() {
    let (cluster, path) = old_then_new().await;
    assert_eq!(cluster.get(2, &path, &[]).await.text(), "old");
    cluster.at_revision(1, 9, 9);
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "new");
    assert_eq!(cluster.node(1).metrics.tiers_asked(Some(PassedBy::Behind)), 1);
}

/// The owner hears of the purge while it is asked.
#[tokio::test]
async fn a_tier_catches_up_before_it_answers() {
    let (cluster, path) = old_then_new().await;
    assert_eq!(cluster.get(2, &path, &[]).await.text(), "old");
    cluster.at_revision(1, 9, 9);
    let (answer, ()) = tokio::join!(cluster.get(1, &path, &[]), async {
        eventually("it is asked", || cluster.mesh.asked.lock().expect("no panic").contains(&(1, 2, Tier::Region))).await;
        cluster.at_revision(2, 9, 9);
    });
    assert_eq!(answer.text(), "new");
    assert_eq!(cluster.node(1).metrics.tiers_asked(None), 1);
}

/// A flight of the owner began before the purge: what it brings is good for nobody who knows of it.
#[tokio::test]
async fn nobody_joins_a_flight_from_before_a_purge() {
    let cluster = Arc::new(Cluster::start(&["eu", "eu"]).await);
    let path = cluster.path(&[2]).await;
    let gate = Arc::new(Semaphore::new(0));
    cluster.origin.reply(&path, Reply::new(200, "old").cached("max-age=60").behind(&gate));
    cluster.origin.reply(&path, Reply::new(200, "new").cached("max-age=60"));
    let before = cluster.origin.count();
    let early = tokio::spawn({
        let (cluster, path) = (Arc::clone(&cluster), path.clone());
        async move { cluster.get(1, &path, &[]).await }
    });
    eventually("the origin is asked", || cluster.origin.count() == before + 1).await;
    for node in [1, 2] {
        cluster.at_revision(node, 9, 9);
    }
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "new");
    gate.close();
    assert_eq!(early.await.expect("no panic").text(), "old", "it was asked for before");
    for node in [1, 2] {
        assert_eq!(cluster.get(node, &path, &[]).await.text(), "new");
    }
}

/// What comes through a chain is kept under the least revision of the chain.
#[tokio::test]
async fn a_purge_that_comes_later_counts() {
    let (cluster, path) = old_then_new().await;
    cluster.at_revision(2, 5, 0);
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "old");
    for node in [1, 2] {
        cluster.at_revision(node, 7, 7);
    }
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "new");
}

#[tokio::test]
async fn what_is_not_kept_goes_through_a_tier_once() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    cluster.origin.reply(&path, Reply::new(200, "yours").cached("private"));
    for _ in 0..3 {
        let answer = cluster.get(1, &path, &[]).await;
        assert_eq!((answer.cache(), answer.text()), ("MISS", "yours"));
    }
    assert_eq!(cluster.mesh.asked(), [(1, 2, Tier::Region)]);
}

#[tokio::test]
async fn a_tier_selects_by_what_the_viewer_sent() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    for body in ["one", "two"] {
        cluster.origin.reply(&path, Reply::new(200, body).cached("max-age=60").field("vary", "x-a"));
    }
    let before = cluster.origin.count();
    assert_eq!(cluster.get(2, &path, &[("x-a", "1")]).await.text(), "one");
    assert_eq!(cluster.get(1, &path, &[("x-a", "2")]).await.text(), "two");
    assert_eq!(cluster.get(1, &path, &[("x-a", "1")]).await.text(), "one");
    assert_eq!(cluster.origin.count() - before, 2);
}

#[tokio::test]
async fn a_tier_validates() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    let reply = |body: &'static str, tag: &str| Reply::new(200, body).cached("no-cache").field("etag", tag);
    cluster.origin.reply(&path, reply("one", "\"1\""));
    cluster.origin.reply(&path, Reply::new(304, "").field("etag", "\"1\"").field("content-type", "text/corrected"));
    cluster.origin.reply(&path, reply("two", "\"2\""));
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "one");
    let answer = cluster.get(1, &path, &[]).await;
    assert_eq!((answer.cache(), answer.text(), answer.header("content-type")), ("REVALIDATED", "one", "text/corrected"));
    assert_eq!(cluster.origin.last().header("if-none-match"), "\"1\"");
    let answer = cluster.get(1, &path, &[]).await;
    assert_eq!((answer.cache(), answer.text()), ("MISS", "two"));
}

#[tokio::test]
async fn a_write_ends_what_other_nodes_keep() {
    let cluster = Cluster::start(&THREE).await;
    cluster.origin.reply("/a", Reply::new(200, "old").cached("max-age=60"));
    for node in 1..=3 {
        assert_eq!(cluster.get(node, "/a", &[]).await.text(), "old");
    }
    cluster.origin.reply("/a", Reply::new(200, "written"));
    cluster.origin.reply("/a", Reply::new(200, "new").cached("max-age=60"));
    cluster.origin.skip("/a");
    assert_eq!(cluster.node(2).ask(Method::POST, "/a", &[]).await.text(), "written");
    for node in 1..=3 {
        assert_eq!(cluster.get(node, "/a", &[]).await.text(), "new");
    }
}

#[tokio::test]
async fn an_origin_that_fails_is_not_asked_by_every_node() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=0, stale-if-error=60").field("etag", "\"a\""));
    cluster.origin.reply(&path, Reply::new(503, "not now"));
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "content");
    let before = cluster.origin.count();
    let answer = cluster.get(1, &path, &[]).await;
    assert_eq!((answer.text(), cluster.origin.count() - before), ("content", 1));
    cluster.origin.stop();
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "content");
}

#[tokio::test]
async fn content_streams_through_a_tier() {
    let cluster = Arc::new(Cluster::start(&["eu", "eu"]).await);
    let path = cluster.path(&[2]).await;
    let (gate, content) = (Arc::new(Semaphore::new(0)), vec![7; 3 << 20]);
    cluster.origin.reply(&path, Reply::new(200, content.clone()).cached("max-age=60").field("x-chunked", "1").halved(&gate));
    let early = cluster.node(1).send(Method::GET, &path, &[]).await;
    gate.close();
    let answer = Answer::read(early).await;
    assert_eq!((answer.body == content, answer.whole), (true, true));
    let part = cluster.get(1, &path, &[("range", "bytes=1048570-1048580")]).await;
    assert_eq!((part.status.as_u16(), part.body.len(), part.cache()), (206, 11, "HIT"));
}

#[tokio::test]
async fn content_that_breaks_off_at_a_tier_breaks_off() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    cluster.origin.reply(&path, Reply::new(200, vec![7; 1 << 20]).cached("max-age=60").broken());
    cluster.origin.reply(&path, Reply::new(200, "whole").cached("max-age=60"));
    assert!(!cluster.get(1, &path, &[]).await.whole);
    // Who comes before the flight has landed gets what it got.
    let whole = loop {
        let answer = cluster.get(1, &path, &[]).await;
        if answer.whole {
            break answer;
        }
    };
    assert_eq!(whole.text(), "whole");
}

#[tokio::test]
async fn a_range_of_what_a_tier_keeps_is_its_own() {
    let cluster = Cluster::start(&["eu", "eu"]).await;
    let path = cluster.path(&[2]).await;
    cluster.origin.reply(&path, Reply::new(200, "content").cached("max-age=60"));
    assert_eq!(cluster.get(2, &path, &[]).await.text(), "content");
    let before = cluster.origin.count();
    let answer = cluster.get(1, &path, &[("range", "bytes=3-5")]).await;
    assert_eq!((answer.status.as_u16(), answer.text(), cluster.origin.count() - before), (206, "ten", 0));
    let head = cluster.node(1).ask(Method::HEAD, &path, &[]).await;
    assert_eq!((head.header("content-length"), cluster.origin.count() - before), ("7", 0));
    // Neither says that the whole is not kept.
    assert_eq!(cluster.get(1, &path, &[]).await.text(), "content");
    assert_eq!(cluster.origin.count(), before);
}
