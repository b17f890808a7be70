//! Commands about nodes and join tokens.

use ncore_model::{
    AddNode, Command, CreateJoinToken, Exception, ExceptionState, JoinTokenId, MAX_EXCEPTIONS, NodeId, NodeReport, NodeState, Outcome,
    Query, Rejection, SchemaRange, UpdateNode,
};

use crate::{
    Case, check,
    world::{LONG, OLD, World, add_node, create_token, update_node},
};

pub(crate) fn cases() -> Vec<Case> {
    [joining(), tokens(), updates(), states(), duties(), reports()].into_iter().flatten().collect()
}

fn joining() -> Vec<Case> {
    let mut world = World::cluster();
    let id = world.token();
    let next = NodeId(world.index + 1);
    let join = |node: AddNode| Command::AddNode(node);
    let long = |add: AddNode| Case::rejected("a long text", &world, join(add), Rejection::FieldTooLong);

    let mut spent = world.clone();
    assert!(matches!(spent.apply(join(add_node(id, "two"))), Outcome::NodeAdded(_)));
    let mut removed = spent.clone();
    assert_eq!(removed.apply(Command::SetNodeState { node: next, state: NodeState::Removed }), Outcome::Done);
    removed.token();
    let mut expired = world.clone();
    expired.now_ms += 3_600_000 - 1;
    let mut last_moment = world.clone();
    last_moment.now_ms += 3_600_000 - 2;
    let mut bound = World::cluster();
    assert_eq!(bound.apply(Command::CreateJoinToken(CreateJoinToken { region: Some("us".into()), ..create_token(1) })), Outcome::Done);
    let mut level_2 = world.clone();
    assert_eq!(level_2.apply(Command::RaiseSchema { level: 2 }), Outcome::Done);
    let after = NodeId(level_2.index + 1);

    let there = AddNode { region: "us".into(), ..add_node(id, "two") };
    let text = || "x".repeat(LONG);
    vec![
        Case::new("a node", &world, join(add_node(id, "two")), Outcome::NodeAdded(next)),
        Case::rejected("without a token", &World::cluster(), join(add_node(id, "two")), Rejection::TokenUnknown),
        Case::rejected("with a spent token", &spent, join(add_node(id, "three")), Rejection::TokenSpent),
        Case::rejected("the moment it expires", &expired, join(add_node(id, "two")), Rejection::TokenExpired),
        Case::new("the moment before", &last_moment, join(add_node(id, "two")), Outcome::NodeAdded(next)),
        Case::rejected("from another region", &bound, join(add_node(id, "two")), Rejection::TokenRegion),
        Case::new("from the right region", &bound, join(there), Outcome::NodeAdded(NodeId(bound.index + 1))),
        Case::rejected("under a name that is taken", &world, join(add_node(id, "one")), Rejection::NodeNameTaken),
        Case::new("under the name of a removed node", &removed, join(add_node(id, "two")), Outcome::NodeAdded(NodeId(removed.index + 1))),
        Case::rejected(
            "of an old release",
            &level_2,
            join(AddNode { schema: OLD, ..add_node(id, "two") }),
            Rejection::SchemaUnsupported { node: after, level: 2 },
        ),
        long(AddNode { name: text(), ..add_node(id, "two") }),
        long(AddNode { region: text(), ..add_node(id, "two") }),
        long(AddNode { cluster_address: text(), ..add_node(id, "two") }),
        long(AddNode { http_address: text(), ..add_node(id, "two") }),
        long(AddNode { software: text(), ..add_node(id, "two") }),
    ]
}

fn tokens() -> Vec<Case> {
    let mut world = World::cluster();
    let id = world.token();
    let nowhere = CreateJoinToken { region: Some("x".repeat(LONG)), ..create_token(1) };
    vec![
        Case::new("a token", &world, Command::CreateJoinToken(create_token(3)), Outcome::Done),
        Case::rejected("a token for a long region", &world, Command::CreateJoinToken(nowhere), Rejection::FieldTooLong),
        Case::new("revoking", &world, Command::RevokeJoinToken { id }, Outcome::Done),
        Case::rejected("revoking nothing", &world, Command::RevokeJoinToken { id: JoinTokenId([9; 16]) }, Rejection::TokenUnknown),
    ]
}

fn updates() -> Vec<Case> {
    let mut world = World::cluster();
    let two = world.node("two", OLD);
    let mut removed = world.clone();
    assert_eq!(removed.apply(Command::SetNodeState { node: two, state: NodeState::Removed }), Outcome::Done);
    let mut restarted = world.clone();
    let second = UpdateNode { incarnation: 2, ..update_node(two, "two") };
    assert_eq!(restarted.apply(Command::UpdateNode(second.clone())), Outcome::Done);
    let mut level_2 = restarted.clone();
    assert_eq!(level_2.apply(Command::RaiseSchema { level: 2 }), Outcome::Done);

    let update = |node: UpdateNode| Command::UpdateNode(node);
    vec![
        Case::new("another name", &world, update(update_node(two, "zwei")), Outcome::Done),
        Case::new("the same name", &world, update(update_node(two, "two")), Outcome::Done),
        Case::new("the same start once more", &restarted, update(second.clone()), Outcome::Done),
        Case::rejected("an older start", &restarted, update(update_node(two, "two")), Rejection::Superseded),
        Case::rejected("a name that is taken", &world, update(update_node(two, "one")), Rejection::NodeNameTaken),
        Case::new("the name of a removed node", &removed, update(update_node(NodeId(1), "two")), Outcome::Done),
        Case::rejected("nobody", &world, update(update_node(NodeId(99), "x")), Rejection::NodeUnknown),
        Case::rejected("a removed node", &removed, update(update_node(two, "two")), Rejection::NodeRemoved(two)),
        Case::rejected(
            "an older release than the level needs",
            &level_2,
            update(UpdateNode { schema: OLD, ..second }),
            Rejection::SchemaUnsupported { node: two, level: 2 },
        ),
        Case::rejected(
            "a long text",
            &world,
            update(UpdateNode { http_address: "x".repeat(LONG), ..update_node(two, "two") }),
            Rejection::FieldTooLong,
        ),
    ]
}

fn states() -> Vec<Case> {
    let mut world = World::cluster();
    let two = world.node("two", OLD);
    let set = |node, state| Command::SetNodeState { node, state };
    let mut removed = world.clone();
    assert_eq!(removed.apply(set(two, NodeState::Removed)), Outcome::Done);
    vec![
        Case::new("draining", &world, set(two, NodeState::Draining), Outcome::Done),
        Case::new("removing", &world, set(two, NodeState::Removed), Outcome::Done),
        Case::rejected("bringing a removed node back", &removed, set(two, NodeState::Active), Rejection::NodeRemoved(two)),
        Case::rejected("nobody", &world, set(NodeId(99), NodeState::Active), Rejection::NodeUnknown),
    ]
}

/// Whether a node votes and whether it passes the log on, of which only level 3 may speak.
fn duties() -> Vec<Case> {
    let mut world = World::cluster();
    let two = world.node("two", SchemaRange::BUILD);
    let level_1 = world.clone();
    for level in 2..=3 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    let mut removed = world.clone();
    assert_eq!(removed.apply(Command::SetNodeState { node: two, state: NodeState::Removed }), Outcome::Done);
    let voter = |node, voter| Command::SetVoter { node, voter };
    let relay = |node, relay| Command::SetRelay { node, relay };
    let too_low = Rejection::SchemaTooLow { needed: 3, level: 1 };
    vec![
        Case::new("a voter", &world, voter(two, true), Outcome::Done),
        Case::new("no voter", &world, voter(two, false), Outcome::Done),
        Case::rejected("a voter that is nobody", &world, voter(NodeId(99), true), Rejection::NodeUnknown),
        Case::rejected("a voter that is removed", &removed, voter(two, true), Rejection::NodeRemoved(two)),
        Case::rejected("a voter too early", &level_1, voter(two, true), too_low.clone()),
        Case::new("a relay", &world, relay(two, true), Outcome::Done),
        Case::new("no relay", &world, relay(two, false), Outcome::Done),
        Case::rejected("a relay that is nobody", &world, relay(NodeId(99), true), Rejection::NodeUnknown),
        Case::rejected("a relay that is removed", &removed, relay(two, true), Rejection::NodeRemoved(two)),
        Case::rejected("a relay too early", &level_1, relay(two, true), too_low),
    ]
}

#[test]
fn duties_are_kept_until_they_end() {
    let mut world = World::cluster();
    let two = world.node("two", SchemaRange::BUILD);
    for level in 2..=3 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    let votes = |world: &World| world.tables.node(two).expect("reads").is_some_and(|node| node.voter);
    for voter in [false, true] {
        assert_eq!(world.apply(Command::SetVoter { node: two, voter }), Outcome::Done);
        assert_eq!(votes(&world), voter);
    }
    for (relay, expected) in [(true, vec![two]), (false, Vec::new()), (true, vec![two])] {
        assert_eq!(world.apply(Command::SetRelay { node: two, relay }), Outcome::Done);
        assert_eq!(world.tables.relays().expect("reads"), expected);
    }
    assert_eq!(world.apply(Command::SetNodeState { node: two, state: NodeState::Removed }), Outcome::Done);
    assert_eq!(world.tables.relays().expect("reads"), []);
}

/// A release that does not know a table and one that does agree on the hash of a state that has no row of it.
#[test]
fn a_later_table_counts_once_it_has_a_row() {
    let mut world = World::cluster();
    for level in 2..=3 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    let before = ncore_model::state_hash(&world.tables).expect("reads");
    let mut with_row = world.tables.clone();
    ncore_model::Tables::put(&mut with_row, ncore_model::Table::Relays, &1u64.to_be_bytes(), Vec::new());
    assert_ne!(ncore_model::state_hash(&with_row).expect("reads"), before);
}

fn report(incarnation: u64, sequence: u64) -> NodeReport {
    NodeReport { node: NodeId(1), incarnation, sequence, watermark: 10, exceptions: Vec::new() }
}

fn reports() -> Vec<Case> {
    let mut world = World::cluster();
    assert_eq!(world.apply(Command::ReportHoldings(report(2, 5))), Outcome::Done);
    let two = world.node("two", OLD);
    assert_eq!(world.apply(Command::SetNodeState { node: two, state: NodeState::Removed }), Outcome::Done);
    let exceptions = |count| vec![Exception { version: 1, state: ExceptionState::Missing }; count];
    let say = |report: NodeReport| Command::ReportHoldings(report);
    vec![
        Case::new("the next report", &world, say(report(2, 6)), Outcome::Done),
        Case::new("the first report of the next life", &world, say(report(3, 1)), Outcome::Done),
        Case::rejected("the same report", &world, say(report(2, 5)), Rejection::Superseded),
        Case::rejected("an older report", &world, say(report(2, 4)), Rejection::Superseded),
        Case::rejected("a report of an earlier life", &world, say(report(1, 9)), Rejection::Superseded),
        Case::rejected("nobody's", &world, say(NodeReport { node: NodeId(99), ..report(1, 1) }), Rejection::NodeUnknown),
        Case::rejected("a removed node's", &world, say(NodeReport { node: two, ..report(1, 1) }), Rejection::NodeRemoved(two)),
        Case::new(
            "as many exceptions as it may have",
            &world,
            say(NodeReport { exceptions: exceptions(MAX_EXCEPTIONS), ..report(2, 6) }),
            Outcome::Done,
        ),
        Case::rejected(
            "one more",
            &world,
            say(NodeReport { exceptions: exceptions(MAX_EXCEPTIONS + 1), ..report(2, 6) }),
            Rejection::TooManyExceptions,
        ),
    ]
}

#[test]
fn node_commands() {
    check(cases());
}

#[test]
fn a_token_is_good_for_as_many_nodes_as_it_says() {
    let mut world = World::cluster();
    let token = CreateJoinToken { voter: false, ..create_token(2) };
    let id = token.id;
    assert_eq!(world.apply(Command::CreateJoinToken(token)), Outcome::Done);
    for name in ["two", "three"] {
        let Outcome::NodeAdded(node) = world.apply(Command::AddNode(add_node(id, name))) else { panic!("{name} did not join") };
        let node = world.tables.node(node).expect("reads").expect("is there");
        assert_eq!((node.name.as_str(), node.voter, node.state), (name, false, NodeState::Active));
    }
    assert_eq!(world.apply(Command::AddNode(add_node(id, "four"))), Outcome::Rejected(Rejection::TokenSpent));
}

/// A joiner that lost the answer asks again with the same request, and gets it though the token is spent.
#[test]
fn a_lost_answer_to_a_joiner_is_given_again() {
    let mut world = World::cluster();
    let id = world.token();
    let request = world.next_request();
    let first = world.propose(request, None, Command::AddNode(add_node(id, "two")));
    assert!(matches!(first.outcome, Outcome::NodeAdded(_)));
    assert_eq!(world.propose(request, None, Command::AddNode(add_node(id, "two"))), first);
}

/// Expired tokens do not stay for ever.
#[test]
fn a_new_token_sweeps_expired_ones_away() {
    let mut world = World::cluster();
    world.token();
    world.now_ms += 3_600_000;
    let fresh = CreateJoinToken { id: JoinTokenId([8; 16]), ..create_token(1) };
    assert_eq!(world.apply(Command::CreateJoinToken(fresh)), Outcome::Done);
    let left: Vec<_> = world.tables.join_tokens().expect("reads").into_iter().map(|token| token.id).collect();
    assert_eq!(left, [JoinTokenId([8; 16])]);
}

#[test]
fn a_removed_node_leaves_its_row_and_no_report() {
    let mut world = World::cluster();
    let two = world.node("two", OLD);
    assert_eq!(world.apply(Command::ReportHoldings(NodeReport { node: two, ..report(1, 1) })), Outcome::Done);
    assert!(world.tables.report(two).expect("reads").is_some());
    assert_eq!(world.apply(Command::SetNodeState { node: two, state: NodeState::Removed }), Outcome::Done);
    assert_eq!(world.tables.report(two).expect("reads"), None);
    assert_eq!(world.tables.node(two).expect("reads").map(|node| node.state), Some(NodeState::Removed));
    assert_eq!(world.tables.members().expect("reads").len(), 1);
}
