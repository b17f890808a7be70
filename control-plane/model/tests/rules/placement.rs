//! Commands about where assets are held, and which nodes follow from them.

use ncore_model::{
    AddNode, BlobHash, ClientId, Command, CopyState, MAX_PLACEMENT_REGIONS, MAX_PLACEMENT_RULES, NodeId, NodeReport, NodeState, Outcome,
    PlacementFit, PlacementPolicy, Placements, Query, Rejection, SchemaRange, SetPlacement, UpdateNode,
};

use crate::{
    Case, check,
    world::{LONG, World, add_node, nobody, put, update_node},
};

pub(crate) fn cases() -> Vec<Case> {
    let (world, client) = placing();
    let mut set = world.clone();
    assert_eq!(set.apply(place(&client, "a/", &["eu"], Some(2))), Outcome::Done);
    let mut full = world.clone();
    for number in 0..MAX_PLACEMENT_RULES {
        assert_eq!(full.apply(place(&client, &format!("{number}/"), &[], Some(1))), Outcome::Done);
    }
    let (level_1, early) = World::with_client();
    let long = "x".repeat(LONG);
    let many = vec!["eu"; MAX_PLACEMENT_REGIONS + 1];
    let remove = |prefix: &str| Command::RemovePlacement { client: client.clone(), prefix: prefix.into() };
    vec![
        Case::new("a rule", &world, place(&client, "", &["eu"], None), Outcome::Done),
        Case::new("the same rule", &set, place(&client, "a/", &["eu"], Some(2)), Outcome::Done),
        Case::new("another policy for the same prefix", &full, place(&client, "1/", &["eu"], Some(2)), Outcome::Done),
        Case::rejected("one rule too many", &full, place(&client, "a/", &[], Some(1)), Rejection::TooManyPlacements),
        Case::rejected("too early", &level_1, place(&early, "", &[], None), Rejection::SchemaTooLow { needed: 4, level: 1 }),
        Case::rejected("of nobody", &world, place(&nobody(), "", &[], None), Rejection::ClientUnknown),
        Case::rejected("of no name", &set, place(&ClientId::from_text(""), "", &[], None), Rejection::ClientUnknown),
        Case::rejected("a long prefix", &world, place(&client, &long, &[], None), Rejection::FieldTooLong),
        Case::rejected("a long region", &world, place(&client, "", &[&long], None), Rejection::FieldTooLong),
        Case::rejected("many regions", &world, place(&client, "", &many, None), Rejection::FieldTooLong),
        Case::new("removing", &set, remove("a/"), Outcome::Done),
        Case::rejected("removing nothing", &set, remove("a"), Rejection::PlacementUnknown),
        Case::rejected(
            "removing of no name",
            &set,
            Command::RemovePlacement { client: ClientId::from_text(""), prefix: String::new() },
            Rejection::ClientUnknown,
        ),
    ]
}

#[test]
fn placement_commands() {
    check(cases());
}

/// A cluster at level 4 of the nodes `one`, `two` and `three`, each in a region of its own, with a client.
fn placing() -> (World, ClientId) {
    let (mut world, client) = World::with_client();
    for level in 2..=4 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    for (name, region) in [("two", "us"), ("three", "asia")] {
        let token = world.token();
        let node = AddNode { region: region.into(), schema: SchemaRange::BUILD, ..add_node(token, name) };
        assert!(matches!(world.apply(Command::AddNode(node)), Outcome::NodeAdded(_)));
    }
    (world, client)
}

fn place(client: &ClientId, prefix: &str, regions: &[&str], copies: Option<u32>) -> Command {
    let policy = PlacementPolicy { regions: regions.iter().map(|region| (*region).to_owned()).collect(), copies };
    Command::SetPlacement(SetPlacement { client: client.clone(), prefix: prefix.into(), policy })
}

#[test]
fn the_longest_prefix_counts() {
    let (mut world, client) = placing();
    for (prefix, regions) in [("", ["eu"]), ("a/b", ["us"]), ("a/", ["asia"])] {
        assert_eq!(world.apply(place(&client, prefix, &regions, None)), Outcome::Done);
    }
    let other = world.client();
    let nodes = world.tables.members().expect("reads");
    for (path, owner, expected) in [
        ("x", &client, vec!["one"]),
        ("a/x", &client, vec!["three"]),
        ("a/bc", &client, vec!["two"]),
        ("y", &other, vec!["one", "two", "three"]),
    ] {
        let asset = world.asset(put(owner, path, 1));
        let placed = Placements::read(&world.tables).expect("reads").of(&world.tables, &asset).expect("reads");
        let on: Vec<&str> = nodes.iter().filter(|node| placed.is_on(node.id)).map(|node| node.name.as_str()).collect();
        assert_eq!((on, placed.fit), (expected, PlacementFit::Met), "{path}");
    }
}

/// Everything that changes which nodes must hold an asset makes what was reported before count no more, and nothing else does.
#[test]
fn a_report_from_before_a_change_verifies_nothing() {
    let (mut world, client) = placing();
    let other = world.client();
    let asset = world.asset(put(&client, "a", 1));
    let others = world.asset(put(&other, "b", 2));
    let two = world.tables.nodes().expect("reads")[1].id;
    let new_token = world.token();
    let steps = [
        place(&client, "", &[], Some(2)),
        Command::SetNodeState { node: two, state: NodeState::Draining },
        Command::SetNodeState { node: two, state: NodeState::Active },
        Command::UpdateNode(UpdateNode { region: "mars".into(), ..update_node(two, "two") }),
        Command::AddNode(add_node(new_token, "four")),
        Command::RemovePlacement { client: client.clone(), prefix: String::new() },
    ];
    for step in steps {
        let before = world.index;
        let name = step.as_str();
        assert!(!matches!(world.apply(step), Outcome::Rejected(_)), "{name}");
        let mut placements = Placements::read(&world.tables).expect("reads");
        let placed = placements.of(&world.tables, &asset).expect("reads");
        assert_eq!((placed.since, placements.changed_at()), (world.index, world.index), "{name}");
        let state = |watermark| placed.state(Some(&report(watermark)), asset.version);
        assert_eq!((state(before), state(world.index)), (CopyState::Pending, CopyState::Verified), "{name}");
        let untouched = placements.of(&world.tables, &others).expect("reads");
        assert_eq!(untouched.state(Some(&report(others.version)), others.version), CopyState::Verified, "{name}");
    }
    for step in [Command::UpdateNode(UpdateNode { region: "mars".into(), ..update_node(two, "zwei") }), place(&other, "", &[], None)] {
        let before = Placements::read(&world.tables).expect("reads").of(&world.tables, &asset).expect("reads");
        assert_eq!(world.apply(step), Outcome::Done);
        let after = Placements::read(&world.tables).expect("reads").of(&world.tables, &asset).expect("reads");
        assert_eq!(before, after);
    }
}

fn report(watermark: u64) -> NodeReport {
    NodeReport { node: NodeId(1), incarnation: 1, sequence: 1, watermark, exceptions: Vec::new() }
}

/// Nodes of different releases must find the same: these are for ever.
#[test]
fn nodes_are_found_as_ever() {
    let (world, _) = placing();
    let nodes = world.tables.members().expect("reads");
    let found = |byte: u8, copies| {
        let policy = PlacementPolicy { regions: Vec::new(), copies: Some(copies) };
        let placed = policy.place(BlobHash([byte; 32]), &nodes).0;
        placed.iter().map(|id| nodes.iter().find(|node| node.id == *id).expect("a node").name.clone()).collect::<Vec<_>>()
    };
    let all: Vec<Vec<String>> = (0..6).map(|byte| found(byte, 3)).collect();
    let (one, two, three) = ("one", "two", "three");
    let ever = [[three, two, one], [two, three, one], [two, three, one], [one, two, three], [one, two, three], [three, one, two]];
    assert_eq!(all, ever);
    assert_eq!(found(0, 2), all[0][..2]);
}
