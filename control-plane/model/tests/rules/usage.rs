//! Commands about what clients use: each report counts once, and what is old is forgotten.

use std::collections::BTreeMap;

use ncore_model::{
    ClientId, Command, HourCounts, MAX_USAGE_COUNTS, NodeId, NodeState, Outcome, Query, Rejection, Table, USAGE_DAYS_KEPT,
    USAGE_HOURS_KEPT, UsageCounts, UsageMark, UsageReport, UsageUnit,
};
use proptest::prelude::*;

use crate::{
    Case, check,
    world::{START_MS, World, nobody},
};

const HOUR_MS: u64 = 3_600_000;

pub(crate) fn cases() -> Vec<Case> {
    let (world, client) = metered();
    let reported = |incarnation, sequence| {
        let mut world = world.clone();
        assert_eq!(world.apply(report(incarnation, sequence, &[(&client, hour(0), 1)])), Outcome::Done);
        world
    };
    let mut removed = world.clone();
    assert_eq!(removed.apply(Command::SetNodeState { node: NodeId(1), state: NodeState::Removed }), Outcome::Done);
    let (level_1, early) = World::with_client();
    let many = vec![(&client, hour(0), 1); MAX_USAGE_COUNTS + 1];
    let one = [(&client, hour(0), 1)];
    let unknown = UsageReport { node: NodeId(9), incarnation: 1, sequence: 1, counts: Vec::new() };
    vec![
        Case::new("a report", &world, report(1, 1, &one), Outcome::Done),
        Case::new("as many counts as may be", &world, report(1, 1, &many[1..]), Outcome::Done),
        Case::rejected("one count too many", &world, report(1, 1, &many), Rejection::FieldTooLong),
        Case::new("of nobody", &world, report(1, 1, &[(&nobody(), hour(0), 1)]), Outcome::Done),
        Case::new("the next", &reported(1, 1), report(1, 2, &one), Outcome::Done),
        Case::new("of a later life", &reported(1, 7), report(2, 1, &one), Outcome::Done),
        Case::rejected("the same again", &reported(1, 7), report(1, 7, &one), Rejection::Superseded),
        Case::rejected("an earlier one", &reported(1, 7), report(1, 6, &one), Rejection::Superseded),
        Case::rejected("of an earlier life", &reported(2, 1), report(1, 7, &one), Rejection::Superseded),
        Case::rejected("of no node", &world, Command::ReportUsage(unknown), Rejection::NodeUnknown),
        Case::rejected("of a removed node", &removed, report(1, 1, &one), Rejection::NodeRemoved(NodeId(1))),
        Case::rejected("too early", &level_1, report(1, 1, &[(&early, hour(0), 1)]), Rejection::SchemaTooLow { needed: 5, level: 1 }),
    ]
}

#[test]
fn usage_commands() {
    check(cases());
}

#[test]
fn counts_are_summed_up_by_hour_and_by_day() {
    let (mut world, client) = metered();
    let this_hour = hour(0);
    let counts = [(&client, this_hour, 3), (&client, this_hour - 1, 4), (&client, this_hour, 5), (&nobody(), this_hour, 6)];
    assert_eq!(world.apply(report(1, 1, &counts)), Outcome::Done);
    // A clock that is ahead counts in the hour that the log has reached.
    assert_eq!(world.apply(report(1, 2, &[(&client, this_hour + 9, 7)])), Outcome::Done);
    let usage = |unit, from, until| -> Vec<(u32, u64)> {
        let rows = world.tables.usage(&client, unit, from, until).expect("reads");
        rows.into_iter().map(|(number, counts)| (number, counts.requests())).collect()
    };
    assert_eq!(usage(UsageUnit::Hour, 0, u32::MAX), [(this_hour - 1, 4), (this_hour, 15)]);
    assert_eq!(usage(UsageUnit::Hour, this_hour - 1, this_hour), [(this_hour - 1, 4)]);
    assert_eq!(usage(UsageUnit::Hour, this_hour, this_hour), []);
    assert_eq!(usage(UsageUnit::Day, 0, u32::MAX), [(this_hour / 24, 19)]);
    assert_eq!(world.tables.usage(&nobody(), UsageUnit::Hour, 0, u32::MAX).expect("reads"), []);
    assert_eq!(world.tables.usage_mark(NodeId(1)).expect("reads"), Some(UsageMark { incarnation: 1, sequence: 2 }));
}

/// Whatever the time, a client has no more rows than are kept, and what is older counts no more.
#[test]
fn what_is_old_is_forgotten() {
    let (mut world, client) = metered();
    let hours = USAGE_DAYS_KEPT * 24 + 100;
    for later in 0..hours {
        world.now_ms = START_MS + u64::from(later) * HOUR_MS;
        assert_eq!(world.apply(report(1, u64::from(later) + 1, &[(&client, hour(later), 1)])), Outcome::Done);
        let (hours, days) = (world.table(Table::UsageHours).len(), world.table(Table::UsageDays).len());
        assert!(hours <= USAGE_HOURS_KEPT as usize && days <= USAGE_DAYS_KEPT as usize, "{hours} hours, {days} days");
    }
    assert_eq!(world.table(Table::UsageHours).len(), USAGE_HOURS_KEPT as usize);
    let newest = hour(hours - 1);
    let late = report(1, u64::from(hours) + 1, &[(&client, newest - USAGE_HOURS_KEPT, 1), (&client, 0, 1)]);
    assert_eq!(world.apply(late), Outcome::Done);
    let kept = world.tables.usage(&client, UsageUnit::Hour, 0, u32::MAX).expect("reads");
    assert_eq!(kept.first().map(|(hour, _)| *hour), Some(newest - USAGE_HOURS_KEPT + 1));
    let day = world.tables.usage(&client, UsageUnit::Day, (newest - USAGE_HOURS_KEPT) / 24, newest / 24 - 12).expect("reads");
    assert_eq!(day.first().map(|(_, counts)| counts.requests()), Some(25), "the day still counts it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Reports that are delivered twice, late or not at all, of nodes that start anew: no more is counted than was reported, and all of it
    /// if each node's came in their order.
    #[test]
    fn no_report_counts_twice(
        deliveries in prop::collection::vec((0u64..3, 0u64..3, 1u64..6), 1..60),
        in_order in any::<bool>(),
    ) {
        let (mut world, client) = metered();
        let nodes = [NodeId(1), world.node("two", ncore_model::SchemaRange::BUILD), world.node("three", ncore_model::SchemaRange::BUILD)];
        let mut deliveries = deliveries;
        if in_order {
            deliveries.sort_unstable();
        }
        // What a report holds follows from which it is: as with a node, which never makes it anew.
        let amount = |(node, incarnation, sequence): (u64, u64, u64)| 1 + node * 100 + incarnation * 10 + sequence;
        let (mut made, mut newest) = (BTreeMap::new(), BTreeMap::new());
        let mut expected = 0;
        for delivery in deliveries {
            let (node, incarnation, sequence) = delivery;
            let node_id = nodes[usize::try_from(node).expect("small")];
            let counts = vec![HourCounts { client: client.clone(), hour: hour(0), counts: requests(amount(delivery)) }];
            world.apply(Command::ReportUsage(UsageReport { node: node_id, incarnation, sequence, counts }));
            made.insert(delivery, amount(delivery));
            if newest.get(&node).is_none_or(|newest| *newest < (incarnation, sequence)) {
                newest.insert(node, (incarnation, sequence));
                expected += amount(delivery);
            }
        }
        let counted: u64 = world.tables.usage(&client, UsageUnit::Day, 0, u32::MAX).expect("reads").iter().map(|(_, counts)| counts.requests()).sum();
        let truth: u64 = made.values().sum();
        prop_assert_eq!(counted, expected);
        prop_assert!(counted <= truth, "{} of {}", counted, truth);
        prop_assert!(!in_order || counted == truth, "{} of {}", counted, truth);
    }
}

/// A cluster at level 5 with a client.
fn metered() -> (World, ClientId) {
    let (mut world, client) = World::with_client();
    for level in 2..=5 {
        assert_eq!(world.apply(Command::RaiseSchema { level }), Outcome::Done);
    }
    (world, client)
}

/// The hour that is so much later than the beginning.
fn hour(later: u32) -> u32 {
    u32::try_from(START_MS / HOUR_MS).expect("fits") + later
}

fn requests(count: u64) -> UsageCounts {
    UsageCounts { statuses: [count, 0, 0, 0], ..UsageCounts::default() }
}

/// A report of node 1.
fn report(incarnation: u64, sequence: u64, counts: &[(&ClientId, u32, u64)]) -> Command {
    let counts = counts.iter().map(|(client, hour, count)| HourCounts { client: (*client).clone(), hour: *hour, counts: requests(*count) });
    Command::ReportUsage(UsageReport { node: NodeId(1), incarnation, sequence, counts: counts.collect() })
}
