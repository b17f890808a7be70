//! The agent put together: its tasks, and what the rest of the node gets from it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ncore_control::ControlPlane;
use ncore_freshness::Fences;
use ncore_origin::Origins;
use ncore_replica::Observer;
use ncore_store::BlobStore;
use ncore_telemetry::Usage;
use ncore_transfer::{RepairQueue, Repairs, Transfer};
use tokio::sync::{Notify, mpsc, watch};

use crate::{
    catalog::{AssetCatalog, EntryCache, Hosts, Watcher},
    collector::Collector,
    error::AgentFailure,
    metrics::AgentMetrics,
    purger::Purger,
    removals::Removals,
    repairer::Repairer,
    replicate::{Fetcher, Holdings, Replicator, Survey},
    reporter::Reporter,
    scrubber::Scrubber,
    settings::AgentSettings,
    slices::AssetSlices,
    supervisor::{Supervised, Supervisor},
    usage::{Allowances, UsageReporter},
    variants::{self, VariantShelf},
    zones::{ZonePublisher, ZoneView},
};

/// Damaged blobs that wait for the replicator.
const DAMAGE_CAPACITY: usize = 16;

/// What the agent works with.
pub struct Agent {
    /// The view of the cluster, and the way to report to it.
    pub control: Arc<dyn ControlPlane>,
    /// What this node does while it is fenced.
    pub fences: Arc<Fences>,
    /// The blobs of this node.
    pub store: BlobStore,
    /// The way to those of others.
    pub transfer: Arc<Transfer>,
    /// Where damage is reported. The service that other nodes fetch from reports there as well.
    pub repairs: Repairs,
    /// Where these reports come out.
    pub repair_queue: RepairQueue,
    /// What clients use, as it is counted here.
    pub usage: Arc<Usage>,
    /// The way to the origins of zones.
    pub origins: Origins,
    /// Where it is kept until it is reported.
    pub data_dir: PathBuf,
}

/// The running agent. Dropping it aborts its tasks.
pub struct AgentHandle {
    catalog: Arc<AssetCatalog>,
    slices: Arc<AssetSlices>,
    variants: Arc<VariantShelf>,
    zones: Arc<ZoneView>,
    metrics: Arc<AgentMetrics>,
    holdings: watch::Receiver<Option<Holdings>>,
    tasks: Supervised,
    patience: Duration,
}

impl Agent {
    /// Starts the tasks on the present runtime.
    #[must_use]
    pub fn start(self, settings: AgentSettings) -> AgentHandle {
        let Self { control, fences, store, transfer, repairs, repair_queue, usage, origins, data_dir } = self;
        let metrics = Arc::new(AgentMetrics::default());
        let replica = Arc::clone(control.replica());
        let mut tasks = Supervisor::new();

        let entries = Arc::new(EntryCache::new(settings.catalog_bytes));
        let (bell, versions) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let hosts = Arc::new(Hosts::new());
        let watcher = Watcher {
            entries: Arc::clone(&entries),
            hosts: Arc::clone(&hosts),
            purges: Arc::clone(&bell),
            versions: Arc::clone(&versions),
        };
        replica.observe(Arc::new(watcher));
        // Observed first and read then: what changes meanwhile is published after what was read before it.
        let publisher = Arc::new(ZonePublisher::new(Arc::clone(&replica), origins, Arc::clone(&usage)));
        replica.observe(Arc::clone(&publisher) as Arc<dyn Observer>);
        publisher.publish_all();
        let zones = Arc::new(ZoneView::new(Arc::clone(&control), Arc::clone(&fences), &publisher));
        let purger = Purger::new(Arc::clone(&replica), Arc::clone(&entries), store.clone(), bell, Arc::clone(&metrics));
        tasks.spawn("purger", |stop| purger.run(stop));

        let (damage, damaged) = mpsc::channel(DAMAGE_CAPACITY);
        let repairer = Repairer::new(store.clone(), repair_queue, damage, Arc::clone(&metrics));
        tasks.spawn("repairer", |stop| repairer.run(stop));

        let (held, holdings) = watch::channel(None);
        let removals = Removals::default();
        let survey = Survey { node: control.node_id(), replica: Arc::clone(&replica), store: store.clone(), removals: removals.clone() };
        let fetcher = Fetcher {
            replica: Arc::clone(&replica),
            store: store.clone(),
            transfer: Arc::clone(&transfer),
            metrics: Arc::clone(&metrics),
            removals: removals.clone(),
        };
        let replicator = Replicator::new(survey, fetcher, settings.replication, damaged, held, versions);
        tasks.spawn("replicator", |stop| replicator.run(stop));

        let reporter = Reporter::new(Arc::clone(&control), settings.incarnation, settings.reports, Arc::clone(&metrics), holdings.clone());
        tasks.spawn("reporter", |stop| reporter.run(stop));

        let allowances = Allowances::new(replica, Arc::clone(&usage), settings.usage.every);
        tasks.spawn("allowances", |stop| allowances.run(stop));

        let (incarnation, counted) = (settings.incarnation, Arc::clone(&metrics));
        let usage_reporter = UsageReporter::new(Arc::clone(&control), Arc::clone(&usage), &data_dir, incarnation, settings.usage, counted);
        tasks.spawn("usage", |stop| usage_reporter.run(stop));

        let catalog = Arc::new(AssetCatalog::new(Arc::clone(&control), fences, entries, hosts, Arc::clone(&metrics), usage));
        let collector = Collector::new(control, store.clone(), settings.collection, Arc::clone(&metrics), removals);
        tasks.spawn("collector", |stop| collector.run(stop));

        let scrubber = Scrubber::new(store.clone(), repairs.clone(), settings.scrub, Arc::clone(&metrics));
        tasks.spawn("scrubber", |stop| scrubber.run(stop));

        let (shelf, maker) = variants::open(&store, &settings.variants, &metrics);
        if let Some(maker) = maker {
            tasks.spawn("variants", |stop| maker.run(stop));
        }

        AgentHandle {
            variants: Arc::new(shelf),
            zones,
            catalog,
            slices: Arc::new(AssetSlices::new(store, transfer, repairs)),
            metrics,
            holdings,
            tasks: tasks.watch(),
            patience: settings.shutdown,
        }
    }
}

impl AgentHandle {
    /// The assets, for serving.
    #[must_use]
    pub fn catalog(&self) -> Arc<AssetCatalog> {
        Arc::clone(&self.catalog)
    }

    /// Their content, for serving.
    #[must_use]
    pub fn slices(&self) -> Arc<AssetSlices> {
        Arc::clone(&self.slices)
    }

    /// It in content codings, for serving.
    #[must_use]
    pub fn variants(&self) -> Arc<VariantShelf> {
        Arc::clone(&self.variants)
    }

    /// The zones and their purges, for serving.
    #[must_use]
    pub fn zones(&self) -> Arc<ZoneView> {
        Arc::clone(&self.zones)
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<AgentMetrics> {
        &self.metrics
    }

    /// What this node holds; `None` until the replica was read.
    #[must_use]
    pub fn holdings(&self) -> watch::Receiver<Option<Holdings>> {
        self.holdings.clone()
    }

    /// Completes when a task has failed. The others were stopped, and the node is to stop.
    ///
    /// Cancel-safe.
    pub async fn failed(&self) -> AgentFailure {
        self.tasks.failed().await
    }

    /// Stops the tasks, within the bound of the settings. Transfers that are under way are given up; what came of them stays and is
    /// taken up after the next start. True if no task had to be aborted.
    pub async fn shutdown(self) -> bool {
        self.tasks.shutdown(self.patience).await
    }
}
