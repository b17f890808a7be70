//! A small world to try commands in: tables in memory, a clock that ticks, and short ways to what most cases need.
//!
//! It also holds every rejection to its promise: nothing but the time of the log and the record of the answer may change.

use ncore_model::{
    AddClient, AddNode, Applied, Asset, AssetId, BlobHash, ClientId, Command, CreateJoinToken, Idempotency, InitCluster, JoinTokenId,
    MemoryTables, NodeId, Outcome, PatchAsset, Precondition, Proposal, PutAsset, ReadTables, RequestId, Row, SchemaRange, Scope, Table,
    UpdateNode, apply,
};

/// When the first entry is taken, in Unix milliseconds.
pub(crate) const START_MS: u64 = 1_700_000_000_000;
/// A text that no row may hold.
pub(crate) const LONG: usize = 5_000;
/// A node that can apply level 1 alone.
pub(crate) const OLD: SchemaRange = SchemaRange { min: 1, max: 1 };

/// Tables, and where the log and its clock stand.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) tables: MemoryTables,
    pub(crate) index: u64,
    pub(crate) now_ms: u64,
}

impl World {
    /// No entry yet.
    pub(crate) fn empty() -> Self {
        Self { tables: MemoryTables::default(), index: 0, now_ms: START_MS }
    }

    /// A cluster of node 1, called `one`.
    pub(crate) fn cluster() -> Self {
        let mut world = Self::empty();
        assert_eq!(world.apply(init()), Outcome::Done);
        world
    }

    /// A cluster with a client.
    pub(crate) fn with_client() -> (Self, ClientId) {
        let mut world = Self::cluster();
        let client = world.client();
        (world, client)
    }

    /// A cluster at level 2 with a client that has the asset `a.txt`, of the content 1.
    pub(crate) fn with_asset() -> (Self, ClientId, Asset) {
        let (mut world, client) = Self::with_client();
        assert_eq!(world.apply(Command::RaiseSchema { level: 2 }), Outcome::Done);
        let asset = world.asset(put(&client, "a.txt", 1));
        (world, client, asset)
    }

    /// The request that the next [`apply`](Self::apply) makes.
    pub(crate) fn next_request(&self) -> RequestId {
        request(self.now_ms + 1, self.index + 1)
    }

    /// Applies a command a millisecond later, as a request of its own.
    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        let request = self.next_request();
        self.now_ms += 1;
        self.propose(request, None, command).outcome
    }

    /// Applies a command now.
    pub(crate) fn propose(&mut self, request: RequestId, idempotency: Option<Idempotency>, command: Command) -> Applied {
        self.index += 1;
        let before = self.rows();
        let proposal = Proposal { request, idempotency, log_time_ms: self.now_ms, command };
        let applied = apply(&mut self.tables, self.index, &proposal).expect("applies");
        if matches!(applied.outcome, Outcome::Rejected(_)) {
            assert_eq!(self.rows(), before, "{:?} changed something", applied.outcome);
        }
        applied
    }

    /// A new client.
    pub(crate) fn client(&mut self) -> ClientId {
        match self.apply(Command::AddClient(add_client())) {
            Outcome::ClientAdded(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The asset that a put makes.
    pub(crate) fn asset(&mut self, put: PutAsset) -> Asset {
        match self.apply(Command::PutAsset(put)) {
            Outcome::AssetCreated(asset) | Outcome::AssetReplaced(asset) => asset,
            other => panic!("{other:?}"),
        }
    }

    /// A token for one node, good for an hour.
    pub(crate) fn token(&mut self) -> JoinTokenId {
        let token = create_token(1);
        let id = token.id;
        assert_eq!(self.apply(Command::CreateJoinToken(token)), Outcome::Done);
        id
    }

    /// A node that has joined with a token of its own.
    pub(crate) fn node(&mut self, name: &str, schema: SchemaRange) -> NodeId {
        let token = self.token();
        match self.apply(Command::AddNode(AddNode { schema, ..add_node(token, name) })) {
            Outcome::NodeAdded(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Every row but those of the log's time and of the answers.
    fn rows(&self) -> Vec<(Table, Vec<Row>)> {
        Table::ALL
            .into_iter()
            .filter(|table| !matches!(table, Table::Cluster | Table::Requests | Table::Keys | Table::Expiry))
            .map(|table| (table, self.table(table)))
            .collect()
    }

    /// Every row of a table.
    pub(crate) fn table(&self, table: Table) -> Vec<Row> {
        self.tables.scan(table, &[], &[], usize::MAX).expect("scans")
    }
}

/// A request made at `ms`, told from others by `number`.
pub(crate) fn request(ms: u64, number: u64) -> RequestId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    RequestId(bytes)
}

pub(crate) fn init() -> Command {
    Command::InitCluster(InitCluster { cluster_id: [7; 16], node: update_node(NodeId(1), "one") })
}

pub(crate) fn update_node(node: NodeId, name: &str) -> UpdateNode {
    UpdateNode {
        node,
        name: name.into(),
        region: "eu".into(),
        cluster_address: "10.0.0.1:7400".into(),
        http_address: "http://10.0.0.1".into(),
        schema: SchemaRange::BUILD,
        software: "0.1.0".into(),
        incarnation: 1,
    }
}

pub(crate) fn add_node(token: JoinTokenId, name: &str) -> AddNode {
    AddNode {
        token,
        name: name.into(),
        region: "eu".into(),
        cluster_address: "10.0.0.2:7400".into(),
        http_address: "http://10.0.0.2".into(),
        schema: SchemaRange::BUILD,
        software: "0.1.0".into(),
    }
}

pub(crate) fn create_token(uses: u32) -> CreateJoinToken {
    CreateJoinToken { id: JoinTokenId([5; 16]), verifier: [6; 32], voter: true, region: None, uses, lifetime_ms: 3_600_000 }
}

pub(crate) fn add_client() -> AddClient {
    AddClient { name: "shop".into(), secret_hash: "$argon2id$".into(), scopes: vec![Scope::AssetsWrite], domains: vec!["shop.test".into()] }
}

/// Content number `content` for a path.
pub(crate) fn put(client: &ClientId, path: &str, content: u8) -> PutAsset {
    PutAsset {
        client: client.clone(),
        path: path.into(),
        mime: "text/plain".into(),
        size: u64::from(content),
        sha256: [content; 32],
        blob: BlobHash([content; 32]),
        cache_ttl_s: 60,
        node: NodeId(1),
        holders: vec![NodeId(1)],
        pinned_until_ms: START_MS + 3_600_000,
        precondition: Precondition::None,
    }
}

pub(crate) fn patch(client: &ClientId, asset: &AssetId) -> PatchAsset {
    PatchAsset {
        client: client.clone(),
        asset: asset.clone(),
        mime: Some("text/html".into()),
        cache_ttl_s: None,
        precondition: Precondition::None,
    }
}

pub(crate) fn nobody() -> ClientId {
    ClientId::from_text("cl_nobody")
}
