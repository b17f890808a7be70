//! The names of the node's figures. `docs/metrics.md` lists them: a name that is added here is added there.

mod cache;
mod origins;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ncore_agent::AgentMetrics;
use ncore_control::{Control, ControlPlane, ControlStatus, NodeRole};
use ncore_domain::{DenialReason, Denials, Sessions};
use ncore_freshness::{FenceAction, Fences, FreshState, Guarded};
use ncore_limits::{Class, LimitMetrics};
use ncore_origin::Origins;
use ncore_raft::RaftNode;
use ncore_serving::{
    Outcome, ServingMetrics,
    zones::{CacheUsed, PassedBy, Tier},
};
use ncore_store::{BlobStore, cached::Cached};
use ncore_telemetry::{AccessLog, Figures, Source};
use ncore_transfer::{ServiceMetrics, TransferMetrics};
use tokio::runtime::Handle;

use self::{cache::CacheFigures, origins::OriginFigures};
use crate::machine;

/// The parts that have figures.
pub(crate) struct Parts {
    pub(crate) control: Arc<Control>,
    pub(crate) fences: Arc<Fences>,
    pub(crate) store: BlobStore,
    pub(crate) cached: Cached,
    pub(crate) origins: Origins,
    pub(crate) serving: Arc<ServingMetrics>,
    pub(crate) transfer: Arc<TransferMetrics>,
    pub(crate) service: Arc<ServiceMetrics>,
    pub(crate) agent: Arc<AgentMetrics>,
    pub(crate) limits: Arc<LimitMetrics>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) machine: MachineParts,
}

/// What is known of the machine and of this node's share of it.
pub(crate) struct MachineParts {
    pub(crate) data_dir: PathBuf,
    pub(crate) connections_max: usize,
    /// What runs the tasks of this process, by name.
    pub(crate) runtimes: Vec<(&'static str, Handle)>,
}

pub(crate) fn sources(parts: Parts) -> Vec<Arc<dyn Source>> {
    let Parts { control, fences, store, cached, origins, serving, transfer, service, agent, limits, denials, sessions, access, machine } =
        parts;
    vec![
        Arc::new(ControlFigures(Arc::clone(&control))),
        Arc::new(FenceFigures(fences)),
        Arc::new(DatabaseFigures { control, store: store.clone() }),
        Arc::new(StoreFigures(store)),
        Arc::new(CacheFigures(cached)),
        Arc::new(OriginFigures { origins, serving: Arc::clone(&serving) }),
        Arc::new(ServingFigures(serving)),
        Arc::new(TransferFigures(transfer)),
        Arc::new(ServiceFigures(service)),
        Arc::new(AgentFigures(agent)),
        Arc::new(LimitFigures(limits)),
        Arc::new(DenialFigures(denials)),
        Arc::new(SessionFigures(sessions)),
        Arc::new(AccessFigures(access)),
        Arc::new(MachineFigures(machine)),
    ]
}

struct ControlFigures(Arc<Control>);

impl Source for ControlFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let status = self.0.status();
        figures.gauge("revision", "Index of the last change that this node has applied", self.0.replica().revision().index)?;
        figures.gauge("raft_term", "Term of Raft", status.term)?;
        figures.gauge("raft_leader", "Node id of the leader, 0 if none is known", status.leader.unwrap_or(0))?;
        figures.gauge("raft_is_leader", "1 on the leader", u64::from(status.role == NodeRole::Leader))?;
        figures.gauge("raft_log_first", "Index of the first entry that the log still has", self.0.raft().map_or(0, RaftNode::log_first))?;
        figures.gauge("raft_last_log", "Index of the last entry of the log", status.last_log.unwrap_or(0))?;
        figures.gauge("raft_committed", "Index of the last committed entry", status.committed.unwrap_or(0))?;
        figures.gauge("raft_voters", "Number of voters", status.members.voters.len() as u64)?;
        figures.gauge(
            "clock_lead_milliseconds",
            "By how much, at least, this node's clock is ahead of a majority of the voters'",
            self.0.clock_lead_ms(),
        )?;
        figures.gauge(
            "clock_refused",
            "1 on a leader that takes no changes because its clock is ahead",
            u64::from(self.0.refuses_to_stamp()),
        )?;
        self.read_autopilot(figures)?;
        figures.counter(
            "raft_snapshot_sent_bytes",
            "Bytes of checkpoints sent to other nodes",
            self.0.raft().map_or(0, RaftNode::snapshot_bytes_sent),
        )?;
        let newest = self.0.raft().and_then(|raft| raft.status().snapshot);
        figures.gauge("raft_snapshot", "Index of the last change in the newest checkpoint of this voter", newest.unwrap_or(0))?;
        figures.gauge(
            "raft_snapshot_bytes",
            "Bytes of the newest checkpoint of this voter: what a node that is far behind has to take",
            self.0.raft().map_or(0, RaftNode::snapshot_bytes),
        )?;
        figures.counter("raft_log_syncs", "Syncs of the log to disk", self.0.raft().map_or(0, RaftNode::log_syncs))?;
        figures.counter("state_syncs", "Syncs of the state to disk", self.0.replica().syncs())?;
        let children = self.0.children();
        let following = children.iter().filter(|child| child.following).count() as u64;
        let behind = children.iter().filter(|child| child.following).map(|child| child.next).min();
        let applied = self.0.replica().revision().index;
        let lag = behind.map_or(0, |next| (applied + 1).saturating_sub(next));
        figures.gauge(
            "hub_parent",
            "Node id of the hub that this node follows, 0 if it takes part in Raft or has none",
            parent(&status),
        )?;
        figures.gauge("hub_depth", "Hops between this node and the log", status.parent.map_or(0, |parent| u64::from(parent.depth) + 1))?;
        figures.counter("hub_parent_changes", "How often this node followed another hub than before", status.parent_changes)?;
        figures.counter("hub_checkpoints", "Checkpoints that this node took over from a hub", status.checkpoints)?;
        figures.gauge("hub_children", "Nodes that follow this one", following)?;
        figures.gauge("hub_children_standby", "Nodes that keep a stream to this one warm", children.len() as u64 - following)?;
        figures.gauge("hub_ack_lag", "Entries that the child furthest behind has not acknowledged", lag)?;
        let fresh = matches!(self.0.fresh_state(), FreshState::Fresh { .. });
        figures.gauge("fresh", "1 while this node may act on its view, 0 while it is fenced", u64::from(fresh))?;
        figures.counter("fencings", "How often this node was fenced after it had been fresh", self.0.fencings())?;
        let staleness = self.0.staleness().map_or(u64::MAX, |staleness| u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX));
        figures.gauge(
            "staleness_milliseconds",
            "How old the view of this node can be at most; the greatest number if nothing is known",
            staleness,
        )?;
        figures.gauge("uptime_seconds", "Time since the process started", self.0.uptime().as_secs())
    }
}

impl ControlFigures {
    fn read_autopilot(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let counts = self.0.autopilot_counts();
        let changes = [
            ("promoted", counts.promoted),
            ("replaced", counts.replaced),
            ("demoted", counts.demoted),
            ("finished", counts.finished),
            ("handed_over", counts.handed_over),
        ];
        figures.counters("autopilot_changes", "What this node has changed about the voters as the leader", "change", &changes)?;
        let waits = u64::from(self.0.autopilot_waits());
        figures.gauge("autopilot_waits", "1 on a leader that is to change something about the voters and cannot", waits)
    }
}

fn parent(status: &ControlStatus) -> u64 {
    status.parent.as_ref().map_or(0, |parent| parent.node.0)
}

struct FenceFigures(Arc<Fences>);

impl Source for FenceFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let assets = self.of(Guarded::PublicAsset);
        figures.counters("fenced_assets", "Requests for assets while this node was fenced, by what was done", "action", &assets)?;
        let credentials = self.of(Guarded::Credential);
        figures.counters(
            "fenced_credentials",
            "Checks of credentials while this node stayed fenced, by what was done",
            "action",
            &credentials,
        )
    }
}

impl FenceFigures {
    fn of(&self, guarded: Guarded) -> [(&'static str, u64); 2] {
        [FenceAction::ServeStale, FenceAction::Refuse].map(|action| (action.as_str(), self.0.decided(guarded, action)))
    }
}

struct DenialFigures(Arc<Denials>);

impl Source for DenialFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let denials = DenialReason::ALL.map(|reason| (reason.as_str(), self.0.count(reason)));
        figures.counters("denied", "Requests of the API, and for restricted assets, that were not let in, by why", "reason", &denials)
    }
}

struct SessionFigures(Arc<Sessions>);

impl Source for SessionFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        figures.gauge("administrator_sessions", "Sessions of administrators who look at this node with a browser", self.0.count() as u64)
    }
}

struct StoreFigures(BlobStore);

impl Source for StoreFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        figures.gauge("store_memory_bytes", "Bytes of verified slices in memory", self.0.memory_bytes())
    }
}

/// What the three databases take of memory, which is bounded for each of them.
struct DatabaseFigures {
    control: Arc<Control>,
    store: BlobStore,
}

impl Source for DatabaseFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let state = self.control.replica().memory().unwrap_or_default();
        let log = self.control.raft().map_or((0, 0), RaftNode::log_memory);
        let index = self.store.index_memory().unwrap_or_default();
        let unwritten = [("state", state.unwritten), ("log", log.0), ("index", index.0)];
        let blocks = [("state", state.blocks), ("log", log.1), ("index", index.1)];
        figures.gauges("database_unwritten_bytes", "Memory of what is in no file of a database yet", "database", &unwritten)?;
        figures.gauges("database_blocks_bytes", "Memory of parts of the files of a database", "database", &blocks)
    }
}

struct ServingFigures(Arc<ServingMetrics>);

impl Source for ServingFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let metrics = &self.0;
        let outcomes: Vec<_> = Outcome::ALL.iter().map(|outcome| (outcome.as_str(), metrics.requests(*outcome))).collect();
        figures.counters("requests", "Requests by outcome", "outcome", &outcomes)?;
        let [informed, ok, redirected, refused, failed] = metrics.statuses();
        let statuses = [("1xx", informed), ("2xx", ok), ("3xx", redirected), ("4xx", refused), ("5xx", failed)];
        figures.counters("responses", "Responses by their status", "class", &statuses)?;
        figures.latency(
            "response_head_seconds",
            "Time from the head of a GET or HEAD to the head of its response",
            &metrics.latency.counts(),
        )?;
        figures.counter("asset_hits", "Assets whose first bytes were on this node", load(&metrics.hits))?;
        figures.counter("asset_misses", "Assets whose first bytes came from another node", load(&metrics.misses))?;
        figures.counter("sent_bytes", "Bytes of bodies sent to viewers", load(&metrics.bytes_out))?;
        let slices = [
            ("memory", load(&metrics.slices_memory)),
            ("disk", load(&metrics.slices_disk)),
            ("peer", load(&metrics.slices_peer)),
            ("failed", load(&metrics.slices_failed)),
        ];
        figures.counters("slices", "Slices of 1 MiB by where they came from", "source", &slices)?;
        let zones: Vec<_> = CacheUsed::ALL.iter().map(|used| (used.as_str(), metrics.zones(*used))).collect();
        figures.counters("zone_requests", "Requests for zones, by what the cache did", "cache", &zones)?;
        read_tiers(metrics, figures)?;
        figures.gauge("zone_upgrades", "Connections of zones whose protocol was changed", load(&metrics.tunnels_active))?;
        figures.counter("zone_upgraded", "Requests for zones by which the protocol was changed", load(&metrics.tunnels))?;
        let broken = [("data", load(&metrics.responses_broken)), ("viewer", load(&metrics.responses_abandoned))];
        figures.counters("responses_broken", "Responses broken off, by whose end broke", "by", &broken)?;
        figures.gauge("connections", "Open connections of viewers and API clients", load(&metrics.connections_active))?;
        let connections = [
            ("accepted", load(&metrics.connections_accepted)),
            ("refused", load(&metrics.connections_refused)),
            ("refused_address", load(&metrics.connections_refused_address)),
            ("refused_http3", load(&metrics.http3_refused)),
            ("proxy_header_failed", load(&metrics.proxy_headers_failed)),
            ("resetting", load(&metrics.connections_resetting)),
            ("stalled", load(&metrics.connections_stalled)),
            ("handshake_failed", load(&metrics.handshakes_failed)),
            ("accept_failed", load(&metrics.accept_errors)),
        ];
        figures.counters("connection_events", "What happened to connections", "event", &connections)?;
        let handshakes = [("full", load(&metrics.handshakes_full)), ("resumed", load(&metrics.handshakes_resumed))];
        figures.counters("tls_handshakes", "TLS handshakes of HTTP/1.1 and HTTP/2", "kind", &handshakes)?;
        let quic = [("accepted", load(&metrics.http3_accepted)), ("retried", load(&metrics.http3_retries))];
        figures.counters("http3_connections", "Connections over QUIC", "event", &quic)?;
        let certificates = [("used", load(&metrics.certificates)), ("refused", load(&metrics.certificates_refused))];
        figures.gauges("tls_certificates", "Certificates that are there", "state", &certificates)?;
        figures.gauge(
            "tls_certificate_expires_timestamp_seconds",
            "When the first of the certificates in use expires",
            load(&metrics.certificate_expires_s),
        )?;
        figures.counter("tls_certificate_swaps", "How often other certificates were shown", load(&metrics.certificate_swaps))
    }
}

fn read_tiers(metrics: &ServingMetrics, figures: &mut Figures<'_>) -> fmt::Result {
    let answered = Tier::ALL.map(|tier| (tier.as_str(), metrics.zones_answered_by(tier)));
    figures.counters("zone_responses", "Responses for zones, by whose cache they came out of", "tier", &answered)?;
    let passed_by = PassedBy::ALL.map(|why| (why.as_str(), metrics.tiers_asked(Some(why))));
    let asked: Vec<_> = [("answered", metrics.tiers_asked(None))].into_iter().chain(passed_by).collect();
    figures.counters("zone_tier_asks", "Requests for zones to other nodes, by how they ended", "result", &asked)?;
    let handed_down = CacheUsed::ALL.map(|used| (used.as_str(), metrics.zones_handed_down(used)));
    figures.counters("zone_handed_down", "Requests for zones of other nodes, by what the cache did", "cache", &handed_down)
}

struct TransferFigures(Arc<TransferMetrics>);

impl Source for TransferFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let metrics = &self.0;
        let slices = [("ok", load(&metrics.slices_fetched)), ("failed", load(&metrics.slices_failed))];
        figures.counters("transfer_slices", "Single slices fetched from other nodes", "result", &slices)?;
        let blobs = [("ok", load(&metrics.blobs_fetched)), ("failed", load(&metrics.blobs_failed))];
        figures.counters("transfer_blobs", "Whole blobs fetched from other nodes", "result", &blobs)?;
        figures.counter("transfer_fetched_bytes", "Bytes fetched from other nodes", load(&metrics.bytes_fetched))?;
        figures.counter("transfer_bad_frames", "Frames from other nodes that failed verification", load(&metrics.frames_bad))?;
        figures.counter("transfer_resumed", "Fetches that went on after a break", load(&metrics.resumed))?;
        let copies =
            [("stored", load(&metrics.copies_stored)), ("failed", load(&metrics.copies_failed)), ("slow", load(&metrics.copies_slow))];
        figures.counters("upload_copies", "Copies of uploads on other nodes", "result", &copies)?;
        figures.counter("upload_copied_bytes", "Bytes of uploads sent to other nodes", load(&metrics.bytes_copied))
    }
}

struct ServiceFigures(Arc<ServiceMetrics>);

impl Source for ServiceFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let metrics = &self.0;
        figures.counter("transfer_sent_bytes", "Bytes sent to other nodes", load(&metrics.bytes_sent))?;
        figures.counter("transfer_received_bytes", "Bytes of copies received from other nodes", load(&metrics.bytes_received))?;
        let pushes = [
            ("stored", load(&metrics.pushes_stored)),
            ("mismatched", load(&metrics.pushes_mismatched)),
            ("full", load(&metrics.pushes_full)),
        ];
        figures.counters("transfer_pushes", "Copies that other nodes sent here", "result", &pushes)?;
        figures.counter("transfer_corrupt_reads", "Reads for other nodes that met damaged bytes", load(&metrics.fetches_corrupt))?;
        figures.counter("transfer_busy", "Calls of other nodes refused because too many were open", load(&metrics.refused_busy))
    }
}

struct AgentFigures(Arc<AgentMetrics>);

impl Source for AgentFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let metrics = &self.0;
        figures.gauge("replication_watermark", "Every asset version up to here is held and verified", load(&metrics.watermark))?;
        figures.gauge("replication_exceptions", "Versions below the watermark that are missing or damaged", load(&metrics.exceptions))?;
        figures.gauge("replication_wanted", "Blobs that are to be fetched", load(&metrics.blobs_wanted))?;
        let obtained = [("ok", load(&metrics.blobs_obtained)), ("failed", load(&metrics.fetches_failed))];
        figures.counters("replication_fetches", "Tries to fetch a blob that this node must hold", "result", &obtained)?;
        let reports = [("ok", load(&metrics.reports)), ("failed", load(&metrics.reports_failed))];
        figures.counters("replication_reports", "Reports of what this node holds", "result", &reports)?;
        figures.counter("blobs_quarantined", "Blobs that were found damaged and set aside", load(&metrics.quarantined))?;
        figures.counter("blobs_repaired", "Damaged blobs that were replaced by a good copy", load(&metrics.repaired))?;
        figures.counter("blobs_scrubbed", "Blobs that were read again", load(&metrics.scrubbed))?;
        figures.counter("blobs_scrub_damaged", "Blobs that were found damaged by reading them again", load(&metrics.scrub_damaged))?;
        figures.counter("surplus_removed", "Copies that were removed because other nodes hold them", load(&metrics.surplus_removed))?;
        figures.counter("surplus_removed_bytes", "Bytes of these", load(&metrics.surplus_removed_bytes))?;
        figures.counter("blobs_collected", "Blobs that were removed because nothing refers to them", load(&metrics.collected))?;
        figures.counter("blobs_collected_bytes", "Bytes of these", load(&metrics.collected_bytes))?;
        figures.counter("purges", "Purges that were carried out here", load(&metrics.purges))?;
        let usage = [
            ("ok", load(&metrics.usage_reports)),
            ("repeated", load(&metrics.usage_reports_repeated)),
            ("failed", load(&metrics.usage_reports_failed)),
        ];
        figures.counters("usage_reports", "Reports of what clients used here", "result", &usage)?;
        figures.gauge("usage_pending", "Hours of clients that no report has yet", load(&metrics.usage_pending))?;
        figures.counter(
            "usage_dropped",
            "Hours of clients whose counts were dropped because too many waited",
            load(&metrics.usage_dropped),
        )?;
        let variants = [
            ("made", load(&metrics.variants_made)),
            ("not_worth_it", load(&metrics.variants_not_worth_it)),
            ("failed", load(&metrics.variants_failed)),
            ("evicted", load(&metrics.variants_evicted)),
            ("queue_full", load(&metrics.variants_queue_full)),
        ];
        figures.counters("variants", "What became of content in content codings", "result", &variants)?;
        figures.gauge("variants_bytes", "Bytes of content in content codings that are kept", load(&metrics.variants_bytes))?;
        let lookups = [("hit", load(&metrics.catalog_hits)), ("miss", load(&metrics.catalog_misses))];
        figures.counters("catalog_lookups", "Lookups of an asset by path, in memory or in the state", "result", &lookups)
    }
}

struct LimitFigures(Arc<LimitMetrics>);

impl Source for LimitFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let metrics = &self.0;
        let refused = [
            (Class::Default.as_str(), load(&metrics.refused_default)),
            (Class::Purge.as_str(), load(&metrics.refused_purge)),
            (Class::Anonymous.as_str(), load(&metrics.refused_anonymous)),
            ("v1", load(&metrics.refused_v1)),
        ];
        figures.counters("rate_limited", "Requests that were refused because a limit was reached", "class", &refused)?;
        figures.counter(
            "rate_shares",
            "Requests that were decided by this node's share, because the node that counts did not answer",
            load(&metrics.decided_by_share),
        )?;
        let asks = [("failed", load(&metrics.asks_failed)), ("served", load(&metrics.asks_served))];
        figures.counters("rate_asks", "Asks for permits: of this node, not answered; and of others, answered here", "result", &asks)
    }
}

struct AccessFigures(Arc<AccessLog>);

impl Source for AccessFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let records = [("taken", self.0.taken()), ("dropped", self.0.dropped())];
        figures.counters("access_records", "Records of the access log, by whether there was room for them", "result", &records)?;
        figures.counter("access_file_errors", "How often the file of the access log could not be written", self.0.file_errors())
    }
}

struct MachineFigures(MachineParts);

impl Source for MachineFigures {
    fn read(&self, figures: &mut Figures<'_>) -> fmt::Result {
        let MachineParts { data_dir, connections_max, runtimes } = &self.0;
        figures.gauge("connections_max", "The most open connections of viewers and API clients", *connections_max as u64)?;
        let tasks: Vec<_> = runtimes.iter().map(|(name, runtime)| (*name, runtime.metrics().num_alive_tasks() as u64)).collect();
        figures.gauges("tasks", "Tasks that are under way in this process", "runtime", &tasks)?;
        let machine = machine::machine().unwrap_or_default();
        let ticks = [("busy", machine.cpu_busy), ("idle", machine.cpu_all - machine.cpu_busy)];
        figures.counters("machine_cpu_ticks", "Ticks of all processors of the machine", "state", &ticks)?;
        figures.gauge("process_resident_bytes", "Memory of this process that is in use", machine::resident().unwrap_or_default())?;
        figures.gauge("machine_memory_bytes", "Memory of the machine", machine.memory.total)?;
        figures.gauge("machine_memory_used_bytes", "Memory of the machine that programs cannot have any more", machine.memory.used)?;
        let storage = machine::storage(data_dir).unwrap_or_default();
        figures.gauge("storage_bytes", "Size of the file system of the data", storage.total)?;
        figures.gauge("storage_used_bytes", "Bytes of it that cannot be had any more", storage.used)
    }
}

fn load(value: &AtomicU64) -> u64 {
    value.load(Ordering::Relaxed)
}
