//! A proposal for every command. Their numbers stand in every log.

use std::collections::BTreeSet;

use ncore_model::{
    AddAdministrator, AddClient, AddNode, AddRefreshToken, AddSigningKey, AppendUpload, AssetRef, BlobHash, ClientStatus, Command,
    CompleteUpload, CreateJoinToken, CreateShieldedZone, CreateUpload, CreateZone, DeleteAsset, DeleteAssets, DescribeAsset, EndUpload,
    Exception, ExceptionState, HourCounts, Idempotency, InitCluster, JoinTokenId, MoveAsset, NewRefreshToken, NodeId, NodeReport,
    NodeState, PatchAsset, PlacementPolicy, Plan, Precondition, Proposal, PurgeAssets, PurgeLimit, PurgeWithin, PurgeZone, PutAsset,
    PutAssetAs, RegisterClient, RemoveZone, RevokeToken, RotateSecret, SchemaRange, Scope, SetClientStatus, SetPlacement, ShieldZone,
    UpdateClient, UpdateNode, UpdateZone, UsageCounts, UsageReport, UseRefreshToken, Visibility, ZonePurgeTarget, ZoneSettings,
    ZoneSettingsPatch,
};

use super::{Golden, administrator, asset_id, client, record, request, upload, upload_id, zone, zone_id};

/// How many commands there are.
const COMMANDS: usize = 46;

/// Each command's number in the log. A new one does not compile until it stands here, and then needs a case.
fn number(command: &Command) -> usize {
    match command {
        Command::InitCluster(_) => 0,
        Command::AddNode(_) => 1,
        Command::UpdateNode(_) => 2,
        Command::SetNodeState { .. } => 3,
        Command::CreateJoinToken(_) => 4,
        Command::RevokeJoinToken { .. } => 5,
        Command::AddClient(_) => 6,
        Command::SetClientStatus(_) => 7,
        Command::AddSigningKey(_) => 8,
        Command::PutAsset(_) => 9,
        Command::DeleteAsset(_) => 10,
        Command::PurgeAssets(_) => 11,
        Command::ReportHoldings(_) => 12,
        Command::RaiseSchema { .. } => 13,
        Command::PatchAsset(_) => 14,
        Command::SetVoter { .. } => 15,
        Command::SetRelay { .. } => 16,
        Command::RevokeToken(_) => 17,
        Command::SetPlacement(_) => 18,
        Command::RemovePlacement { .. } => 19,
        Command::PutAssetAs(_) => 20,
        Command::DescribeAsset(_) => 21,
        Command::MoveAsset(_) => 22,
        Command::ReportUsage(_) => 23,
        Command::RegisterClient(_) => 24,
        Command::UpdateClient(_) => 25,
        Command::RotateSecret(_) => 26,
        Command::DeleteClient { .. } => 27,
        Command::AddRefreshToken(_) => 28,
        Command::UseRefreshToken(_) => 29,
        Command::RevokeRefreshToken { .. } => 30,
        Command::RemoveSigningKey { .. } => 31,
        Command::AddAdministrator(_) => 32,
        Command::RemoveAdministrator { .. } => 33,
        Command::CreateUpload(_) => 34,
        Command::AppendUpload(_) => 35,
        Command::CompleteUpload(_) => 36,
        Command::EndUpload(_) => 37,
        Command::DeleteAssets(_) => 38,
        Command::PurgeWithin(_) => 39,
        Command::CreateZone(_) => 40,
        Command::UpdateZone(_) => 41,
        Command::RemoveZone(_) => 42,
        Command::PurgeZone(_) => 43,
        Command::CreateShieldedZone(_) => 44,
        Command::ShieldZone(_) => 45,
    }
}

pub(super) fn all() -> Vec<Golden> {
    let commands = cases();
    let plain = commands.map(|(detail, command)| record(&format!("proposal.{}{detail}", command.as_str()), &proposal(command)));
    let keyed = Proposal {
        idempotency: Some(Idempotency { scope: [0x11; 32], payload: [0x22; 32] }),
        ..proposal(Command::RaiseSchema { level: 2 })
    };
    plain.chain([record("proposal.raise_schema-with-key", &keyed)]).collect()
}

fn cases() -> impl Iterator<Item = (&'static str, Command)> {
    of_the_cluster().into_iter().chain(of_clients()).chain(of_accounts()).chain(of_uploads()).chain(of_zones())
}

fn proposal(command: Command) -> Proposal {
    Proposal { request: request(), idempotency: None, log_time_ms: 1_700_000_000_123, command }
}

fn node() -> UpdateNode {
    UpdateNode {
        node: NodeId(1),
        name: "eu-ams-1".into(),
        region: "eu-ams".into(),
        cluster_address: "10.0.0.1:7400".into(),
        http_address: "https://ams.example".into(),
        schema: SchemaRange { min: 1, max: 2 },
        software: "0.1.0".into(),
        incarnation: 300,
    }
}

fn of_the_cluster() -> Vec<(&'static str, Command)> {
    let add = AddNode {
        token: JoinTokenId([0x33; 16]),
        name: "us-nyc-1".into(),
        region: "us-nyc".into(),
        cluster_address: "10.0.1.1:7400".into(),
        http_address: "https://nyc.example".into(),
        schema: SchemaRange { min: 1, max: 2 },
        software: "0.1.0".into(),
    };
    let token = CreateJoinToken {
        id: JoinTokenId([0x33; 16]),
        verifier: [0x44; 32],
        voter: true,
        region: Some("us-nyc".into()),
        uses: 3,
        lifetime_ms: 3_600_000,
    };
    let report = NodeReport {
        node: NodeId(3),
        incarnation: 300,
        sequence: 5,
        watermark: 70_000,
        exceptions: vec![
            Exception { version: 12, state: ExceptionState::Missing },
            Exception { version: 66_000, state: ExceptionState::Corrupt },
        ],
    };
    let key = AddSigningKey { id: "k-2024".into(), public: vec![0x55; 32], sealed_private: vec![0x66; 83] };
    let counts = UsageCounts { statuses: [70_000, 5, 300, 0], bytes_out: 5_000_000_000, hits: 69_000, misses: 1_000 };
    let usage = UsageReport {
        node: NodeId(3),
        incarnation: 300,
        sequence: 5,
        counts: vec![HourCounts { client: client(), hour: 472_222, counts }],
    };
    let state = |state| Command::SetNodeState { node: NodeId(3), state };
    vec![
        ("", Command::InitCluster(InitCluster { cluster_id: [0x77; 16], node: node() })),
        ("", Command::AddNode(add)),
        ("", Command::UpdateNode(node())),
        ("-active", state(NodeState::Active)),
        ("-draining", state(NodeState::Draining)),
        ("-removed", state(NodeState::Removed)),
        ("", Command::CreateJoinToken(token)),
        ("", Command::RevokeJoinToken { id: JoinTokenId([0x33; 16]) }),
        ("", Command::AddSigningKey(key)),
        ("", Command::ReportHoldings(report)),
        ("", Command::ReportUsage(usage)),
        ("", Command::RaiseSchema { level: 2 }),
        ("", Command::SetVoter { node: NodeId(3), voter: true }),
        ("-not", Command::SetVoter { node: NodeId(3), voter: false }),
        ("", Command::SetRelay { node: NodeId(3), relay: true }),
        ("-not", Command::SetRelay { node: NodeId(3), relay: false }),
    ]
}

fn of_clients() -> Vec<(&'static str, Command)> {
    let add = AddClient {
        name: "Büro".into(),
        secret_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
        scopes: vec![Scope::AssetsRead, Scope::AssetsWrite, Scope::CachePurge, Scope::MetricsRead],
        domains: vec!["cdn.example".into()],
    };
    let status = |status| Command::SetClientStatus(SetClientStatus { client: client(), status });
    let put = |precondition| {
        Command::PutAsset(PutAsset {
            client: client(),
            path: "bilder/übersicht.webp".into(),
            mime: "image/webp".into(),
            size: 1_234_567,
            sha256: [0xA5; 32],
            blob: BlobHash([0xB3; 32]),
            cache_ttl_s: 86_400,
            node: NodeId(3),
            holders: vec![NodeId(3), NodeId(70_001)],
            pinned_until_ms: 1_700_000_060_000,
            precondition,
        })
    };
    let delete = DeleteAsset { client: client(), asset: asset_id(), precondition: Precondition::None };
    let revoke = RevokeToken { client: client(), token: "018bcfe568007001".into(), expires_at_ms: 1_700_086_400_000 };
    let patch = PatchAsset {
        client: client(),
        asset: asset_id(),
        mime: Some("image/png".into()),
        cache_ttl_s: None,
        precondition: Precondition::Present,
    };
    let put_as = |visibility| {
        let Command::PutAsset(put) = put(Precondition::None) else { unreachable!("it is a put") };
        Command::PutAssetAs(PutAssetAs { put, visibility })
    };
    let moved = MoveAsset { client: client(), asset: asset_id(), path: "restricted/bild.webp".into(), precondition: Precondition::Present };
    let place = |policy| Command::SetPlacement(SetPlacement { client: client(), prefix: "bilder/".into(), policy });
    vec![
        ("", place(PlacementPolicy { regions: vec!["eu-ams".into(), "us-nyc".into()], copies: Some(2) })),
        ("-everywhere", place(PlacementPolicy { regions: Vec::new(), copies: None })),
        ("", Command::RemovePlacement { client: client(), prefix: "bilder/".into() }),
        ("", Command::AddClient(add)),
        ("-active", status(ClientStatus::Active)),
        ("-review", status(ClientStatus::Review)),
        ("-suspended", status(ClientStatus::Suspended)),
        ("", put(Precondition::None)),
        ("-absent", put(Precondition::Absent)),
        ("-matches", put(Precondition::Matches(vec![[0xC1; 32], [0xC2; 32]]))),
        ("-present", put(Precondition::Present)),
        ("", Command::DeleteAsset(delete)),
        ("", Command::PurgeAssets(PurgeAssets { client: client(), pattern: "bilder/*".into() })),
        (
            "",
            Command::PurgeWithin(PurgeWithin {
                purge: PurgeAssets { client: client(), pattern: "bilder/*".into() },
                limit: PurgeLimit { subject: [0xCC; 16], limit: 300, span_ms: 60_000 },
            }),
        ),
        ("", Command::DescribeAsset(DescribeAsset { patch: patch.clone(), visibility: Some(Visibility::Restricted) })),
        ("-visibility-kept", Command::DescribeAsset(DescribeAsset { patch: patch.clone(), visibility: None })),
        ("", Command::PatchAsset(patch)),
        ("-public", put_as(Visibility::Public)),
        ("-restricted", put_as(Visibility::Restricted)),
        ("", Command::MoveAsset(moved)),
        ("", Command::RevokeToken(revoke)),
    ]
}

fn of_accounts() -> Vec<(&'static str, Command)> {
    let refresh = NewRefreshToken {
        family: [0x88; 16],
        secret_hash: [0x99; 32],
        scopes: vec![Scope::AssetsRead],
        idle_ms: 2_592_000_000,
        life_ms: 31_536_000_000,
    };
    let plan = Plan { name: "Pro".into(), storage_bytes: Some(1 << 40), bandwidth_bytes: None, zones: Some(5) };
    let ip_ranges = || ["192.0.2.0/24", "2001:db8::/32"].map(|range| range.parse().expect("a range")).to_vec();
    let register = RegisterClient {
        name: "Büro".into(),
        secret_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
        scopes: vec![Scope::AssetsRead, Scope::AssetsWrite],
        domains: vec!["cdn.example".into()],
        status: ClientStatus::Review,
        plan: plan.clone(),
        ip_ranges: ip_ranges(),
        since_ms: Some(1_690_000_000_000),
        refresh: Some(refresh.clone()),
    };
    let bare = RegisterClient { plan: Plan::default(), ip_ranges: Vec::new(), since_ms: None, refresh: None, ..register.clone() };
    let update = UpdateClient {
        client: client(),
        name: None,
        scopes: Some(vec![Scope::MetricsRead]),
        domains: None,
        status: Some(ClientStatus::Active),
        plan: Some(plan),
        ip_ranges: Some(ip_ranges()),
    };
    let rotate = RotateSecret { client: client(), secret_hash: "$argon2id$".into(), refresh: Some(refresh.clone()) };
    let used = UseRefreshToken { client: client(), family: [0x88; 16], secret_hash: [0x99; 32], next_hash: [0xAA; 32] };
    vec![
        ("", Command::RegisterClient(register)),
        ("-bare", Command::RegisterClient(bare)),
        ("", Command::UpdateClient(update)),
        ("", Command::RotateSecret(rotate)),
        ("", Command::DeleteClient { client: client() }),
        ("", Command::AddRefreshToken(AddRefreshToken { client: client(), token: refresh })),
        ("", Command::UseRefreshToken(used)),
        ("", Command::RevokeRefreshToken { client: client(), family: [0x88; 16] }),
        ("", Command::RemoveSigningKey { id: "k-2024".into() }),
        ("", Command::AddAdministrator(AddAdministrator { name: "Ada".into(), token_hash: [0xBB; 32], lifetime_ms: Some(2_592_000_000) })),
        ("", Command::RemoveAdministrator { administrator: administrator() }),
    ]
}

fn of_uploads() -> Vec<(&'static str, Command)> {
    let upload = upload();
    let Some((_, Command::PutAsset(put))) = of_clients().into_iter().find(|(_, command)| matches!(command, Command::PutAsset(_))) else {
        unreachable!("there is a put")
    };
    let complete =
        |visibility| Command::CompleteUpload(CompleteUpload { upload: upload_id(), offset: 70_000, put: put.clone(), visibility });
    vec![
        (
            "",
            Command::CreateUpload(CreateUpload {
                client: client(),
                length: upload.length,
                target: upload.target.clone(),
                note: upload.note.clone(),
                lifetime_ms: 86_400_000,
            }),
        ),
        (
            "",
            Command::AppendUpload(AppendUpload {
                client: client(),
                upload: upload_id(),
                offset: 70_000,
                part: upload.parts[0],
                holders: vec![NodeId(3), NodeId(70_001)],
                pinned_until_ms: 1_700_000_060_000,
                lifetime_ms: 86_400_000,
            }),
        ),
        ("", complete(None)),
        ("-restricted", complete(Some(Visibility::Restricted))),
        ("", Command::EndUpload(EndUpload { client: client(), upload: upload_id() })),
        (
            "",
            Command::DeleteAssets(DeleteAssets {
                client: client(),
                assets: vec![AssetRef::Id(asset_id()), AssetRef::Path("bilder/übersicht.webp".into())],
            }),
        ),
    ]
}

fn of_zones() -> Vec<(&'static str, Command)> {
    let zone = zone();
    let create = CreateZone {
        client: client(),
        name: zone.name.clone(),
        origins: zone.origins.clone(),
        host_header: zone.host_header.clone(),
        cdn_suffix: "cdn.example".into(),
        domains: zone.domains.clone(),
        settings: zone.settings.clone(),
    };
    let bare = CreateZone { host_header: None, domains: Vec::new(), settings: ZoneSettings::default(), ..create.clone() };
    let ZoneSettings { bypass, fence, .. } = zone.settings;
    let update = UpdateZone {
        client: client(),
        zone: zone_id(),
        versions: Some(vec![300, 70_000]),
        name: Some("Büro".into()),
        origins: Some(zone.origins),
        host_header: Some(Some("www.example".into())),
        domains: Some(zone.domains),
        settings: ZoneSettingsPatch {
            cache_ttl_s: Some(Some(3_600)),
            cache_query_strings: Some(true),
            bypass: Some(bypass),
            negative_ttl_s: Some(None),
            stale_on_error_s: Some(Some(86_400)),
            stale_while_revalidate_s: Some(Some(60)),
            fence: Some(fence),
            tiers: Some(true),
            cache_set_cookie: Some(true),
            cache_authorization: Some(false),
            cors: Some(true),
        },
    };
    let purge = |targets| Command::PurgeZone(PurgeZone { client: client(), zone: zone_id(), targets });
    vec![
        ("", Command::CreateShieldedZone(CreateShieldedZone { zone: create.clone(), region: "eu-ams".into() })),
        ("", Command::ShieldZone(ShieldZone { update: update.clone(), region: Some("eu-ams".into()) })),
        ("-anywhere", Command::ShieldZone(ShieldZone { update: UpdateZone::nothing(client(), zone_id()), region: None })),
        ("", Command::CreateZone(create)),
        ("-bare", Command::CreateZone(bare)),
        ("", Command::UpdateZone(update)),
        ("-nothing", Command::UpdateZone(UpdateZone::nothing(client(), zone_id()))),
        ("", Command::RemoveZone(RemoveZone { client: client(), zone: zone_id(), versions: None })),
        ("-version", Command::RemoveZone(RemoveZone { client: client(), zone: zone_id(), versions: Some(vec![70_000]) })),
        ("", purge(vec![ZonePurgeTarget::Url("/a?b=c".into()), ZonePurgeTarget::Prefix("/bilder/".into())])),
        ("-zone", purge(vec![ZonePurgeTarget::Zone])),
        ("-zones", {
            // The scopes of level 8 have their numbers in commands that are older.
            let token = NewRefreshToken {
                family: [0x88; 16],
                secret_hash: [0x99; 32],
                scopes: vec![Scope::ZonesRead, Scope::ZonesWrite],
                idle_ms: 1,
                life_ms: 1,
            };
            Command::AddRefreshToken(AddRefreshToken { client: client(), token })
        }),
    ]
}

/// Where the number of the command stands in the record of [`proposal_of_one_byte_time`].
const NUMBER_AT: usize = 10 + 16 + 1 + 1;

fn proposal_of_one_byte_time(command: Command) -> Vec<u8> {
    ncore_model::encode(&Proposal { log_time_ms: 1, ..proposal(command) }).expect("encodes")
}

#[test]
fn every_command_has_its_number_and_a_case() {
    let mut numbers = BTreeSet::new();
    for (_, command) in cases() {
        let number = number(&command);
        assert_eq!(usize::from(proposal_of_one_byte_time(command)[NUMBER_AT]), number);
        numbers.insert(number);
    }
    assert_eq!(numbers, (0..COMMANDS).collect());
}

/// A command of a later release is an error, whatever its bytes are, and never one of ours.
#[test]
fn an_unknown_command_is_an_error() {
    for (_, command) in cases() {
        let bytes = proposal_of_one_byte_time(command);
        for unknown in COMMANDS..=250 {
            let mut changed = bytes.clone();
            changed[NUMBER_AT] = u8::try_from(unknown).expect("is a byte");
            let body = changed.len() - 4;
            let crc = crc32c::crc32c(&changed[..body]).to_le_bytes();
            changed[body..].copy_from_slice(&crc);
            assert_eq!(
                ncore_model::decode::<Proposal>(&changed),
                Err(ncore_model::CodecError::Payload { kind: 1, version: 1 }),
                "{unknown}"
            );
        }
    }
}
