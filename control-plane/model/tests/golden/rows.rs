//! Every row of the state.

use ncore_model::{
    Account, Administrator, Blob, BlobHash, Client, ClientPlacement, ClientStatus, ClusterState, Exception, ExceptionState, HourCounts,
    JoinToken, JoinTokenId, Lineage, Node, NodeId, NodeReport, NodeState, PlacementMark, PlacementPolicy, PlacementRule, Plan, Purge,
    PurgeCount, RefreshFamily, RevokedToken, SchemaRange, Scope, SigningKey, Stored, Upload, UsageCounts, UsageMark, UsageReport, Zone,
    ZoneFence, ZonePurge, ZonePurgeMark, ZonePurgeTarget, ZoneSettings, ZoneShield,
};

use super::{Golden, administrator, asset, asset_id, client, record, upload, zone};

pub(super) fn all() -> Vec<Golden> {
    vec![
        record("row.node", &node(NodeState::Active)),
        record("row.node-draining", &node(NodeState::Draining)),
        record("row.node-removed", &node(NodeState::Removed)),
        record("row.join_token", &token(Some("eu-ams".into()))),
        record("row.join_token-anywhere", &token(None)),
        record("row.client", &tenant(ClientStatus::Active)),
        record("row.client-review", &tenant(ClientStatus::Review)),
        record("row.client-suspended", &tenant(ClientStatus::Suspended)),
        record("row.asset", &asset()),
        record("row.blob", &Blob { size: 1_234_567, references: 2, holders: vec![NodeId(1), NodeId(70_001)] }),
        record(
            "row.cluster",
            &ClusterState {
                cluster_id: [0x77; 16],
                lineage: 2,
                schema_level: 1,
                log_time_ms: 1_700_000_000_123,
                forgotten_until_ms: 1_699_999_999_999,
            },
        ),
        record("row.lineage", &Lineage { number: 2, base: 70_000, node: NodeId(3), began_at_ms: 1_700_000_000_123 }),
        record(
            "row.signing_key",
            &SigningKey { id: "k-2024".into(), public: vec![0x55; 32], sealed_private: vec![0x66; 83], created_at_ms: 1_700_000_000_000 },
        ),
        record("row.revoked_token", &RevokedToken { client: client(), revoked_at_ms: 1_700_000_000_000 }),
        record(
            "row.account",
            &Account {
                plan: Plan { name: "Pro".into(), storage_bytes: Some(1 << 40), bandwidth_bytes: None, zones: Some(5) },
                ip_ranges: vec!["192.0.2.0/24".parse().expect("a range"), "2001:db8::/32".parse().expect("a range")],
                since_ms: 1_690_000_000_000,
                secret_set_at: 70_000,
            },
        ),
        record("row.stored", &Stored { assets: 300, bytes: 1_234_567 }),
        record(
            "row.refresh_family",
            &RefreshFamily {
                scopes: vec![Scope::AssetsRead],
                secret_hash: [0x99; 32],
                uses: 300,
                created_at_ms: 1_700_000_000_000,
                expires_at_ms: 1_702_592_000_000,
                idle_ms: 2_592_000_000,
                ends_at_ms: 1_731_536_000_000,
            },
        ),
        record(
            "row.administrator",
            &Administrator {
                id: administrator(),
                name: "Ada".into(),
                token_hash: [0xBB; 32],
                created_at_ms: 1_700_000_000_000,
                expires_at_ms: Some(1_702_592_000_000),
            },
        ),
        record("row.placement_mark", &PlacementMark { nodes_at: 300, changed_at: 70_000 }),
        record(
            "row.client_placement",
            &ClientPlacement {
                rules: vec![
                    PlacementRule { prefix: String::new(), policy: PlacementPolicy { regions: vec!["eu-ams".into()], copies: None } },
                    PlacementRule { prefix: "bilder/".into(), policy: PlacementPolicy { regions: Vec::new(), copies: Some(2) } },
                ],
                changed_at: 70_000,
            },
        ),
        record("row.upload", &upload()),
        record("row.upload-done", &Upload { parts: Vec::new(), asset: Some(asset_id()), ..upload() }),
        record("row.usage_mark", &UsageMark { incarnation: 300, sequence: 5 }),
        record("row.usage_counts", &UsageCounts { statuses: [70_000, 5, 300, 0], bytes_out: 5_000_000_000, hits: 69_000, misses: 1_000 }),
        record(
            "spool.usage_report",
            &UsageReport {
                node: NodeId(3),
                incarnation: 300,
                sequence: 5,
                counts: vec![HourCounts { client: client(), hour: 472_222, counts: UsageCounts::default() }],
            },
        ),
        record("row.purge_count", &PurgeCount { at_ms: vec![1_700_000_000_000, 1_700_000_000_001], until_ms: 1_700_000_060_001 }),
        record("row.purge", &Purge { client: client(), pattern: "bilder/*".into(), at_ms: 1_700_000_000_000 }),
        record("row.zone", &zone()),
        record("row.zone-bare", &Zone { host_header: None, domains: Vec::new(), settings: ZoneSettings::default(), ..zone() }),
        record("row.zone-serve", &Zone { settings: ZoneSettings { fence: ZoneFence::Serve, ..ZoneSettings::default() }, ..zone() }),
        record(
            "row.zone_purge",
            &ZonePurge {
                targets: vec![ZonePurgeTarget::Zone, ZonePurgeTarget::Url("/a?b=c".into()), ZonePurgeTarget::Prefix("/bilder/".into())],
                at_ms: 1_700_000_000_000,
            },
        ),
        record("row.zone_shield", &ZoneShield { region: "eu-ams".into() }),
        record("row.zone_purge_mark", &ZonePurgeMark { zone_at: 70_000, floor: 300, weight: 9_999 }),
        record(
            "row.node_report",
            &NodeReport {
                node: NodeId(3),
                incarnation: 300,
                sequence: 5,
                watermark: 70_000,
                exceptions: vec![
                    Exception { version: 12, state: ExceptionState::Missing },
                    Exception { version: 66_000, state: ExceptionState::Corrupt },
                ],
            },
        ),
    ]
}

fn node(state: NodeState) -> Node {
    Node {
        id: NodeId(70_001),
        name: "eu-ams-1".into(),
        region: "eu-ams".into(),
        cluster_address: "10.0.0.1:7400".into(),
        http_address: "https://ams.example".into(),
        voter: true,
        state,
        schema: SchemaRange { min: 1, max: 2 },
        software: "0.1.0".into(),
        incarnation: 300,
        added_at_ms: 1_700_000_000_000,
    }
}

fn token(region: Option<String>) -> JoinToken {
    JoinToken { id: JoinTokenId([0x33; 16]), verifier: [0x44; 32], voter: false, region, uses_left: 2, expires_at_ms: 1_700_003_600_000 }
}

fn tenant(status: ClientStatus) -> Client {
    Client {
        id: client(),
        name: "Büro".into(),
        secret_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
        scopes: vec![Scope::AssetsRead, Scope::AssetsWrite, Scope::CachePurge, Scope::MetricsRead],
        domains: vec!["cdn.example".into()],
        status,
        created_at_ms: 1_700_000_000_000,
    }
}

/// The text of a hash is hex; a blob's and a request's name are shown in it.
#[test]
fn names_are_shown_as_hex() {
    assert_eq!(BlobHash([0xB3; 32]).to_string(), "b3".repeat(32));
    assert_eq!(super::request().to_string(), "018bcfe5680070018002010203040506");
}
