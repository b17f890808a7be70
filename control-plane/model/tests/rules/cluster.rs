//! Commands about the cluster as a whole, and the schema level that gates all others.

use ncore_model::{
    AddSigningKey, AssetId, ClientStatus, Command, DeleteAsset, InitCluster, NodeId, NodeReport, NodeState, Outcome, Precondition,
    PurgeAssets, Query, Rejection, SCHEMA_MIN, SchemaRange, SetClientStatus, UpdateNode,
};

use crate::{
    Case, check,
    world::{LONG, OLD, World, add_client, add_node, create_token, init, nobody, patch, put, update_node},
};

pub(crate) fn cases() -> Vec<Case> {
    let empty = World::empty();
    let world = World::cluster();
    let first = |node: UpdateNode| Command::InitCluster(InitCluster { cluster_id: [7; 16], node });
    let one = update_node(NodeId(1), "one");
    let key = AddSigningKey { id: "k1".into(), public: vec![1; 32], sealed_private: vec![2; 64] };
    let mut cases = vec![
        Case::new("the first command", &empty, init(), Outcome::Done),
        Case::rejected("a second first command", &world, init(), Rejection::AlreadyInitialised),
        Case::rejected(
            "a first node with a long name",
            &empty,
            first(UpdateNode { name: "x".repeat(LONG), ..one.clone() }),
            Rejection::FieldTooLong,
        ),
        Case::rejected(
            "a first node that cannot apply the first level",
            &empty,
            first(UpdateNode { schema: SchemaRange { min: 2, max: 2 }, ..one }),
            Rejection::SchemaUnsupported { node: NodeId(1), level: SCHEMA_MIN },
        ),
        Case::new("the next level", &world, Command::RaiseSchema { level: 2 }, Outcome::Done),
        Case::rejected("the same level", &world, Command::RaiseSchema { level: 1 }, Rejection::SchemaNotNext { level: 1 }),
        Case::rejected("a level too far", &world, Command::RaiseSchema { level: 3 }, Rejection::SchemaNotNext { level: 1 }),
        Case::new("a key", &world, Command::AddSigningKey(key.clone()), Outcome::Done),
        Case::rejected(
            "a key with a long name",
            &world,
            Command::AddSigningKey(AddSigningKey { id: "x".repeat(LONG), ..key.clone() }),
            Rejection::FieldTooLong,
        ),
        Case::rejected(
            "a long public key",
            &world,
            Command::AddSigningKey(AddSigningKey { public: vec![0; LONG], ..key.clone() }),
            Rejection::FieldTooLong,
        ),
        Case::rejected(
            "a long private key",
            &world,
            Command::AddSigningKey(AddSigningKey { sealed_private: vec![0; LONG], ..key }),
            Rejection::FieldTooLong,
        ),
    ];
    cases.extend(all_but_init().map(|command| Case::rejected("before the first command", &empty, command, Rejection::NotInitialised)));
    cases.extend(levels());
    cases
}

/// A cluster with a node of the release before.
fn levels() -> Vec<Case> {
    let mut mixed = World::cluster();
    let old = mixed.node("two", OLD);
    let mut upgraded = mixed.clone();
    assert_eq!(upgraded.apply(Command::UpdateNode(update_node(old, "two"))), Outcome::Done);
    let mut without = mixed.clone();
    assert_eq!(without.apply(Command::SetNodeState { node: old, state: NodeState::Removed }), Outcome::Done);
    let mut draining = mixed.clone();
    assert_eq!(draining.apply(Command::SetNodeState { node: old, state: NodeState::Draining }), Outcome::Done);
    let raise = || Command::RaiseSchema { level: 2 };
    let unsupported = || Rejection::SchemaUnsupported { node: old, level: 2 };
    vec![
        Case::rejected("an old node holds the level back", &mixed, raise(), unsupported()),
        Case::rejected("a draining one does too", &draining, raise(), unsupported()),
        Case::new("an upgraded one does not", &upgraded, raise(), Outcome::Done),
        Case::new("a removed one does not", &without, raise(), Outcome::Done),
        Case::rejected(
            "a command of a later level",
            &mixed,
            Command::PatchAsset(patch(&nobody(), &AssetId::from_text("as_none"))),
            Rejection::SchemaTooLow { needed: 2, level: 1 },
        ),
    ]
}

fn all_but_init() -> impl Iterator<Item = Command> {
    let token = create_token(1);
    let asset = AssetId::from_text("as_none");
    [
        Command::AddNode(add_node(token.id, "two")),
        Command::UpdateNode(update_node(NodeId(1), "one")),
        Command::SetNodeState { node: NodeId(1), state: NodeState::Draining },
        Command::RevokeJoinToken { id: token.id },
        Command::CreateJoinToken(token),
        Command::AddClient(add_client()),
        Command::SetClientStatus(SetClientStatus { client: nobody(), status: ClientStatus::Review }),
        Command::AddSigningKey(AddSigningKey { id: "k1".into(), public: Vec::new(), sealed_private: Vec::new() }),
        Command::PutAsset(put(&nobody(), "a.txt", 1)),
        Command::PatchAsset(patch(&nobody(), &asset)),
        Command::DeleteAsset(DeleteAsset { client: nobody(), asset, precondition: Precondition::None }),
        Command::PurgeAssets(PurgeAssets { client: nobody(), pattern: "*".into() }),
        Command::ReportHoldings(NodeReport { node: NodeId(1), incarnation: 1, sequence: 1, watermark: 0, exceptions: Vec::new() }),
        Command::RaiseSchema { level: 2 },
    ]
    .into_iter()
}

#[test]
fn cluster_commands() {
    check(cases());
}

/// The whole way of an upgrade: closed, opened node by node, and not to be walked back.
#[test]
fn the_level_rises_with_the_last_node() {
    let (mut world, client) = World::with_client();
    let asset = world.asset(put(&client, "a.txt", 1));
    let old = world.node("two", OLD);
    let describe = || Command::PatchAsset(patch(&client, &asset.id));

    assert_eq!(world.apply(Command::RaiseSchema { level: 2 }), Outcome::Rejected(Rejection::SchemaUnsupported { node: old, level: 2 }));
    assert_eq!(world.apply(describe()), Outcome::Rejected(Rejection::SchemaTooLow { needed: 2, level: 1 }));

    assert_eq!(world.apply(Command::UpdateNode(UpdateNode { incarnation: 2, ..update_node(old, "two") })), Outcome::Done);
    assert_eq!(
        world.apply(describe()),
        Outcome::Rejected(Rejection::SchemaTooLow { needed: 2, level: 1 }),
        "a node that could is not enough"
    );
    assert_eq!(world.apply(Command::RaiseSchema { level: 2 }), Outcome::Done);
    assert!(matches!(world.apply(describe()), Outcome::AssetPatched(_)));

    let token = world.token();
    let mut late = add_node(token, "three");
    late.schema = OLD;
    assert!(matches!(world.apply(Command::AddNode(late)), Outcome::Rejected(Rejection::SchemaUnsupported { level: 2, .. })));
    let downgraded = UpdateNode { schema: OLD, incarnation: 3, ..update_node(old, "two") };
    assert_eq!(world.apply(Command::UpdateNode(downgraded)), Outcome::Rejected(Rejection::SchemaUnsupported { node: old, level: 2 }));
}

#[test]
fn the_first_command_makes_the_cluster_and_its_node() {
    let world = World::cluster();
    let cluster = world.tables.cluster().expect("reads").expect("is there");
    assert_eq!((cluster.cluster_id, cluster.lineage, cluster.schema_level), ([7; 16], 1, SCHEMA_MIN));
    assert_eq!(cluster.log_time_ms, world.now_ms);
    let nodes = world.tables.nodes().expect("reads");
    assert_eq!(nodes.len(), 1);
    assert_eq!((nodes[0].id, nodes[0].voter, nodes[0].state, nodes[0].incarnation), (NodeId(1), true, NodeState::Active, 1));
}

#[test]
fn the_time_of_the_log_never_goes_back() {
    let mut world = World::cluster();
    let latest = world.now_ms + 1_000;
    world.now_ms = latest;
    world.apply(Command::AddClient(add_client()));
    world.now_ms = latest - 900;
    let client = world.client();
    assert_eq!(world.tables.cluster().expect("reads").map(|cluster| cluster.log_time_ms), Some(latest + 1));
    assert_eq!(world.tables.client(&client).expect("reads").map(|client| client.created_at_ms), Some(latest + 1));
}
