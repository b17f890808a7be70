//! `docs/metrics.md` lists what a node has: every figure, with its label, and no other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ncore_agent::AgentMetrics;
use ncore_control::{AutopilotSettings, Control, ControlConfig, FirstHubs, HubSettings, Peers, SelfDescription};
use ncore_identity::{IdentityHandle, IdentityStore, NodeIdentity};
use ncore_model::{NodeId, SchemaRange};
use ncore_origin::{Origins, OriginsSettings};
use ncore_replica::Replica;
use ncore_serving::ServingMetrics;
use ncore_store::{
    BlobStore, StoreConfig,
    cached::{Cached, CachedSettings},
};
use ncore_telemetry::{AccessLog, Metrics};
use ncore_transfer::{ServiceMetrics, TransferMetrics};
use tempfile::TempDir;
use tonic::service::Routes;

use super::{MachineParts, Parts, sources};
use crate::node::FIRST_NODE;

/// Names, each with its label.
type Listed = BTreeMap<String, Option<String>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentation_lists_every_figure_and_no_other() {
    let dir = TempDir::new().expect("a directory");
    let control = control(&dir).await;
    let parts = Parts {
        control: Arc::clone(&control),
        fences: Arc::default(),
        store: BlobStore::open(&StoreConfig { dir: dir.path().join("blobs"), memory_bytes: 0, reserve_bytes: 0 }).expect("a store"),
        cached: Cached::open(&dir.path().join("cached"), CachedSettings::default()).expect("a cache"),
        origins: Origins::new(OriginsSettings::of_system()),
        serving: Arc::new(ServingMetrics::default()),
        transfer: Arc::new(TransferMetrics::default()),
        service: Arc::new(ServiceMetrics::default()),
        agent: Arc::new(AgentMetrics::default()),
        limits: Arc::default(),
        access: Arc::new(AccessLog::new(1)),
        machine: MachineParts {
            data_dir: dir.path().to_owned(),
            connections_max: 1,
            runtimes: vec![("control", tokio::runtime::Handle::current())],
        },
        denials: Arc::default(),
        sessions: Arc::default(),
    };
    let exposed = exposed(&Metrics::new(sources(parts)).render().expect("renders"));
    control.shutdown().await;

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("the documentation");
    let listed = listed(&text);
    assert!(exposed.len() > 40, "{exposed:?}");
    assert_eq!(listed, exposed);
    let named: BTreeSet<String> = names(&text).collect();
    assert_eq!(named, exposed.into_keys().collect(), "a name outside of the tables");
}

/// The control plane of a machine that is no cluster yet.
async fn control(dir: &TempDir) -> Arc<Control> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let identity = NodeIdentity::found(FIRST_NODE, now_s).expect("an identity");
    let store = Arc::new(IdentityStore::at(dir.path()));
    store.create(&identity).expect("kept");
    let identity = IdentityHandle::new(identity);
    let replica = Arc::new(Replica::open(&dir.path().join("state")).expect("a replica"));
    let peers = Arc::new(Peers::new(NodeId(FIRST_NODE), "eu".to_owned(), Arc::clone(&replica), identity.clone(), HashMap::new()));
    let config = ControlConfig {
        data_dir: dir.path().to_owned(),
        founding: true,
        log_keep: 1_000,
        freshness_bound: Duration::from_secs(5),
        hub: HubSettings::default(),
        first_hubs: FirstHubs::default(),
        description: SelfDescription {
            name: "n1".to_owned(),
            region: "eu".to_owned(),
            cluster_address: "127.0.0.1:1".to_owned(),
            http_address: "http://n1".to_owned(),
            schema: SchemaRange::BUILD,
            software: "test".to_owned(),
            incarnation: 1,
        },
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        dial: HashMap::new(),
        heartbeat: Duration::from_millis(100),
        election: (Duration::from_millis(300), Duration::from_millis(600)),
        snapshot_rate: 0,
        autopilot: AutopilotSettings::default(),
        clock: Arc::new(ncore_control::SystemClock),
    };
    Control::start(config, replica, identity, store, peers, Routes::default()).await.expect("starts")
}

/// What a scrape has: the type of each family, and the label of its samples.
fn exposed(text: &str) -> Listed {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let families = families.map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() });
    let label =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once('=')).map(|(label, _)| label);
    families.map(|name| (name.clone(), label(&name).map(str::to_owned))).collect()
}

/// What the tables list: names in the first column, their label in the second.
fn listed(text: &str) -> Listed {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let mut columns = row.split('|').skip(1);
        let names = names(columns.next().unwrap_or_default());
        let label = columns.next().unwrap_or_default().trim().trim_matches('`').to_owned();
        let label = (!label.is_empty()).then_some(label);
        names.map(move |name| (name, label.clone())).collect::<Vec<_>>()
    })
    .collect()
}

/// Every name of a figure in a text.
fn names(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("ncore_")).map(str::to_owned)
}
