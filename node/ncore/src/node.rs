//! A node, assembled: each part gets the handles that it needs, and no more.
//!
//! ```text
//!   identity ─► replica ─► store ─► peers ─► transfer ─► control ─► domain ─► agent ─► api ─► serving
//! ```
//!
//! There are two runtimes. Raft, its log and the transfers have one of their own, so that a data plane under load does not delay
//! a heartbeat; serving and the API have the other.

mod access_logs;
mod admission;
mod counters;
mod data_dir;
mod explains;
mod figures;
mod founding;
mod gateway;
mod health;
mod identity;
mod keys;
mod levels;
mod near;
mod rebuilt;
mod recovery;
mod tiers;
mod tls;
mod watcher;

pub(crate) use founding::mark_founding;
pub(crate) use recovery::{EmptyNode, Expected, Prepared};

use std::{
    mem,
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow};
use ncore_agent::{Agent, AgentHandle, AgentSettings};
use ncore_api::{Api, ApiParts};
use ncore_console::{Console, ConsoleParts, NodeInfo};
use ncore_control::{AutopilotSettings, Control, ControlConfig, ControlPlane, FirstHubs, HubSettings, Peers, SelfDescription};
use ncore_domain::{Domain, DomainParts, Explains, LogNode, LogParts, Logs, Settings, SystemClock};
use ncore_freshness::Fences;
use ncore_limits::{LimitMetrics, LimitSettings, Limiter, LimiterParts};
use ncore_model::NodeId;
use ncore_origin::{AddressPolicy, Origins, OriginsSettings, Timeouts};
use ncore_replica::Replica;
use ncore_serving::{
    AssetServer, CertificateWatch, Endpoints, Http2Settings, Http3Settings, HttpsEndpoint, Listener, ListenerSettings, PortTaken, Router,
    ServingMetrics,
    zones::{TierNode, ZoneParts, ZoneServer},
};
use ncore_store::{
    BlobStore, StoreConfig,
    cached::{Cached, CachedSettings},
};
use ncore_telemetry::{AccessFileSettings, AccessLog, AccessWriter, Events, History, LogFormat, Metrics, Usage, init_logging};
use ncore_transfer::{BlobService, Repairs, ServiceMetrics, ServiceSettings, Transfer, TransferMetrics, TransferSettings};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    admin,
    config::{self, AccessLogConfig, Config},
    ending,
    metrics::{self, MachineParts},
};
use access_logs::{LogService, OtherLogs};
use admission::Doorkeeper;
use counters::Counters;
use data_dir::DataDir;
use explains::{AllExplains, ExplainService, OwnExplains};
use figures::{AllNodes, FigureService, OwnFigures};
use gateway::Gateway;
use health::Health;
use near::NearestNodes;
use tiers::{OtherTiers, TierService};
use watcher::Watcher;

/// The id of the node that makes a cluster. Every other id is a log index, and those are greater.
pub(crate) const FIRST_NODE: u64 = 1;

/// How long a slice may take to come, from disk or from another node, before the response fails.
const SLICE_DEADLINE: Duration = Duration::from_secs(15);
/// How many bad blobs may wait for repair.
const REPAIRS_MAX: usize = 1_024;
/// How long the parts have to stop, each.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long connections whose protocol was changed may go on when the node stops: as long as requests.
const UPGRADES_DRAIN: Duration = Duration::from_secs(30);
/// Threads for calls that block, of each of the two runtimes, for each core, and in all. Each keeps about a megabyte of the allocator's
/// memory, so that hundreds, as many uploads at once would start them, would be more than all caches. What waits for one waits for the
/// disk.
const BLOCKING_THREADS_PER_CORE: usize = 8;
const BLOCKING_THREADS: RangeInclusive<usize> = 16..=128;
/// How long a leader that stops waits for another to lead.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Runs a node until it is told to stop, or must.
pub(crate) fn run(config: &Config, join_token: Option<String>) -> Result<()> {
    let format = match config.log.format {
        config::LogFormat::Json => LogFormat::Json,
        config::LogFormat::Text => LogFormat::Text,
    };
    init_logging(format, &config.log.filter)?;
    // Fails only if a provider is installed already, which is then this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = DataDir::lock(&config.node.data_dir)?;
    data_dir::raise_file_limit();
    rebuilt::finish(&config.node.data_dir)?;

    let control = runtime("control")?;
    let serving = runtime("serving")?;
    let result: Result<Ended> = control.block_on(async {
        // From the beginning on: who sees the node ready may tell it to stop at once.
        let mut signals = Signals::listen()?;
        let node = tokio::select! {
            biased;
            started = Node::start(config, join_token, serving.handle().clone()) => started?,
            () = signals.any() => return Ok(Ended::Unstarted),
        };
        node.until_stopped(signals).await?;
        Ok(Ended::Stopped)
    });
    if !matches!(result, Ok(Ended::Stopped)) {
        // Whatever was started is left as it is: the process ends with it.
        mem::forget((serving, control, dir));
        return result.map(drop);
    }
    serving.shutdown_timeout(Duration::from_secs(1));
    control.shutdown_timeout(Duration::from_secs(1));
    drop(dir);
    Ok(())
}

/// How the run of a node ended that had to end.
enum Ended {
    /// All of it was stopped, in order.
    Stopped,
    /// It was told to stop before all of it had started.
    Unstarted,
}

/// What tells a node to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let of = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A running node.
struct Node {
    control: Arc<Control>,
    store: BlobStore,
    cached: Cached,
    agent: AgentHandle,
    listening: tokio::task::JoinHandle<()>,
    admin: tokio::task::JoinHandle<()>,
    access_writer: AccessWriter,
    leaving: CancellationToken,
    stop_delay: Duration,
    stop: CancellationToken,
}

impl Node {
    async fn start(config: &Config, join_token: Option<String>, serving: tokio::runtime::Handle) -> Result<Self> {
        let dir = &config.node.data_dir;
        let description = describe(config);
        let (identity, identity_store) = identity::find_or_join(config, &description, join_token).await?;
        let id = NodeId(identity.current().node_id());
        let cluster_key = identity.current().cluster_key().clone();
        let ticket_key = cluster_key.clone();
        let replica = Arc::new(Replica::open(&dir.join("state"))?);
        levels::check(&replica, description.schema)?;
        let store = BlobStore::open(&StoreConfig {
            dir: dir.clone(),
            memory_bytes: config.storage.memory.as_u64(),
            reserve_bytes: config.storage.reserve.as_u64(),
        })?;

        let region = config.node.region.clone();
        let peers = Arc::new(Peers::new(id, region, Arc::clone(&replica), identity.clone(), config.dial.clone()));
        let transfer_metrics = Arc::new(TransferMetrics::default());
        let transfer = Arc::new(Transfer::new(
            store.clone(),
            Arc::new(NearestNodes::new(Arc::clone(&peers), Arc::clone(&replica), config.node.region.clone())),
            transfer_settings(config),
            Arc::clone(&transfer_metrics),
        ));
        let (repairs, repair_queue) = Repairs::channel(REPAIRS_MAX);
        let service_metrics = Arc::new(ServiceMetrics::default());
        let blobs = BlobService::new(store.clone(), repairs.clone(), ServiceSettings::default(), Arc::clone(&service_metrics));

        let limit_metrics = Arc::new(LimitMetrics::default());
        let limiter = Limiter::new(LimiterParts {
            own: id,
            incarnation: description.incarnation,
            settings: limit_settings(config),
            nodes: Arc::new(Counters::new(Arc::clone(&peers), Arc::clone(&replica))),
            metrics: Arc::clone(&limit_metrics),
        });
        let access = Arc::new(AccessLog::new(config.access_log.keep));
        let access_writer = AccessWriter::start(Arc::clone(&access), access_file(config), &config.node.name)?;
        let log_peers = Arc::new(OtherLogs(Arc::clone(&peers)));

        let control_config = ControlConfig {
            data_dir: dir.clone(),
            founding: founding::is_marked(dir),
            log_keep: config.cluster.log_keep,
            freshness_bound: config.cluster.freshness_bound,
            hub: HubSettings { relay: config.cluster.relay, ..HubSettings::default() },
            first_hubs: FirstHubs::load(dir).context("cannot read whom to follow")?,
            description,
            listen: config.listen.cluster,
            dial: config.dial.clone(),
            heartbeat: config.cluster.heartbeat,
            election: (config.cluster.election_min, config.cluster.election_max),
            snapshot_rate: config.transfer.checkpoint_rate.as_u64(),
            autopilot: autopilot_settings(config),
            clock: Arc::new(ncore_control::SystemClock),
        };
        let (figures_told, explains_told) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let zones_served = Arc::new(OnceLock::new());
        let own_tier = TierNode { id: id.0, region: config.node.region.as_str().into() };
        let tiers = Arc::new(OtherTiers::new(own_tier, Arc::clone(&peers), Arc::clone(&replica)));
        let routes = Routes::new(blobs.into_server())
            .add_service(limiter.service().into_server())
            .add_service(LogService::new(id, Arc::clone(&access)))
            .add_service(FigureService::new(Arc::clone(&figures_told)))
            .add_service(TierService::new(Arc::clone(&zones_served), serving.clone()))
            .add_service(ExplainService::new(Arc::clone(&explains_told)));
        let control = Control::start(control_config, Arc::clone(&replica), identity, identity_store, Arc::clone(&peers), routes).await?;
        founding::found_if_marked(&control, dir).await?;

        let plane: Arc<dyn ControlPlane> = control.clone();
        let fences = Arc::new(Fences::new(config.fence_policies()));
        let domain = Arc::new(Domain::new(DomainParts {
            plane: Arc::clone(&plane),
            fences: Arc::clone(&fences),
            store: store.clone(),
            copies: transfer.clone(),
            cluster_key,
            clock: Arc::new(SystemClock),
            settings: domain_settings(config),
        }));
        let usage = Arc::new(Usage::default());
        let origins = {
            // Its tasks are of the data plane.
            let _inside = serving.enter();
            Origins::new(origins_settings(config))
        };
        let agent = Agent {
            control: plane,
            fences: Arc::clone(&fences),
            store: store.clone(),
            transfer,
            repairs,
            repair_queue,
            usage: Arc::clone(&usage),
            origins: origins.clone(),
            data_dir: dir.clone(),
        };
        let agent = agent.start(agent_settings(config, control.incarnation()));

        let serving_metrics = Arc::new(ServingMetrics::default());
        let zone_metrics = Arc::clone(&serving_metrics);
        let cached = Cached::open(&config.cache_dir(), cache_settings(config)).context("cannot open the cache of zones")?;
        let figures = Metrics::new(metrics::sources(metrics::Parts {
            control: Arc::clone(&control),
            fences,
            store: store.clone(),
            cached: cached.clone(),
            origins: origins.clone(),
            serving: Arc::clone(&serving_metrics),
            transfer: transfer_metrics,
            service: service_metrics,
            agent: Arc::clone(agent.metrics()),
            limits: limit_metrics,
            access: Arc::clone(&access),
            machine: MachineParts {
                data_dir: dir.clone(),
                connections_max: config.limits.connections,
                runtimes: vec![("control", tokio::runtime::Handle::current()), ("serving", serving.clone())],
            },
            denials: Arc::clone(domain.denials()),
            sessions: Arc::clone(domain.sessions()),
        }));
        let (leaving, stop) = (CancellationToken::new(), CancellationToken::new());
        let health = Arc::new(Health::new(Arc::clone(&control), figures, leaving.clone()));
        let certificates = tls::certificates(&config.listen, &ticket_key, Arc::clone(&serving_metrics))?;
        let reload = tls::reload_at_hangup(stop.clone())?;
        let listener = Listener::bind(endpoints(config, certificates.as_ref()), listener_settings(config))?;
        if let Some(certificates) = certificates {
            serving.spawn(certificates.run(reload, stop.clone()));
        }
        tracing::info!(
            node = %id, name = config.node.name, region = config.node.region, http = %listener.http_addr(),
            https = listener.https_addr().map(tracing::field::display), cluster = %control.listening(), "the node is up"
        );
        let (history, events) = (Arc::new(History::default()), Arc::new(Events::default()));
        let watcher = Watcher {
            control: Arc::clone(&control),
            serving: Arc::clone(&serving_metrics),
            agent: Arc::clone(agent.metrics()),
            data_dir: dir.clone(),
            connections_max: config.limits.connections,
            history: Arc::clone(&history),
            events: Arc::clone(&events),
        };
        serving.spawn(watcher.run(leaving.clone()));
        let own = OwnFigures { control: Arc::clone(&control), history: Arc::clone(&history), events: Arc::clone(&events) };
        // Nobody else sets it.
        let _ = figures_told.set(own);
        let node = LogNode { id, name: config.node.name.as_str().into() };
        let explains = AllExplains { own: Arc::clone(&explains_told), node: node.clone(), peers: Arc::clone(&peers) };
        let explains = Arc::new(Explains::new(Arc::new(explains)));
        let logs = Arc::new(Logs::new(LogParts { node, log: Arc::clone(&access), peers: log_peers, stopping: leaving.clone() }));
        let console = Arc::new(Console::new(ConsoleParts {
            domain: Arc::clone(&domain),
            history,
            events,
            access: Arc::clone(&access),
            logs: Arc::clone(&logs),
            nodes: Arc::new(AllNodes { own: figures_told, peers, control: Arc::clone(&control) }),
            node: NodeInfo { id: id.0, url: config.http_address(), tls: config.listen.https.is_some() },
            reference: ncore_api::openapi(),
            stopping: leaving.clone(),
        }));
        serving.spawn({
            let console = Arc::clone(&console);
            async move { console.run().await }
        });
        serving.spawn({
            let (limiter, stop) = (limiter.clone(), stop.clone());
            async move { limiter.run(stop).await }
        });
        let api = Gateway::new(
            health,
            console,
            Api::new(ApiParts { domain: Arc::clone(&domain), usage, limiter, logs, explains: Arc::clone(&explains) }),
        );
        let admission = Arc::new(Doorkeeper::new(Arc::clone(&domain)));
        let assets = AssetServer::new(
            agent.catalog(),
            admission,
            agent.slices(),
            agent.variants(),
            &config.node.name,
            SLICE_DEADLINE,
            serving_metrics,
        );
        let zone_view = agent.zones();
        let zones = ZoneServer::new(ZoneParts {
            zones: zone_view.zones(),
            view: zone_view,
            origins,
            cached: cached.clone(),
            metrics: zone_metrics,
            tiers: Some(tiers),
        });
        // Nobody else sets it.
        let _ = zones_served.set(zones.clone());
        let _ = explains_told.set(OwnExplains { zones: zones.clone(), control: Arc::clone(&control) });
        let router = Router::new(assets, Arc::new(api)).serving(zones.clone());
        let router = Arc::new(if config.access_log.is_off() { router } else { router.recording(access) });
        tokio::spawn(keys::tend(Arc::clone(&control), Arc::clone(&domain), stop.clone()));
        // Before the listener: who sees the node ready finds its socket.
        let admin = tokio::spawn(admin::serve(config, Arc::clone(&control), domain, explains, stop.clone())?);
        let listening = serving.spawn(serve(listener, router, zones, stop.clone()));
        // Not under systemd: then there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        Ok(Self { control, store, cached, agent, listening, admin, access_writer, leaving, stop_delay: config.listen.stop_delay, stop })
    }

    /// Resolves with the reason for which the node must stop at once.
    async fn failed(&self) -> anyhow::Error {
        tokio::select! {
            reason = self.control.fatal() => anyhow!(reason),
            failure = self.agent.failed() => anyhow!(failure),
            failure = self.store.fatal() => anyhow!(failure),
        }
    }

    /// Waits for a signal, or for a reason to stop at once.
    async fn until_stopped(self, signals: Signals) -> Result<()> {
        let Signals { mut interrupt, mut terminate } = signals;
        let delay = tokio::select! {
            // Somebody at a terminal, who waits for it.
            _ = interrupt.recv() => Duration::ZERO,
            _ = terminate.recv() => self.stop_delay,
            reason = self.failed() => must_stop(&reason),
        };
        tracing::info!(?delay, "stopping");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        self.leaving.cancel();
        tokio::select! {
            () = sleep(delay) => {}
            _ = interrupt.recv() => {}
            reason = self.failed() => must_stop(&reason),
        }
        if let Some(heir) = self.control.hand_over(HAND_OVER).await {
            tracing::info!(%heir, "handed over the leadership");
        }
        // From the outside in: no new requests, those under way end, then what they stand on.
        self.stop.cancel();
        let _ = timeout(STOP_DEADLINE * 4, self.listening).await;
        let _ = timeout(STOP_DEADLINE, self.admin).await;
        // What was answered until now is in the file then.
        drop(self.access_writer);
        let _ = timeout(STOP_DEADLINE, self.agent.shutdown()).await;
        let _ = timeout(STOP_DEADLINE, self.cached.close()).await;
        if timeout(STOP_DEADLINE, self.control.shutdown()).await.is_err() {
            tracing::warn!("the control plane did not stop in time; the next start recovers");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// What is on disk now is what counts. Nothing is flushed or waited for: a failing disk is not to be written to again.
fn must_stop(reason: &anyhow::Error) -> ! {
    let reason = format!("{reason:#}");
    ending::end_after(|| tracing::error!(reason, "the node stops: it cannot be sure of its disk or its state"))
}

async fn serve(listener: Listener, router: Arc<Router>, zones: ZoneServer, stop: CancellationToken) {
    let upgrades = async {
        stop.cancelled().await;
        zones.end_upgrades(UPGRADES_DRAIN).await;
    };
    let serving = async {
        match listener.serve(router, stop.clone()).await {
            Ok(drained) if drained.cut_off > 0 => tracing::warn!(connections = drained.cut_off, "cut off when the node stopped"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "serving ended"),
        }
    };
    tokio::join!(serving, upgrades);
}

fn runtime(name: &'static str) -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(cores)
        .max_blocking_threads((cores * BLOCKING_THREADS_PER_CORE).clamp(*BLOCKING_THREADS.start(), *BLOCKING_THREADS.end()))
        .thread_name(name)
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the threads of {name}"))
}

fn describe(config: &Config) -> SelfDescription {
    SelfDescription {
        name: config.node.name.clone(),
        region: config.node.region.clone(),
        cluster_address: config.cluster_address(),
        http_address: config.http_address(),
        schema: levels::offered(config),
        software: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: unix_ms(),
    }
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    u64::try_from(since).unwrap_or(u64::MAX)
}

fn autopilot_settings(config: &Config) -> AutopilotSettings {
    AutopilotSettings {
        enabled: config.cluster.autopilot,
        voters: config.cluster.voters,
        dead_after: config.cluster.dead_after,
        leader_preference: config.cluster.leader_preference,
        leader_settle: config.cluster.leader_settle,
    }
}

fn domain_settings(config: &Config) -> Settings {
    let mut settings = Settings::new(config.node.name.clone(), config.http_address());
    settings.issuer.clone_from(&config.advertise.issuer);
    env!("CARGO_PKG_VERSION").clone_into(&mut settings.software);
    settings.write_copies = config.cluster.write_copies;
    settings.allow_single_copy = config.cluster.allow_single_copy;
    settings.max_upload_bytes = config.limits.max_upload.as_u64();
    settings.upload_lifetime = config.limits.upload_expires;
    settings.request_deadline = config.cluster.request_deadline;
    settings.zone_suffix.clone_from(&config.zones.suffix);
    settings
}

fn access_file(config: &Config) -> Option<AccessFileSettings> {
    let AccessLogConfig { dir, file_size, files, .. } = &config.access_log;
    Some(AccessFileSettings { dir: dir.clone()?, bytes_max: file_size.as_u64(), files: *files })
}

fn transfer_settings(config: &Config) -> TransferSettings {
    TransferSettings {
        concurrency: config.transfer.concurrency,
        rate_bytes_s: config.transfer.rate.as_u64(),
        ..TransferSettings::default()
    }
}

fn agent_settings(config: &Config, incarnation: u64) -> AgentSettings {
    let mut settings = AgentSettings::new(incarnation);
    settings.replication.fetches = config.transfer.concurrency;
    settings.collection.grace = config.storage.grace;
    settings.scrub.bytes_s = config.storage.scrub_rate.as_u64();
    settings.scrub.age = config.storage.scrub_age;
    settings.variants.bytes_max = config.storage.variants.as_u64();
    settings.variants.every = settings.variants.every.min(config.storage.grace.max(Duration::from_secs(1)));
    // Whoever wants things gone, or read again, within seconds does not want to wait for the next pass either.
    settings.collection.every = settings.collection.every.min(config.storage.grace.max(Duration::from_secs(1)));
    settings.scrub.every = settings.scrub.every.min(config.storage.scrub_age.max(Duration::from_secs(1)));
    settings
}

fn origins_settings(config: &Config) -> OriginsSettings {
    let addresses = AddressPolicy::allowing(config.origins.allow.iter().copied());
    let config::OriginsConfig { connections, connect_deadline, head_deadline, pause_max, .. } = config.origins;
    let timeouts =
        Timeouts { connect: connect_deadline, tls: connect_deadline, head: head_deadline, idle: pause_max, ..Timeouts::default() };
    OriginsSettings { addresses, connections, timeouts, ..OriginsSettings::of_system() }
}

fn cache_settings(config: &Config) -> CachedSettings {
    let config::CacheConfig { disk, memory, .. } = &config.cache;
    CachedSettings { disk_bytes: disk.as_u64(), memory_bytes: memory.as_u64(), ..CachedSettings::default() }
}

fn limit_settings(config: &Config) -> LimitSettings {
    let config::RatesConfig { per_token, purges, anonymous, v1_reads, v1_writes, v1_purges, window } = config.rates;
    LimitSettings { per_token, purges, anonymous, v1_reads, v1_writes, v1_purges, window }
}

fn listener_settings(config: &Config) -> ListenerSettings {
    let (limits, listen) = (&config.limits, &config.listen);
    let ListenerSettings { http2, http3, .. } = ListenerSettings::default();
    let http2 = Http2Settings { streams_max: limits.streams, resets_max: limits.resets, idle_max: limits.idle, ..http2 };
    let http3 = http3.filter(|_| listen.http3 != Some(false)).map(|http3| Http3Settings {
        advertised_for: listen.alt_svc,
        advertised_port: listen.http3_port,
        streams_max: limits.streams,
        resets_max: limits.resets,
        idle_max: limits.idle,
        // Who has not asked for it has the rest all the same.
        port_taken: if listen.http3.is_some() { PortTaken::Fail } else { PortTaken::GoWithout },
        ..http3
    });
    ListenerSettings {
        connections_max: limits.connections,
        connections_per_address: limits.connections_per_address,
        proxies: listen.proxy_protocol.clone(),
        handshake_deadline: limits.handshake,
        head_deadline: limits.head,
        head_bytes_max: u32::try_from(limits.head_size.as_u64()).unwrap_or(u32::MAX),
        stall_window: limits.stall,
        drain_deadline: limits.drain,
        http2,
        http3,
        ..ListenerSettings::default()
    }
}

fn endpoints(config: &Config, certificates: Option<&CertificateWatch>) -> Endpoints {
    let https = config.listen.https.zip(certificates);
    let https = https.map(|(addr, certificates)| HttpsEndpoint { addr, identity: certificates.identity() });
    Endpoints { http: config.listen.http, https }
}
