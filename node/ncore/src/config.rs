//! What an operator can set: one TOML file, overridden by `NCORE_<SECTION>_<KEY>`, overridden by `--set section.key=value`.
//!
//! Text becomes typed values here and nowhere else. A key that does not exist is an error that names the file, the line and
//! the key; `deploy/ncore.example.toml` shows every key with its default, and a test keeps it so.

mod load;

pub(crate) use load::{Overrides, load};

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use ipnet::IpNet;
use jiff::SignedDuration;
use ncore_freshness::{FencePolicies, FencePolicy, Guarded};
use ncore_limits::LimitSettings;
use ncore_origin::Timeouts;
use ncore_serving::ListenerSettings;
use serde::Deserialize;

/// Every setting of a node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// What the node is.
    pub(crate) node: NodeConfig,
    /// Where it listens.
    #[serde(default)]
    pub(crate) listen: ListenConfig,
    /// Where others find it.
    #[serde(default)]
    pub(crate) advertise: AdvertiseConfig,
    /// How it takes part in the cluster.
    #[serde(default)]
    pub(crate) cluster: ClusterConfig,
    /// What to dial in place of an advertised `host:port`: for nodes behind address translation, or reached over a tunnel.
    #[serde(default)]
    pub(crate) dial: HashMap<String, String>,
    /// What the node does while its view of the cluster may be too old.
    #[serde(default)]
    pub(crate) fence: FenceConfig,
    /// How bytes are kept.
    #[serde(default)]
    pub(crate) storage: StorageConfig,
    /// What is kept of zones.
    #[serde(default)]
    pub(crate) cache: CacheConfig,
    /// How origins are asked.
    #[serde(default)]
    pub(crate) origins: OriginsConfig,
    /// How bytes move between nodes.
    #[serde(default)]
    pub(crate) transfer: TransferConfig,
    /// What clients may ask for.
    #[serde(default)]
    pub(crate) limits: LimitsConfig,
    /// How many requests clients may make.
    #[serde(default)]
    pub(crate) rates: RatesConfig,
    /// What zones get.
    #[serde(default)]
    pub(crate) zones: ZonesConfig,
    /// What is logged.
    #[serde(default)]
    pub(crate) log: LogConfig,
    /// What is recorded of requests.
    #[serde(default)]
    pub(crate) access_log: AccessLogConfig,
}

/// `[node]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// A name that no other node of the cluster has.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) region: String,
    /// Everything it keeps is below this directory.
    pub(crate) data_dir: PathBuf,
}

/// `[listen]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListenConfig {
    /// Assets and API over plain HTTP.
    pub(crate) http: SocketAddr,
    /// Assets and API over TLS.
    pub(crate) https: Option<SocketAddr>,
    /// The certificate chain for `https`, PEM, for whoever names no host that there is another one for.
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key for `https`, PEM.
    pub(crate) tls_key: Option<PathBuf>,
    /// A directory with more certificates, each shown to those who name a host that it names.
    pub(crate) certificates: Option<PathBuf>,
    /// Who opens the tickets with which viewers take up TLS sessions again.
    pub(crate) session_tickets: SessionTickets,
    /// Whether HTTP/3 is spoken on the UDP port of `https`; by default where that can be had.
    pub(crate) http3: Option<bool>,
    /// The UDP port on which viewers reach that, if it is another one.
    pub(crate) http3_port: Option<u16>,
    /// How long viewers may remember that HTTP/3 is spoken here; nothing, to not tell them.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) alt_svc: Duration,
    /// Balancers that pass connections on with a header of the PROXY protocol.
    pub(crate) proxy_protocol: Vec<IpNet>,
    /// Other nodes.
    pub(crate) cluster: SocketAddr,
    /// How long a node that was told to stop says so at `/readyz`, and serves on, before it takes no more connections.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) stop_delay: Duration,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([0, 0, 0, 0], 8080)),
            https: None,
            tls_cert: None,
            tls_key: None,
            certificates: None,
            session_tickets: SessionTickets::Shared,
            http3: None,
            http3_port: None,
            alt_svc: Duration::from_secs(24 * 3_600),
            proxy_protocol: Vec::new(),
            cluster: SocketAddr::from(([0, 0, 0, 0], 7400)),
            stop_delay: Duration::from_secs(2),
        }
    }
}

/// Who opens tickets of TLS sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionTickets {
    /// Every node of the cluster.
    Shared,
    /// The node that made them, until it stops.
    Own,
    /// There are none.
    Off,
}

/// `[advertise]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdvertiseConfig {
    /// The public base URL. By default the address of `listen.http`.
    pub(crate) http: Option<String>,
    /// The URL that access tokens have as their issuer, the same on every node. By default the public base URL, of each node its own.
    pub(crate) issuer: Option<String>,
    /// `host:port` that other nodes dial. By default the address of `listen.cluster`.
    pub(crate) cluster: Option<String>,
}

/// `[cluster]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClusterConfig {
    /// On how many nodes an upload is durable before it is acknowledged.
    pub(crate) write_copies: usize,
    /// Whether fewer copies will do while too few nodes are in reach. The answer says so.
    pub(crate) allow_single_copy: bool,
    /// Time between two heartbeats of the leader.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) heartbeat: Duration,
    /// The shortest silence after which a follower stands for election.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) election_min: Duration,
    /// The longest.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) election_max: Duration,
    /// The highest schema level that this node offers, to hold back an upgrade.
    pub(crate) schema_level_max: Option<u32>,
    /// How old a node's view may be before it is fenced. The same on every node.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) freshness_bound: Duration,
    /// Entries of the log that are kept although a checkpoint covers them, for nodes that are behind.
    pub(crate) log_keep: u64,
    /// Whether this node passes the log on to others although it does not vote.
    pub(crate) relay: bool,
    /// Whether the leader looks after the voters by itself.
    pub(crate) autopilot: bool,
    /// How many voters there are to be.
    pub(crate) voters: usize,
    /// How long a voter may be silent before another takes its place.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) dead_after: Duration,
    /// Whether leadership goes to the voter that is nearest to a majority.
    pub(crate) leader_preference: bool,
    /// How long another voter must have been better before leadership goes to it.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) leader_settle: Duration,
    /// How long a change may take before its outcome is reported as unknown.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) request_deadline: Duration,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            write_copies: 2,
            allow_single_copy: false,
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            schema_level_max: None,
            freshness_bound: Duration::from_secs(5),
            log_keep: 100_000,
            relay: false,
            autopilot: true,
            voters: 3,
            dead_after: Duration::from_secs(60),
            leader_preference: true,
            leader_settle: Duration::from_secs(180),
            request_deadline: Duration::from_secs(10),
        }
    }
}

/// `[fence]`. The same on every node. Credentials are never checked on a view that may be too old.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FenceConfig {
    /// What becomes of requests for public assets.
    pub(crate) public_assets: FencedAssets,
}

impl Default for FenceConfig {
    fn default() -> Self {
        Self { public_assets: FencedAssets::Serve }
    }
}

/// What becomes of requests for assets. There is no origin to ask in place of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FencedAssets {
    /// They are answered, marked as stale.
    Serve,
    /// They get 503.
    Refuse,
}

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageConfig {
    /// Memory for verified slices of assets.
    pub(crate) memory: ByteSize,
    /// Free space on disk that uploads may not eat.
    pub(crate) reserve: ByteSize,
    /// How long a blob stays after the last asset that referred to it is gone.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) grace: Duration,
    /// Bytes a second at which what is held is read again to find damage; 0 for never.
    pub(crate) scrub_rate: ByteSize,
    /// How long ago a blob was last found good when it is read again.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) scrub_age: Duration,
    /// Bytes of content in content codings that are kept, made out of what is here; 0 for none.
    pub(crate) variants: ByteSize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(16),
            reserve: ByteSize::mib(256),
            grace: Duration::from_secs(3_600),
            scrub_rate: ByteSize::mib(8),
            scrub_age: Duration::from_secs(7 * 24 * 3_600),
            variants: ByteSize::gib(1),
        }
    }
}

/// `[cache]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheConfig {
    /// Where it is kept. By default in `cache` below the data directory.
    pub(crate) dir: Option<PathBuf>,
    /// How much of it on disk; 0 for nothing.
    pub(crate) disk: ByteSize,
    /// How much of it in memory.
    pub(crate) memory: ByteSize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { dir: None, disk: ByteSize::gib(10), memory: ByteSize::mib(32) }
    }
}

/// `[origins]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OriginsConfig {
    /// Networks that are not of the public internet, and in which the origins of zones may be all the same.
    pub(crate) allow: Vec<IpNet>,
    /// The most connections to all origins together.
    pub(crate) connections: usize,
    /// How long it may take to find the address of an origin and to connect to it, and as long again for TLS.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) connect_deadline: Duration,
    /// How long an origin may take until the head of its response is there.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) head_deadline: Duration,
    /// How long an origin may pause within a response.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) pause_max: Duration,
}

impl Default for OriginsConfig {
    fn default() -> Self {
        let Timeouts { connect, head, idle, .. } = Timeouts::default();
        Self { allow: Vec::new(), connections: 4_096, connect_deadline: connect, head_deadline: head, pause_max: idle }
    }
}

/// `[transfer]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TransferConfig {
    /// How many blobs are fetched from other nodes at once.
    pub(crate) concurrency: usize,
    /// Bytes a second that fetching may use; 0 for no limit.
    pub(crate) rate: ByteSize,
    /// Bytes a second that sending checkpoints of the state may use, to all receivers together; 0 for no limit.
    pub(crate) checkpoint_rate: ByteSize,
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self { concurrency: 8, rate: ByteSize::b(0), checkpoint_rate: ByteSize::mib(64) }
    }
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// The largest upload.
    pub(crate) max_upload: ByteSize,
    /// How long an upload that comes in pieces stays open without one.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) upload_expires: Duration,
    /// The most connections of clients at once.
    pub(crate) connections: usize,
    /// The most of them from one address; 0 for no limit.
    pub(crate) connections_per_address: usize,
    /// How long a TLS handshake may take.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) handshake: Duration,
    /// How long the head of a request may take, and on HTTP/1.1 the time to the next one.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) head: Duration,
    /// How large it may be.
    pub(crate) head_size: ByteSize,
    /// How long a client may send nothing of a body, or take next to nothing of one.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) stall: Duration,
    /// How long a connection of HTTP/2 or HTTP/3 may have no request.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) idle: Duration,
    /// Requests at once on a connection of HTTP/2 or HTTP/3.
    pub(crate) streams: u32,
    /// Requests that a client may give up on such a connection within 10 s.
    pub(crate) resets: usize,
    /// How long requests under way may take to finish when the node stops.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) drain: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let ListenerSettings { connections_max, connections_per_address, handshake_deadline, .. } = ListenerSettings::default();
        let ListenerSettings { head_deadline, head_bytes_max, stall_window, http2, drain_deadline, .. } = ListenerSettings::default();
        Self {
            max_upload: ByteSize::mib(500),
            upload_expires: Duration::from_secs(24 * 3_600),
            connections: connections_max,
            connections_per_address,
            handshake: handshake_deadline,
            head: head_deadline,
            head_size: ByteSize::b(head_bytes_max.into()),
            stall: stall_window,
            idle: http2.idle_max,
            streams: http2.streams_max,
            resets: http2.resets_max,
            drain: drain_deadline,
        }
    }
}

/// `[rates]`. The same on every node.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RatesConfig {
    /// Requests with one token in any `window`, at all nodes together; 0 for no limit.
    pub(crate) per_token: u32,
    /// Purges among them; 0 for no limit of their own.
    pub(crate) purges: u32,
    /// Requests without a good token from one address in any `window`, at this node; 0 for no limit.
    pub(crate) anonymous: u32,
    /// Requests of version 1 of the API with one token that read, in any `window`; 0 for no limit.
    pub(crate) v1_reads: u32,
    /// Those that change something; 0 for no limit.
    pub(crate) v1_writes: u32,
    /// Purges of version 1; 0 for no limit.
    pub(crate) v1_purges: u32,
    /// The time that the others are about.
    #[serde(deserialize_with = "load::duration")]
    pub(crate) window: Duration,
}

impl Default for RatesConfig {
    fn default() -> Self {
        let LimitSettings { per_token, purges, anonymous, v1_reads, v1_writes, v1_purges, window } = LimitSettings::default();
        Self { per_token, purges, anonymous, v1_reads, v1_writes, v1_purges, window }
    }
}

/// `[zones]`. The same on every node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ZonesConfig {
    /// What the host names end with that zones get from the cluster.
    pub(crate) suffix: String,
}

impl Default for ZonesConfig {
    fn default() -> Self {
        Self { suffix: "cdn.localhost".to_owned() }
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// How a line looks.
    pub(crate) format: LogFormat,
    /// What is logged, in the syntax of `tracing`'s `EnvFilter`.
    pub(crate) filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        // What openraft says at each try to reach a peer is left out: `ncore_raft` says that it was lost, and that it is back.
        let filter = "info,openraft=warn,openraft::replication=error,openraft::core::heartbeat=error,\
                      openraft::engine::handler::replication_handler=error,rustls=error";
        Self { format: LogFormat::Text, filter: filter.to_owned() }
    }
}

/// `[access_log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessLogConfig {
    /// How many records are kept in memory: each takes 300 to 1,200 bytes.
    pub(crate) keep: usize,
    /// Where they are also written, as lines of JSON. By default nowhere.
    pub(crate) dir: Option<PathBuf>,
    /// How large a file gets.
    pub(crate) file_size: ByteSize,
    /// How many files stay, the one that is being written included.
    pub(crate) files: usize,
}

impl Default for AccessLogConfig {
    fn default() -> Self {
        Self { keep: 10_000, dir: None, file_size: ByteSize::mib(64), files: 8 }
    }
}

impl AccessLogConfig {
    /// Whether nothing is recorded at all.
    pub(crate) fn is_off(&self) -> bool {
        self.keep == 0 && self.dir.is_none()
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

impl Config {
    /// `host:port` that other nodes dial.
    #[must_use]
    pub(crate) fn cluster_address(&self) -> String {
        self.advertise.cluster.clone().unwrap_or_else(|| self.listen.cluster.to_string())
    }

    /// The public base URL, without a slash at the end.
    #[must_use]
    pub(crate) fn http_address(&self) -> String {
        let address = self.advertise.http.clone().unwrap_or_else(|| format!("http://{}", self.listen.http));
        address.trim_end_matches('/').to_owned()
    }

    /// Where operators' commands reach the node.
    #[must_use]
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.node.data_dir.join("admin.sock")
    }

    /// Where what is kept of zones is.
    #[must_use]
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.cache.dir.clone().unwrap_or_else(|| self.node.data_dir.join("cache"))
    }

    /// What the node does while it is fenced.
    #[must_use]
    pub(crate) fn fence_policies(&self) -> FencePolicies {
        let public_assets = match self.fence.public_assets {
            FencedAssets::Serve => FencePolicy::Serve,
            FencedAssets::Refuse => FencePolicy::Refuse,
        };
        FencePolicies::default().with(Guarded::PublicAsset, public_assets)
    }

    /// What must hold between settings, beyond the shape of each.
    fn check(&self) -> Result<(), &'static str> {
        if self.node.name.is_empty() || self.node.region.is_empty() {
            return Err("node.name and node.region must not be empty");
        }
        if self.listen.https.is_some() != (self.listen.tls_cert.is_some() && self.listen.tls_key.is_some()) {
            return Err("listen.https, listen.tls_cert and listen.tls_key go together");
        }
        if self.listen.certificates.is_some() && self.listen.https.is_none() {
            return Err("listen.certificates needs listen.https");
        }
        if self.listen.http3 == Some(true) && !cfg!(feature = "http3") {
            return Err("listen.http3: this build does not speak HTTP/3");
        }
        if self.listen.http3 == Some(true) && self.listen.https.is_none() {
            return Err("listen.http3 needs listen.https");
        }
        self.limits.check()?;
        if self.listen.stop_delay > STOP_DELAY_MAX {
            return Err("listen.stop_delay must be at most 20s, or the service manager kills the node before it has stopped");
        }
        if self.cluster.write_copies == 0 {
            return Err("cluster.write_copies must be at least 1");
        }
        let ClusterConfig { heartbeat, election_min, election_max, .. } = self.cluster;
        if heartbeat.is_zero() || heartbeat * 2 > election_min || election_min >= election_max {
            return Err("cluster: heartbeat × 2 ≤ election_min < election_max must hold");
        }
        if self.cluster.freshness_bound < election_max * 2 + Duration::from_secs(2) {
            return Err("cluster.freshness_bound must be at least 2s + 2 × election_max, or the loss of a leader fences every node");
        }
        if !matches!(self.cluster.voters, 1 | 3 | 5) {
            return Err("cluster.voters must be 1, 3 or 5");
        }
        if self.cluster.dead_after < election_max * 2 + Duration::from_secs(3) {
            return Err("cluster.dead_after must be at least 3s + 2 × election_max, or an election counts as the death of a voter");
        }
        if self.cluster.leader_settle < Duration::from_secs(10) {
            return Err("cluster.leader_settle must be at least 10s, or leadership follows the noise of measurements");
        }
        if self.transfer.concurrency == 0 || self.limits.connections == 0 {
            return Err("transfer.concurrency and limits.connections must be at least 1");
        }
        if !RATES_WINDOW.contains(&self.rates.window) {
            return Err("rates.window must be from 2s to 1h: leases are parts of it, and everything in it is remembered");
        }
        if !ncore_model::is_host_name(&self.zones.suffix) || self.zones.suffix.len() > ZONES_SUFFIX_MAX {
            return Err("zones.suffix must be a host name in lower case with a dot in it, of at most 200 bytes");
        }
        if self.rates.purges.max(self.rates.v1_purges) > PURGES_MAX {
            return Err("rates.purges and rates.v1_purges must be at most 10000, because each is remembered by itself; 0 is no limit");
        }
        if self.rates.v1_reads.max(self.rates.v1_writes) > PURGES_MAX {
            return Err("rates.v1_reads and rates.v1_writes must be at most 10000, because each is remembered by itself; 0 is no limit");
        }
        if self.access_log.keep > ACCESS_KEEP_MAX {
            return Err("access_log.keep must be at most 100000: they are in memory, and looked through for each question");
        }
        if self.access_log.files == 0 || self.access_log.file_size < ACCESS_FILE_MIN {
            return Err(
                "access_log.files must be at least 1 and access_log.file_size at least 64KiB; leave access_log.dir out to write none",
            );
        }
        if self.limits.upload_expires.is_zero() || self.limits.upload_expires > UPLOAD_EXPIRES_MAX {
            return Err("limits.upload_expires must be more than nothing and at most 168h");
        }
        if (1..CHECKPOINT_RATE_MIN).contains(&self.transfer.checkpoint_rate.as_u64()) {
            return Err("transfer.checkpoint_rate must be 0 or at least 1MiB, or receivers give up");
        }
        Ok(())
    }
}

impl LimitsConfig {
    fn check(&self) -> Result<(), &'static str> {
        let times = [self.handshake, self.head, self.stall, self.idle];
        if times.iter().any(|time| !LIMIT_TIMES.contains(time)) {
            return Err("limits.handshake, limits.head, limits.stall and limits.idle must be from 1s to 1h");
        }
        if !LIMIT_HEAD.contains(&self.head_size.as_u64()) {
            return Err("limits.head_size must be from 8KiB to 1MiB");
        }
        if !LIMIT_STREAMS.contains(&self.streams) || self.resets == 0 {
            return Err("limits.streams must be from 1 to 10000 and limits.resets at least 1");
        }
        if self.drain > DRAIN_MAX {
            return Err("limits.drain must be at most 40s, or the service manager kills the node before it has stopped");
        }
        Ok(())
    }
}

/// For times in `[limits]`.
const LIMIT_TIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
/// For `limits.head_size`: hyper takes no less.
const LIMIT_HEAD: std::ops::RangeInclusive<u64> = 8 << 10..=1 << 20;
/// For `limits.streams`.
const LIMIT_STREAMS: std::ops::RangeInclusive<u32> = 1..=10_000;
/// With `listen.stop_delay`, what a stop may take.
const DRAIN_MAX: Duration = Duration::from_secs(40);

/// As long as the replicated state lets an upload stay open.
const UPLOAD_EXPIRES_MAX: Duration = Duration::from_millis(ncore_model::MAX_UPLOAD_LIFETIME_MS);

/// With what a stop takes beside it, below the `TimeoutStopSec` of the unit in `deploy/`.
const STOP_DELAY_MAX: Duration = Duration::from_secs(20);

/// For `rates.window`.
const RATES_WINDOW: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(3_600);

/// What is left of a host name for the part before it.
const ZONES_SUFFIX_MAX: usize = 200;

/// Purges of one token that are remembered at once.
const PURGES_MAX: u32 = 10_000;

/// The most records of the access log in memory.
const ACCESS_KEEP_MAX: usize = 100_000;
/// The smallest file of the access log.
const ACCESS_FILE_MIN: ByteSize = ByteSize(64 << 10);

/// Bytes a second. With fewer, a receiver that shares them with a few others waits for a piece for so long that it takes the sender for
/// dead.
const CHECKPOINT_RATE_MIN: u64 = 1 << 20;

/// A duration as people write it: `100ms`, `10s`, `1h 30m`.
fn unsigned(duration: SignedDuration) -> Option<Duration> {
    Duration::try_from(duration).ok()
}
