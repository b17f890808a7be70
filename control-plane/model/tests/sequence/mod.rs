//! Logs as a cluster might write them, made at random: few clients, paths and blobs, so that they meet; requests that are
//! delivered twice; keys that are used again; and a clock that creeps, jumps over every retention, or goes back.
//!
//! A step says what to do with *which of those that are there*, so a log is made by applying it: the tables that come of it are
//! looked at for what the next step can name. The replica's tests make their logs from here too.

use ncore_model::{
    AddAdministrator, AddClient, AddNode, AddRefreshToken, AddSigningKey, AdministratorId, AppendUpload, AssetId, AssetRef, BlobHash,
    ClientId, ClientStatus, Command, CompleteUpload, CreateJoinToken, CreateShieldedZone, CreateUpload, CreateZone, DeleteAsset,
    DeleteAssets, DescribeAsset, EndUpload, Exception, ExceptionState, HourCounts, IDEMPOTENCY_RETENTION_MS, Idempotency, InitCluster,
    JoinTokenId, MemoryTables, MoveAsset, NewRefreshToken, NodeId, NodeReport, NodeState, PatchAsset, PlacementPolicy, Plan, Precondition,
    Proposal, PurgeAssets, PurgeLimit, PurgeWithin, PurgeZone, PutAsset, PutAssetAs, Query, REQUEST_RETENTION_MS, ReadTables,
    RegisterClient, RemoveZone, RequestId, RevokeToken, RotateSecret, SCHEMA_MAX, SchemaRange, SetClientStatus, SetPlacement, ShieldZone,
    Table, UpdateClient, UpdateNode, UpdateZone, Upload, UploadId, UploadPart, UploadTarget, UsageCounts, UsageReport, UseRefreshToken,
    Visibility, ZoneId, ZoneOrigin, ZonePurgeTarget, ZoneSettings, ZoneSettingsPatch, apply,
};
use proptest::prelude::*;

/// When the first entry is taken, in Unix milliseconds.
const START_MS: u64 = 1_700_000_000_000;

/// An entry of the log; without a proposal it is Raft's own.
#[derive(Debug, Clone)]
pub(crate) struct LogEntry {
    pub(crate) index: u64,
    pub(crate) proposal: Option<Proposal>,
}

/// A log of up to `longest` entries, after a beginning: nearly always the first command of a cluster, two clients, a token for
/// many nodes and a second node, of this release or of the one before; at any level, for the steps alone seldom get to the highest.
pub(crate) fn logs(longest: usize) -> impl Strategy<Value = Vec<LogEntry>> {
    (prop::bool::weighted(0.95), prop_oneof![1..=SCHEMA_MAX, Just(SCHEMA_MAX)], schemas(), prop::collection::vec(steps(), 1..longest))
        .prop_map(|(begun, level, schema, steps)| {
            let mut script = Script::new();
            if begun {
                let token = Action::Token { number: 0, uses: 9, lifetime_ms: IDEMPOTENCY_RETENTION_MS, bound: false };
                let join = Action::Join { token: 0, name: 1, schema };
                let raise = (2..=level).map(|_| Action::Raise { by: 1 });
                let clients = [Action::Client { long: false }, Action::Client { long: false }];
                for action in [Action::Init].into_iter().chain(raise).chain(clients).chain([token, join]) {
                    script.take(&Step { wait: Wait::Ahead(1), ask: Ask::New, key: None, action });
                }
            }
            for step in steps {
                script.take(&step);
            }
            script.log
        })
}

/// What happens next.
#[derive(Debug, Clone)]
struct Step {
    wait: Wait,
    ask: Ask,
    key: Option<Idempotency>,
    action: Action,
}

/// How the clock of the leader moves before the entry.
#[derive(Debug, Clone)]
enum Wait {
    Ahead(u64),
    Back(u64),
}

/// Whose request it is.
#[derive(Debug, Clone)]
enum Ask {
    /// One that was made just now.
    New,
    /// One that was made by a clock that is behind or ahead.
    Skewed(i64),
    /// One that was delivered before, with its command.
    Again(u8),
    /// One that was delivered before, with another command: a node gone mad.
    Stolen(u8),
    /// No request: an entry of Raft's own.
    Nobody,
}

/// What is asked for. The numbers choose among those that are there.
#[derive(Debug, Clone)]
enum Action {
    Init,
    Token { number: u8, uses: u32, lifetime_ms: u64, bound: bool },
    Revoke { number: u8 },
    Join { token: u8, name: u8, schema: SchemaRange },
    Update { node: u8, name: u8, schema: SchemaRange, incarnation: u64 },
    State { node: u8, state: NodeState },
    Client { long: bool },
    Status { client: u8, status: ClientStatus },
    SigningKey { number: u8 },
    Put { client: u8, path: u8, blob: u8, holder: u8, late: bool, precondition: Precondition },
    Delete { client: u8, asset: u8, precondition: Precondition },
    Patch { client: u8, asset: u8, ttl_s: Option<u32>, precondition: Precondition },
    PutAs { client: u8, path: u8, blob: u8, visibility: Visibility },
    Describe { client: u8, asset: u8, visibility: Option<Visibility>, precondition: Precondition },
    Move { client: u8, asset: u8, path: u8, precondition: Precondition },
    DeleteAll { client: u8, assets: Vec<u8> },
    Begin { client: u8, path: u8, length: u8, lifetime_ms: u64, precondition: Precondition },
    Append { upload: u8, astray: bool, blob: u8, holder: u8, late: bool },
    Complete { upload: u8, visibility: Option<Visibility>, short: bool },
    End { upload: u8 },
    Purge { client: u8 },
    PurgeWithin { client: u8, limit: u32 },
    Report { node: u8, incarnation: u64, sequence: u64, exceptions: u64 },
    Usage { node: u8, incarnation: u64, sequence: u64, client: u8, hours_ago: u32 },
    Raise { by: u32 },
    Voter { node: u8, voter: bool },
    Relay { node: u8, relay: bool },
    RevokeAccess { client: u8, token: u8, expires_in_ms: u64 },
    Place { client: u8, prefix: u8, region: Option<u8>, copies: Option<u32> },
    Unplace { client: u8, rule: u8 },
    Register { quota: Option<u64>, refresh: bool },
    UpdateClient { client: u8, quota: Option<u64>, status: Option<ClientStatus> },
    Rotate { client: u8, refresh: bool },
    DeleteClient { client: u8 },
    AddRefresh { client: u8, family: u8, idle_ms: u64 },
    UseRefresh { client: u8, family: u8, shown: u8, next: u8 },
    RevokeRefresh { client: u8, family: u8 },
    RemoveKey { number: u8 },
    AddAdministrator { number: u8 },
    RemoveAdministrator { which: u8 },
    CreateZone { client: u8, host: Option<u8>, blank: bool, shield: Option<bool> },
    UpdateZone { client: u8, zone: u8, host: Option<u8>, ttl_s: Option<u32>, stale: bool, shield: Option<Option<bool>> },
    RemoveZone { client: u8, zone: u8, stale: bool },
    PurgeZone { client: u8, zone: u8, whole: bool, paths: usize },
}

fn steps() -> impl Strategy<Value = Step> {
    (waits(), asks(), prop::option::weighted(0.3, keys()), actions()).prop_map(|(wait, ask, key, action)| Step { wait, ask, key, action })
}

fn waits() -> impl Strategy<Value = Wait> {
    prop_oneof![
        12 => (0u64..5).prop_map(Wait::Ahead),
        4 => (0u64..600_000).prop_map(Wait::Ahead),
        2 => (0u64..10_000).prop_map(Wait::Back),
        1 => (0u64..3).prop_map(|more| Wait::Ahead(REQUEST_RETENTION_MS - 1 + more)),
        1 => (0u64..3).prop_map(|more| Wait::Ahead(IDEMPOTENCY_RETENTION_MS - 1 + more)),
    ]
}

fn asks() -> impl Strategy<Value = Ask> {
    let hour = i64::try_from(REQUEST_RETENTION_MS).expect("fits");
    prop_oneof![
        16 => Just(Ask::New),
        2 => (-600_000i64..600_000).prop_map(Ask::Skewed),
        1 => (-3i64..3).prop_map(move |more| Ask::Skewed(more - hour)),
        1 => (0..10 * hour).prop_map(Ask::Skewed),
        4 => any::<u8>().prop_map(Ask::Again),
        1 => any::<u8>().prop_map(Ask::Stolen),
        1 => Just(Ask::Nobody),
    ]
}

fn keys() -> impl Strategy<Value = Idempotency> {
    (0u8..4, 0u8..2).prop_map(|(scope, payload)| Idempotency { scope: [scope; 32], payload: [payload; 32] })
}

fn actions() -> impl Strategy<Value = Action> {
    let any_client = || 0u8..3;
    let node_states = prop_oneof![3 => Just(NodeState::Active), 2 => Just(NodeState::Draining), 1 => Just(NodeState::Removed)];
    let statuses = prop_oneof![3 => Just(ClientStatus::Active), 1 => Just(ClientStatus::Review), 1 => Just(ClientStatus::Suspended)];
    prop_oneof![
        1 => Just(Action::Init),
        3 => (0u8..3, 0u32..3, 0u64..3_600_000, any::<bool>())
            .prop_map(|(number, uses, lifetime_ms, bound)| Action::Token { number, uses, lifetime_ms, bound }),
        1 => (0u8..3).prop_map(|number| Action::Revoke { number }),
        4 => (0u8..3, 0u8..5, schemas()).prop_map(|(token, name, schema)| Action::Join { token, name, schema }),
        2 => (any::<u8>(), 0u8..5, schemas(), 0u64..4)
            .prop_map(|(node, name, schema, incarnation)| Action::Update { node, name, schema, incarnation }),
        2 => (any::<u8>(), node_states).prop_map(|(node, state)| Action::State { node, state }),
        4 => prop::bool::weighted(0.1).prop_map(|long| Action::Client { long }),
        1 => (any_client(), statuses).prop_map(|(client, status)| Action::Status { client, status }),
        2 => (0u8..2).prop_map(|number| Action::SigningKey { number }),
        16 => (any_client(), 0u8..5, 0u8..3, any::<u8>(), prop::bool::weighted(0.1), preconditions()).prop_map(
            |(client, path, blob, holder, late, precondition)| Action::Put { client, path, blob, holder, late, precondition }
        ),
        6 => (any_client(), any::<u8>(), preconditions())
            .prop_map(|(client, asset, precondition)| Action::Delete { client, asset, precondition }),
        4 => (any_client(), any::<u8>(), prop::option::of(0u32..100), preconditions())
            .prop_map(|(client, asset, ttl_s, precondition)| Action::Patch { client, asset, ttl_s, precondition }),
        3 => (any_client(), 0u8..5, 0u8..3, visibilities()).prop_map(|(client, path, blob, visibility)| Action::PutAs { client, path, blob, visibility }),
        8 => (any_client(), any::<u8>(), prop::option::of(visibilities()), preconditions())
            .prop_map(|(client, asset, visibility, precondition)| Action::Describe { client, asset, visibility, precondition }),
        6 => (any_client(), any::<u8>(), 0u8..5, preconditions())
            .prop_map(|(client, asset, path, precondition)| Action::Move { client, asset, path, precondition }),
        3 => (any_client(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(client, assets)| Action::DeleteAll { client, assets }),
        10 => (any_client(), 0u8..5, 0u8..9, 1u64..5_000_000, preconditions())
            .prop_map(|(client, path, length, lifetime_ms, precondition)| Action::Begin { client, path, length, lifetime_ms, precondition }),
        12 => (any::<u8>(), prop::bool::weighted(0.1), 0u8..4, 0u8..250, prop::bool::weighted(0.1))
            .prop_map(|(upload, astray, blob, holder, late)| Action::Append { upload, astray, blob, holder, late }),
        8 => (any::<u8>(), prop::option::of(visibilities()), prop::bool::weighted(0.1))
            .prop_map(|(upload, visibility, short)| Action::Complete { upload, visibility, short }),
        3 => any::<u8>().prop_map(|upload| Action::End { upload }),
        1 => any_client().prop_map(|client| Action::Purge { client }),
        1 => (any_client(), 0u32..3).prop_map(|(client, limit)| Action::PurgeWithin { client, limit }),
        2 => (any::<u8>(), 0u64..3, 0u64..6, prop_oneof![9 => 0u64..3, 1 => 999u64..1_002])
            .prop_map(|(node, incarnation, sequence, exceptions)| Action::Report { node, incarnation, sequence, exceptions }),
        4 => (any::<u8>(), 0u64..3, 0u64..6, any_client(), prop_oneof![4 => 0u32..3, 1 => 330u32..340])
            .prop_map(|(node, incarnation, sequence, client, hours_ago)| Action::Usage { node, incarnation, sequence, client, hours_ago }),
        16 => prop_oneof![1 => Just(0u32), 12 => Just(1u32), 1 => Just(2u32)].prop_map(|by| Action::Raise { by }),
        4 => (any_client(), 0u8..6, 0..6 * REQUEST_RETENTION_MS)
            .prop_map(|(client, token, expires_in_ms)| Action::RevokeAccess { client, token, expires_in_ms }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(node, voter)| Action::Voter { node, voter }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(node, relay)| Action::Relay { node, relay }),
        4 => (any_client(), 0u8..3, prop::option::of(0u8..3), prop::option::of(0u32..3))
            .prop_map(|(client, prefix, region, copies)| Action::Place { client, prefix, region, copies }),
        4 => (any_client(), any::<u8>()).prop_map(|(client, rule)| Action::Unplace { client, rule }),
        32 => actions_of_accounts(),
        26 => actions_of_zones(),
    ]
}

fn actions_of_accounts() -> impl Strategy<Value = Action> {
    let any_client = || 0u8..3;
    let quotas = || prop::option::of(0u64..5);
    let statuses = prop::option::of(prop_oneof![3 => Just(ClientStatus::Active), 1 => Just(ClientStatus::Suspended)]);
    prop_oneof![
        4 => (quotas(), any::<bool>()).prop_map(|(quota, refresh)| Action::Register { quota, refresh }),
        2 => (any_client(), quotas(), statuses).prop_map(|(client, quota, status)| Action::UpdateClient { client, quota, status }),
        1 => (any_client(), any::<bool>()).prop_map(|(client, refresh)| Action::Rotate { client, refresh }),
        1 => any_client().prop_map(|client| Action::DeleteClient { client }),
        2 => (any_client(), 0u8..2, 0..2 * IDEMPOTENCY_RETENTION_MS)
            .prop_map(|(client, family, idle_ms)| Action::AddRefresh { client, family, idle_ms }),
        10 => (any_client(), 0u8..2, 0u8..2, 0u8..2)
            .prop_map(|(client, family, shown, next)| Action::UseRefresh { client, family, shown, next }),
        1 => (any_client(), 0u8..2).prop_map(|(client, family)| Action::RevokeRefresh { client, family }),
        8 => (0u8..2).prop_map(|number| Action::RemoveKey { number }),
        2 => (0u8..3).prop_map(|number| Action::AddAdministrator { number }),
        4 => any::<u8>().prop_map(|which| Action::RemoveAdministrator { which }),
    ]
}

fn actions_of_zones() -> impl Strategy<Value = Action> {
    let any_client = || 0u8..3;
    let hosts = || prop::option::of(0u8..4);
    // Whether it is in a region that a node is in, if there is to be one.
    let shields = || prop::option::weighted(0.4, prop::bool::weighted(0.8));
    prop_oneof![
        8 => (any_client(), hosts(), prop::bool::weighted(0.1), shields())
            .prop_map(|(client, host, blank, shield)| Action::CreateZone { client, host, blank, shield }),
        6 => (any_client(), any::<u8>(), hosts(), prop::option::of(0u32..100), prop::bool::weighted(0.2), prop::option::of(shields()))
            .prop_map(|(client, zone, host, ttl_s, stale, shield)| Action::UpdateZone { client, zone, host, ttl_s, stale, shield }),
        4 => (any_client(), any::<u8>(), prop::bool::weighted(0.2)).prop_map(|(client, zone, stale)| Action::RemoveZone { client, zone, stale }),
        6 => (any_client(), any::<u8>(), prop::bool::weighted(0.2), 0usize..4)
            .prop_map(|(client, zone, whole, paths)| Action::PurgeZone { client, zone, whole, paths }),
    ]
}

fn schemas() -> impl Strategy<Value = SchemaRange> {
    prop_oneof![4 => Just(SchemaRange::BUILD), 1 => Just(SchemaRange { min: 1, max: 1 })]
}

fn visibilities() -> impl Strategy<Value = Visibility> {
    prop_oneof![Just(Visibility::Public), Just(Visibility::Restricted)]
}

fn preconditions() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        8 => Just(Precondition::None),
        1 => Just(Precondition::Absent),
        1 => Just(Precondition::Present),
        1 => prop::collection::vec(0u8..3, 0..3).prop_map(|blobs| Precondition::Matches(blobs.into_iter().map(|blob| [blob; 32]).collect())),
    ]
}

/// A log that is being made.
struct Script {
    tables: MemoryTables,
    log: Vec<LogEntry>,
    now_ms: u64,
}

impl Script {
    fn new() -> Self {
        Self { tables: MemoryTables::default(), log: Vec::new(), now_ms: START_MS }
    }

    fn take(&mut self, step: &Step) {
        match step.wait {
            Wait::Ahead(ms) => self.now_ms += ms,
            Wait::Back(ms) => self.now_ms = self.now_ms.saturating_sub(ms).max(START_MS),
        }
        let delivered: Vec<&Proposal> = self.log.iter().filter_map(|entry| entry.proposal.as_ref()).collect();
        let number = self.log.len();
        let now = request(self.now_ms, number, 0);
        match step.ask {
            Ask::Nobody => self.log.push(LogEntry { index: self.next_index(), proposal: None }),
            Ask::New => self.propose(now, step.key, self.command(&step.action)),
            Ask::Skewed(ms) => {
                self.propose(request(self.now_ms.saturating_add_signed(ms), number, 1), step.key, self.command(&step.action));
            }
            Ask::Again(which) => match pick(&delivered, which).map(|known| (*known).clone()) {
                Some(known) => self.propose(known.request, known.idempotency, known.command),
                None => self.propose(now, step.key, self.command(&step.action)),
            },
            Ask::Stolen(which) => {
                let stolen = pick(&delivered, which).map_or(now, |known| known.request);
                self.propose(stolen, step.key, self.command(&step.action));
            }
        }
    }

    fn propose(&mut self, request: RequestId, idempotency: Option<Idempotency>, command: Command) {
        let index = self.next_index();
        let proposal = Proposal { request, idempotency, log_time_ms: self.now_ms, command };
        apply(&mut self.tables, index, &proposal).expect("applies");
        self.log.push(LogEntry { index, proposal: Some(proposal) });
    }

    fn next_index(&self) -> u64 {
        self.log.len() as u64 + 1
    }

    fn command(&self, action: &Action) -> Command {
        match action {
            Action::Init => init(),
            Action::Token { number, uses, lifetime_ms, bound } => Command::CreateJoinToken(CreateJoinToken {
                id: JoinTokenId([*number; 16]),
                verifier: [*number; 32],
                voter: *uses > 1,
                region: bound.then(|| "us".into()),
                uses: *uses,
                lifetime_ms: *lifetime_ms,
            }),
            Action::Revoke { number } => Command::RevokeJoinToken { id: JoinTokenId([*number; 16]) },
            Action::Join { token, name, schema } => Command::AddNode(AddNode {
                token: JoinTokenId([*token; 16]),
                name: format!("node-{name}"),
                region: if name % 2 == 0 { "eu".into() } else { "us".into() },
                cluster_address: "10.0.0.2:7400".into(),
                http_address: "http://10.0.0.2".into(),
                schema: *schema,
                software: "0.1.0".into(),
            }),
            Action::Update { node, name, schema, incarnation } => {
                Command::UpdateNode(UpdateNode { schema: *schema, incarnation: *incarnation, ..description(self.node(*node), *name) })
            }
            Action::State { node, state } => Command::SetNodeState { node: self.node(*node), state: *state },
            Action::Raise { by } => {
                let cluster = self.tables.cluster().expect("reads");
                Command::RaiseSchema { level: cluster.map_or(0, |cluster| cluster.schema_level) + by }
            }
            Action::Voter { node, voter } => Command::SetVoter { node: self.node(*node), voter: *voter },
            Action::Relay { node, relay } => Command::SetRelay { node: self.node(*node), relay: *relay },
            Action::Report { node, incarnation, sequence, exceptions } => Command::ReportHoldings(NodeReport {
                node: self.node(*node),
                incarnation: *incarnation,
                sequence: *sequence,
                watermark: self.next_index(),
                exceptions: (0..*exceptions).map(|version| Exception { version, state: ExceptionState::Missing }).collect(),
            }),
            Action::Usage { node, incarnation, sequence, client, hours_ago } => Command::ReportUsage(UsageReport {
                node: self.node(*node),
                incarnation: *incarnation,
                sequence: *sequence,
                counts: vec![HourCounts {
                    client: self.client(*client),
                    hour: u32::try_from(self.now_ms / 3_600_000).expect("fits").saturating_sub(*hours_ago),
                    counts: UsageCounts { statuses: [3, 0, 1, 0], bytes_out: 1_000, hits: 2, misses: 1 },
                }],
            }),
            Action::SigningKey { number } => Command::AddSigningKey(AddSigningKey {
                id: format!("key-{number}"),
                public: vec![*number; 32],
                sealed_private: vec![*number; 80],
            }),
            other => self.command_of_a_client(other),
        }
    }

    fn command_of_a_client(&self, action: &Action) -> Command {
        match action {
            Action::Client { long } => Command::AddClient(AddClient {
                name: if *long { "x".repeat(300) } else { "shop".into() },
                secret_hash: "$argon2id$".into(),
                scopes: Vec::new(),
                domains: vec!["shop.test".into()],
            }),
            Action::Status { client, status } => {
                Command::SetClientStatus(SetClientStatus { client: self.client(*client), status: *status })
            }
            Action::Put { client, path, blob, holder, late, precondition } => Command::PutAsset(PutAsset {
                client: self.client(*client),
                path: path_of(*path),
                mime: "text/plain".into(),
                size: u64::from(*blob),
                sha256: [*blob; 32],
                blob: BlobHash([*blob; 32]),
                cache_ttl_s: 60,
                node: NodeId(1),
                holders: vec![NodeId(1), self.node(*holder)],
                pinned_until_ms: if *late { self.now_ms.saturating_sub(1) } else { self.now_ms + 60_000 },
                precondition: precondition.clone(),
            }),
            Action::Delete { client, asset, precondition } => Command::DeleteAsset(DeleteAsset {
                client: self.client(*client),
                asset: self.asset(*asset),
                precondition: precondition.clone(),
            }),
            Action::Patch { client, asset, ttl_s, precondition } => Command::PatchAsset(PatchAsset {
                client: self.client(*client),
                asset: self.asset(*asset),
                mime: ttl_s.is_none().then(|| "text/html".into()),
                cache_ttl_s: *ttl_s,
                precondition: precondition.clone(),
            }),
            Action::PutAs { client, path, blob, visibility } => {
                let put =
                    Action::Put { client: *client, path: *path, blob: *blob, holder: 0, late: false, precondition: Precondition::None };
                let Command::PutAsset(put) = self.command(&put) else { unreachable!("a put is a put") };
                Command::PutAssetAs(PutAssetAs { put, visibility: *visibility })
            }
            Action::Describe { client, asset, visibility, precondition } => Command::DescribeAsset(DescribeAsset {
                patch: PatchAsset {
                    client: self.client(*client),
                    asset: self.asset(*asset),
                    mime: None,
                    cache_ttl_s: Some(7),
                    precondition: precondition.clone(),
                },
                visibility: *visibility,
            }),
            Action::Move { client, asset, path, precondition } => Command::MoveAsset(MoveAsset {
                client: self.client(*client),
                asset: self.asset(*asset),
                path: path_of(*path),
                precondition: precondition.clone(),
            }),
            Action::RevokeAccess { client, token, expires_in_ms } => Command::RevokeToken(RevokeToken {
                client: self.client(*client),
                token: format!("{token:032x}"),
                expires_at_ms: (self.now_ms + expires_in_ms).saturating_sub(2 * REQUEST_RETENTION_MS),
            }),
            Action::PurgeWithin { client, limit } => Command::PurgeWithin(PurgeWithin {
                purge: PurgeAssets { client: self.client(*client), pattern: "folder/*".into() },
                limit: PurgeLimit { subject: [1; 16], limit: *limit, span_ms: 60_000 },
            }),
            Action::Purge { client } => Command::PurgeAssets(PurgeAssets { client: self.client(*client), pattern: "folder/*".into() }),
            Action::Place { client, prefix, region, copies } => Command::SetPlacement(SetPlacement {
                client: self.client(*client),
                prefix: prefix_of(*prefix),
                policy: PlacementPolicy {
                    regions: region.iter().map(|region| ["eu", "us", "nowhere"][usize::from(*region)].into()).collect(),
                    copies: *copies,
                },
            }),
            Action::Unplace { client, rule } => {
                let client = self.client(*client);
                let rules = self.tables.client_placement(&client).expect("reads").unwrap_or_default().rules;
                let prefix = pick(&rules, *rule).map_or_else(|| "none/".to_owned(), |rule| rule.prefix.clone());
                Command::RemovePlacement { client, prefix }
            }
            other => self.command_of_an_account(other),
        }
    }

    fn command_of_an_account(&self, action: &Action) -> Command {
        let plan = |quota: &Option<u64>| Plan { storage_bytes: *quota, ..Plan::default() };
        match action {
            Action::Register { quota, refresh } => Command::RegisterClient(RegisterClient {
                name: "shop".into(),
                secret_hash: "$argon2id$".into(),
                scopes: Vec::new(),
                domains: Vec::new(),
                status: ClientStatus::Active,
                plan: plan(quota),
                ip_ranges: Vec::new(),
                since_ms: None,
                refresh: refresh.then(|| refresh_token(0, IDEMPOTENCY_RETENTION_MS)),
            }),
            Action::UpdateClient { client, quota, status } => Command::UpdateClient(UpdateClient {
                client: self.client(*client),
                name: None,
                scopes: None,
                domains: None,
                status: *status,
                plan: Some(plan(quota)),
                ip_ranges: None,
            }),
            Action::Rotate { client, refresh } => Command::RotateSecret(RotateSecret {
                client: self.client(*client),
                secret_hash: "$argon2id$other".into(),
                refresh: refresh.then(|| refresh_token(1, IDEMPOTENCY_RETENTION_MS)),
            }),
            Action::DeleteClient { client } => Command::DeleteClient { client: self.client(*client) },
            Action::AddRefresh { client, family, idle_ms } => {
                Command::AddRefreshToken(AddRefreshToken { client: self.client(*client), token: refresh_token(*family, *idle_ms) })
            }
            Action::UseRefresh { client, family, shown, next } => Command::UseRefreshToken(UseRefreshToken {
                client: self.client(*client),
                family: [*family; 16],
                secret_hash: [*shown; 32],
                next_hash: [*next; 32],
            }),
            Action::RevokeRefresh { client, family } => Command::RevokeRefreshToken { client: self.client(*client), family: [*family; 16] },
            Action::RemoveKey { number } => Command::RemoveSigningKey { id: format!("key-{number}") },
            Action::AddAdministrator { number } => {
                Command::AddAdministrator(AddAdministrator { name: "ada".into(), token_hash: [*number; 32], lifetime_ms: None })
            }
            Action::RemoveAdministrator { which } => {
                let known = self.tables.administrators().expect("reads");
                let id = pick(&known, *which).map_or_else(|| AdministratorId::from_text("ad_none"), |one| one.id.clone());
                Command::RemoveAdministrator { administrator: id }
            }
            other => self.command_of_an_upload(other),
        }
    }

    fn command_of_an_upload(&self, action: &Action) -> Command {
        match action {
            Action::DeleteAll { client, assets } => Command::DeleteAssets(DeleteAssets {
                client: self.client(*client),
                assets: assets
                    .iter()
                    .map(|which| if which % 2 == 0 { AssetRef::Id(self.asset(*which)) } else { AssetRef::Path(path_of(which % 5)) })
                    .collect(),
            }),
            Action::Begin { client, path, length, lifetime_ms, precondition } => Command::CreateUpload(CreateUpload {
                client: self.client(*client),
                length: u64::from(*length),
                target: UploadTarget {
                    path: path_of(*path),
                    mime: None,
                    cache_ttl_s: None,
                    visibility: None,
                    precondition: precondition.clone(),
                },
                note: "name YQ==".into(),
                lifetime_ms: *lifetime_ms,
            }),
            Action::Append { upload, astray, blob, holder, late } => {
                let upload = self.upload(*upload);
                Command::AppendUpload(AppendUpload {
                    offset: upload.offset() + u64::from(*astray),
                    client: upload.client,
                    upload: upload.id,
                    part: UploadPart { blob: BlobHash([*blob; 32]), size: u64::from(*blob) },
                    holders: vec![NodeId(1), self.node(*holder)],
                    pinned_until_ms: if *late { self.now_ms.saturating_sub(1) } else { self.now_ms + 60_000 },
                    lifetime_ms: 600_000,
                })
            }
            Action::Complete { upload, visibility, short } => {
                let upload = self.upload(*upload);
                let content = u8::try_from(upload.length).expect("is short") - u8::from(*short && upload.length > 0);
                Command::CompleteUpload(CompleteUpload {
                    offset: upload.offset(),
                    upload: upload.id,
                    put: PutAsset {
                        client: upload.client,
                        path: upload.target.path,
                        mime: "text/plain".into(),
                        size: u64::from(content),
                        sha256: [content; 32],
                        blob: BlobHash([content; 32]),
                        cache_ttl_s: 60,
                        node: NodeId(1),
                        holders: vec![NodeId(1)],
                        pinned_until_ms: self.now_ms + 60_000,
                        precondition: upload.target.precondition,
                    },
                    visibility: *visibility,
                })
            }
            Action::End { upload } => {
                let upload = self.upload(*upload);
                Command::EndUpload(EndUpload { client: upload.client, upload: upload.id })
            }
            other => self.command_of_a_zone(other),
        }
    }

    fn command_of_a_zone(&self, action: &Action) -> Command {
        // Some of them are domains of clients.
        let domains =
            |host: &Option<u8>| host.iter().map(|host| ["a.test", "b.test", "shop.test", "c.a.test"][usize::from(*host)].into()).collect();
        let versions = |stale: bool| stale.then(|| vec![1]);
        match action {
            Action::CreateZone { client, host, blank, shield } => {
                let zone = CreateZone {
                    client: self.client(*client),
                    name: if *blank { " ".into() } else { "zone".into() },
                    origins: vec![ZoneOrigin::new("https://origin.test")],
                    host_header: None,
                    cdn_suffix: "cdn.test".into(),
                    domains: domains(host),
                    settings: ZoneSettings::default(),
                };
                match shield {
                    Some(known) => Command::CreateShieldedZone(CreateShieldedZone { zone, region: self.region(*known) }),
                    None => Command::CreateZone(zone),
                }
            }
            Action::UpdateZone { client, zone, host, ttl_s, stale, shield } => {
                let update = UpdateZone {
                    versions: versions(*stale),
                    domains: host.is_some().then(|| domains(host)),
                    settings: ZoneSettingsPatch { cache_ttl_s: Some(*ttl_s), ..ZoneSettingsPatch::default() },
                    ..UpdateZone::nothing(self.client(*client), self.zone(*zone))
                };
                match shield {
                    Some(region) => Command::ShieldZone(ShieldZone { update, region: region.map(|known| self.region(known)) }),
                    None => Command::UpdateZone(update),
                }
            }
            Action::RemoveZone { client, zone, stale } => {
                Command::RemoveZone(RemoveZone { client: self.client(*client), zone: self.zone(*zone), versions: versions(*stale) })
            }
            Action::PurgeZone { client, zone, whole, paths } => Command::PurgeZone(PurgeZone {
                client: self.client(*client),
                zone: self.zone(*zone),
                targets: if *whole { vec![ZonePurgeTarget::Zone] } else { vec![ZonePurgeTarget::Url("/a".into()); *paths] },
            }),
            other => unreachable!("{other:?} is no command of a zone"),
        }
    }

    /// A region that a node is in, or one that none is in.
    fn region(&self, known: bool) -> String {
        let nodes = self.tables.nodes().expect("reads");
        nodes.first().filter(|_| known).map_or("nowhere".into(), |node| node.region.clone())
    }

    /// One of the zones; sometimes one that never was.
    fn zone(&self, which: u8) -> ZoneId {
        let zones = self.tables.zones().expect("reads");
        pick(&zones, which).filter(|_| which < 250).map_or(ZoneId([9; 16]), |zone| zone.id)
    }

    /// One of the uploads; sometimes one that never was.
    fn upload(&self, which: u8) -> Upload {
        let ids = self.tables.scan(Table::Uploads, &[], &[], usize::MAX).expect("scans");
        let id = pick(&ids, which).filter(|_| which < 250).and_then(|(id, _)| std::str::from_utf8(id).ok());
        let known = id.and_then(|id| self.tables.upload(&UploadId::from_text(id)).expect("reads"));
        known.unwrap_or_else(|| Upload {
            id: UploadId::from_text("up_none"),
            client: self.client(0),
            length: 5,
            target: UploadTarget { path: path_of(0), mime: None, cache_ttl_s: None, visibility: None, precondition: Precondition::None },
            note: String::new(),
            parts: Vec::new(),
            asset: None,
            created_at_ms: 0,
            expires_at_ms: 0,
        })
    }

    /// A node that joined once; sometimes one that never did.
    fn node(&self, which: u8) -> NodeId {
        let nodes = self.tables.nodes().expect("reads");
        pick(&nodes, which).filter(|_| which < 250).map_or(NodeId(9_999), |node| node.id)
    }

    /// One of the clients, the first most often.
    fn client(&self, which: u8) -> ClientId {
        let clients = self.tables.clients().expect("reads");
        clients.get(usize::from(which) / 2).map_or_else(|| ClientId::from_text("cl_nobody"), |client| client.id.clone())
    }

    /// One of the assets; sometimes none of them.
    fn asset(&self, which: u8) -> AssetId {
        let ids = self.tables.scan(Table::AssetIds, &[], &[], usize::MAX).expect("scans");
        let id = pick(&ids, which).filter(|_| which < 240).and_then(|(id, _)| std::str::from_utf8(id).ok());
        AssetId::from_text(id.unwrap_or("as_none"))
    }
}

/// Some of them are restricted by what they are.
fn path_of(which: u8) -> String {
    if which % 4 == 3 { format!("restricted/{which}.txt") } else { format!("folder/{which}.txt") }
}

fn refresh_token(family: u8, idle_ms: u64) -> NewRefreshToken {
    NewRefreshToken { family: [family; 16], secret_hash: [0; 32], scopes: Vec::new(), idle_ms, life_ms: 2 * IDEMPOTENCY_RETENTION_MS }
}

/// What some of the paths begin with, or all of them.
fn prefix_of(which: u8) -> String {
    ["", "folder/", "folder/1"][usize::from(which)].into()
}

fn init() -> Command {
    Command::InitCluster(InitCluster { cluster_id: [7; 16], node: description(NodeId(1), 0) })
}

fn description(node: NodeId, name: u8) -> UpdateNode {
    UpdateNode {
        node,
        name: format!("node-{name}"),
        region: "eu".into(),
        cluster_address: "10.0.0.1:7400".into(),
        http_address: "http://10.0.0.1".into(),
        schema: SchemaRange::BUILD,
        software: "0.1.0".into(),
        incarnation: 0,
    }
}

fn pick<T>(all: &[T], which: u8) -> Option<&T> {
    all.get(usize::from(which).checked_rem(all.len())?)
}

/// A request made at `ms`, told from others by its place in the log.
fn request(ms: u64, number: usize, kind: u8) -> RequestId {
    let mut bytes = [kind; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    RequestId(bytes)
}
