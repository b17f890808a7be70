//! The beginning of a lineage, and which revisions are of the history that it has.

use ncore_model::{
    AddSigningKey, BeginLineage, Command, Founder, Lineage, NodeId, NodeReport, NodeState, NotBegun, Outcome, Query, Revision, SchemaRange,
    Table, UpdateNode, begin_lineage,
};

use crate::world::{LONG, OLD, START_MS, World, update_node};

/// Where the lineage begins in these tests.
const INDEX: u64 = 1_000_000;

/// Three nodes, each of which has reported, a token, a key, and an asset.
fn world() -> (World, [NodeId; 3]) {
    let (mut world, _, _) = World::with_asset();
    let nodes = [NodeId(1), world.node("two", SchemaRange::BUILD), world.node("three", SchemaRange::BUILD)];
    for node in nodes {
        let report = NodeReport { node, incarnation: 1, sequence: 1, watermark: 3, exceptions: Vec::new() };
        assert_eq!(world.apply(Command::ReportHoldings(report)), Outcome::Done);
    }
    let key = AddSigningKey { id: "k1".into(), public: vec![1; 32], sealed_private: vec![2; 64] };
    assert_eq!(world.apply(Command::AddSigningKey(key)), Outcome::Done);
    world.token();
    (world, nodes)
}

fn from(world: &World, founder: Founder) -> BeginLineage {
    BeginLineage { number: 2, base: world.index, at_ms: world.now_ms + 5, founder }
}

fn stranger(index: u64) -> Founder {
    Founder::Stranger { cluster_id: [9; 16], node: update_node(NodeId(index), "new") }
}

fn level_of(world: &World) -> u32 {
    world.tables.cluster().expect("reads").expect("is there").schema_level
}

#[test]
fn a_survivor_is_the_only_member_and_keeps_what_it_reported() {
    let (mut world, [one, two, three]) = world();
    assert_eq!(world.apply(Command::SetNodeState { node: two, state: NodeState::Draining }), Outcome::Done);
    let before = world.clone();
    let begun = begin_lineage(&mut world.tables, INDEX, &from(&before, Founder::Survivor(two))).expect("applies").expect("begins");

    let lineage = Lineage { number: 2, base: before.index, node: two, began_at_ms: before.now_ms + 5 };
    assert_eq!((&begun.lineage, world.tables.lineages().expect("reads")), (&lineage, vec![lineage.clone()]));
    assert_eq!(begun.removed.iter().map(|node| node.id).collect::<Vec<_>>(), [one, three]);
    let states: Vec<_> = world.tables.nodes().expect("reads").iter().map(|node| (node.id, node.state)).collect();
    assert_eq!(states, [(one, NodeState::Removed), (two, NodeState::Active), (three, NodeState::Removed)]);
    let reports: Vec<_> = [one, two, three].iter().map(|node| world.tables.report(*node).expect("reads").is_some()).collect();
    assert_eq!(reports, [false, true, false]);
    let cluster = world.tables.cluster().expect("reads").expect("is there");
    assert_eq!((cluster.cluster_id, cluster.lineage, cluster.schema_level), ([7; 16], 2, level_of(&before)));
    assert_eq!(cluster.log_time_ms, before.now_ms + 5);
    assert!(world.tables.join_tokens().expect("reads").is_empty());
    for table in Table::ALL {
        let changes = matches!(table, Table::Cluster | Table::Nodes | Table::Reports | Table::JoinTokens);
        assert_eq!(world.table(table) != before.table(table), changes, "{}", table.as_str());
    }
}

#[test]
fn a_stranger_begins_another_cluster_without_the_old_keys() {
    let (mut world, nodes) = world();
    let before = world.clone();
    let begun = begin_lineage(&mut world.tables, INDEX, &from(&before, stranger(INDEX))).expect("applies").expect("begins");
    assert_eq!(begun.removed.iter().map(|node| node.id).collect::<Vec<_>>(), nodes);
    let members = world.tables.members().expect("reads");
    assert_eq!(members.iter().map(|node| (node.id, node.voter)).collect::<Vec<_>>(), [(NodeId(INDEX), true)]);
    assert_eq!(world.tables.cluster().expect("reads").map(|cluster| cluster.cluster_id), Some([9; 16]));
    assert!(world.tables.signing_keys().expect("reads").is_empty());
    assert_eq!(world.table(Table::Assets), before.table(Table::Assets));
}

#[test]
fn a_lineage_that_cannot_begin_changes_nothing() {
    let (world, [_, two, _]) = world();
    let mut removed = world.clone();
    assert_eq!(removed.apply(Command::SetNodeState { node: two, state: NodeState::Removed }), Outcome::Done);
    let survivor = from(&world, Founder::Survivor(two));
    let new = |node: UpdateNode| Founder::Stranger { cluster_id: [9; 16], node };
    let (described, level) = (update_node(NodeId(INDEX), "new"), level_of(&world));
    let cases = [
        ("without a cluster", &World::empty(), survivor.clone(), NotBegun::NotInitialised),
        ("of the same number", &world, BeginLineage { number: 1, ..survivor.clone() }, NotBegun::NotLater { lineage: 1 }),
        ("at its base", &world, BeginLineage { base: INDEX, ..survivor }, NotBegun::NotAfter { index: INDEX, base: INDEX }),
        ("with nobody", &world, from(&world, Founder::Survivor(NodeId(77))), NotBegun::NotMember(NodeId(77))),
        ("with a removed node", &removed, from(&removed, Founder::Survivor(two)), NotBegun::NotMember(two)),
        ("with an id that is no index", &world, from(&world, stranger(INDEX - 1)), NotBegun::Description),
        ("with a long name", &world, from(&world, new(UpdateNode { name: "x".repeat(LONG), ..described.clone() })), NotBegun::Description),
        ("with an old build", &world, from(&world, new(UpdateNode { schema: OLD, ..described })), NotBegun::Schema { level }),
    ];
    for (name, world, begin, expected) in cases {
        let mut tables = world.tables.clone();
        assert_eq!(begin_lineage(&mut tables, INDEX, &begin).expect("applies"), Err(expected), "{name}");
        assert_eq!(tables, world.tables, "{name}");
    }
}

#[test]
fn the_time_of_the_log_does_not_go_back_with_the_clock_of_the_survivor() {
    let (mut world, [one, ..]) = world();
    let late = BeginLineage { at_ms: START_MS - 1, ..from(&world, Founder::Survivor(one)) };
    let now_ms = world.now_ms;
    begin_lineage(&mut world.tables, INDEX, &late).expect("applies").expect("begins");
    assert_eq!(world.tables.cluster().expect("reads").map(|cluster| cluster.log_time_ms), Some(now_ms));
}

/// What of each lineage belongs to the history: up to the base of the one that came after it.
#[test]
fn a_revision_is_known_up_to_the_base_of_what_came_after() {
    let (mut world, [one, ..]) = world();
    let revision = |lineage, index| Revision { lineage, index };
    assert!(world.tables.includes(revision(1, u64::MAX)).expect("reads"), "the lineage that goes on has no end");
    assert!(!world.tables.includes(revision(0, 1)).expect("reads"));
    for (number, base, index) in [(2, 100, 1_000), (5, 1_010, 2_000)] {
        let begin = BeginLineage { number, base, at_ms: 0, founder: Founder::Survivor(one) };
        begin_lineage(&mut world.tables, index, &begin).expect("applies").expect("begins");
    }
    let cases = [
        (revision(1, 0), true),
        (revision(1, 100), true),
        (revision(1, 101), false),
        (revision(2, 100), true),
        (revision(2, 1_010), true),
        (revision(2, 1_011), false),
        (revision(3, 1), false),
        (revision(4, 1), false),
        (revision(5, 2_000), true),
    ];
    for (revision, expected) in cases {
        assert_eq!(world.tables.includes(revision).expect("reads"), expected, "{revision}");
    }
}
