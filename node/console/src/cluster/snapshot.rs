//! What the page of the cluster says that changes by the second, as texts.

use std::{cmp::Reverse, time::Duration};

use ncore_domain::LogEntry;
use ncore_telemetry::{Room, Summary};
use serde::Serialize;

use super::{
    fleet::{Known, Voice},
    nodes::{NodeEvent, NodeNow},
    tail::Shown,
};
use crate::{
    format::{self, UNKNOWN},
    snapshot::{Card, EventRow, Scope, cards, of_total},
};

/// How many events are shown.
const EVENTS_SHOWN: usize = 10;
/// Within how many milliseconds nodes see the same thing.
const SAME_MS: u64 = 10_000;
/// How many nodes that are not heard are named; of the others there is only their number.
const NAMED_MAX: usize = 5;

/// The texts of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClusterSnapshot {
    /// Time of day.
    pub(crate) at: String,
    /// The figures of all nodes that answer together.
    pub(crate) cards: Vec<Card>,
    /// Which nodes answer.
    pub(crate) voices: String,
    /// Their file systems together: used and total.
    pub(crate) storage: String,
    /// Each node.
    pub(crate) nodes: Vec<NodeRow>,
    /// What happened, the newest first.
    pub(crate) events: Vec<EventRow>,
    /// The newest requests, the newest first.
    pub(crate) access: Vec<AccessRow>,
    /// Whose requests are missing there; empty if nobody's are.
    pub(crate) unheard: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NodeRow {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) region: String,
    pub(crate) role: String,
    /// How much somebody should care: `info`, `warning`, `error`.
    pub(crate) level: &'static str,
    pub(crate) status: String,
    /// How old the figures are, if that is to be told.
    pub(crate) age: String,
    /// The figures, in the order of the columns of the page.
    pub(crate) cells: [String; 8],
    /// How many changes it is behind; empty if none.
    pub(crate) lag: String,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AccessRow {
    pub(crate) time: String,
    pub(crate) machine: String,
    pub(crate) node: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The hundreds of its status.
    pub(crate) class: u16,
    pub(crate) status: u16,
    pub(crate) client: String,
    pub(crate) remote: String,
    pub(crate) cache: &'static str,
    /// Bytes sent, and how long it took.
    pub(crate) cells: [String; 2],
}

impl ClusterSnapshot {
    pub(crate) fn of(now_ms: u64, nodes: &[Known], log: &Shown) -> Self {
        let heard =
            || nodes.iter().filter(|node| node.voice == Voice::Heard).filter_map(|node| Some((node, node.said.as_ref()?.0.as_ref())));
        let mut together = Summary::default();
        heard().for_each(|(_, said)| together.add(&said.summary));
        let newest = heard().map(|(_, said)| said.applied).max().unwrap_or(0);
        Self {
            at: format::time(now_ms),
            cards: cards(&together, Scope::Cluster),
            voices: voices(nodes),
            storage: together.storage.map_or_else(|| UNKNOWN.to_owned(), of_total),
            nodes: nodes.iter().map(|node| row(node, newest)).collect(),
            events: events(heard().map(|(node, said)| (node.member.name.as_str(), said))),
            access: log.entries.iter().map(AccessRow::from).collect(),
            unheard: names(log.unheard.iter().map(AsRef::as_ref)),
        }
    }
}

fn voices(nodes: &[Known]) -> String {
    let silent = names(nodes.iter().filter(|node| node.voice != Voice::Heard).map(|node| node.member.name.as_str()));
    let heard = nodes.iter().filter(|node| node.voice == Voice::Heard).count();
    match (nodes.len(), silent.is_empty()) {
        (0, _) => "The nodes are not known yet.".to_owned(),
        (1, true) => "The only node answers.".to_owned(),
        (all, true) => format!("All {all} nodes answer."),
        (all, false) => format!("{heard} of {all} nodes answer. Not heard: {silent}."),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    let further = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    let named = names.join(", ");
    if further == 0 { named } else { format!("{named}, and {further} more") }
}

fn row(node: &Known, newest: u64) -> NodeRow {
    let Known { member, voice, said } = node;
    let (level, status) = status(node);
    let said_now = said.as_ref().map(|(said, _)| said.as_ref());
    let behind = said_now.map_or(0, |said| newest.saturating_sub(said.applied));
    let is_heard = *voice == Voice::Heard;
    NodeRow {
        name: member.name.clone(),
        url: member.url.clone(),
        region: member.region.clone(),
        role: role(node),
        level,
        status,
        age: match said {
            _ if is_heard => String::new(),
            None => "never heard".to_owned(),
            Some((_, age)) => format!("as of {} ago", ago(*age)),
        },
        cells: said_now.map_or_else(|| std::array::from_fn(|_| UNKNOWN.to_owned()), |said| cells(said, &member.software)),
        lag: if is_heard && behind > 0 { format!("{} behind", format::count(behind)) } else { String::new() },
    }
}

/// Revision, bandwidth, requests, hits, processors, memory, storage, software.
fn cells(said: &NodeNow, software: &str) -> [String; 8] {
    let summary = &said.summary;
    let (bandwidth, unit) = format::bytes_s(summary.bytes_s);
    let share = |per_mille: Option<u64>| per_mille.map_or_else(|| UNKNOWN.to_owned(), |share| format!("{} %", format::percent(share)));
    let room = |room: Option<Room>| share(room.and_then(|room| room.used.saturating_mul(1_000).checked_div(room.total)));
    let software = if said.software.is_empty() { software } else { &said.software };
    [
        format::count(said.applied),
        format!("{bandwidth} {unit}"),
        format::rate(summary.requests_s),
        share(summary.hits.per_mille()),
        share(summary.cpu.per_mille()),
        room(summary.memory),
        room(summary.storage),
        software.to_owned(),
    ]
}

fn status(node: &Known) -> (&'static str, String) {
    let fence = node.said.as_ref().and_then(|(said, _)| said.fence.as_deref());
    match (node.voice, fence) {
        (Voice::Away, _) => ("error", "not answering".to_owned()),
        (Voice::Older, _) => ("warning", "older software".to_owned()),
        (Voice::Heard, Some(reason)) => ("warning", format!("fenced: {reason}")),
        (Voice::Heard, None) if node.member.is_draining => ("warning", "draining".to_owned()),
        (Voice::Heard, None) => ("info", "operational".to_owned()),
    }
}

/// What it is to the cluster: of a node that does not answer, what the cluster has it for.
fn role(node: &Known) -> String {
    let said = node.said.as_ref().filter(|_| node.voice == Voice::Heard).map_or("", |(said, _)| said.role.as_str());
    let role = match said {
        "leader" | "candidate" | "learner" => said,
        _ if node.member.is_voter => "voter",
        _ if node.member.is_relay => "relay",
        _ => "edge",
    };
    role.to_owned()
}

fn ago(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// The newest of all nodes. What several saw at about the same time is told once.
fn events<'a>(nodes: impl Iterator<Item = (&'a str, &'a NodeNow)>) -> Vec<EventRow> {
    let mut events: Vec<_> = nodes.flat_map(|(name, said)| said.events.iter().map(move |event| (name, event))).collect();
    events.sort_by_key(|(_, event)| Reverse(event.at_ms));
    let mut told: Vec<(&NodeEvent, Vec<&str>)> = Vec::new();
    for (name, event) in events {
        let is_same = |(known, by): &&mut (&NodeEvent, Vec<&str>)| {
            (&known.kind, &known.about) == (&event.kind, &event.about) && known.at_ms - event.at_ms < SAME_MS && !by.contains(&name)
        };
        match told.iter_mut().find(is_same) {
            Some((_, by)) => by.push(name),
            None => told.push((event, vec![name])),
        }
    }
    told.truncate(EVENTS_SHOWN);
    told.into_iter().map(|(event, by)| EventRow::seen_by(names(by.into_iter()), event)).collect()
}

impl From<&LogEntry> for AccessRow {
    fn from(LogEntry { node, record }: &LogEntry) -> Self {
        let ended_ms = record.ended_us / 1_000;
        let (took, unit) = format::duration(record.took_us);
        Self {
            time: format::time(ended_ms),
            machine: format::machine(ended_ms),
            node: node.name.to_string(),
            method: record.method().to_owned(),
            path: record.path().to_owned(),
            class: record.status / 100,
            status: record.status,
            client: record.client.as_deref().unwrap_or(UNKNOWN).to_owned(),
            remote: record.remote.to_string(),
            cache: record.cache.as_str().unwrap_or(UNKNOWN),
            cells: [format::bytes(record.bytes), format!("{took} {unit}")],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use ncore_telemetry::{Share, Summary};

    use super::ClusterSnapshot;
    use crate::cluster::{
        fleet::{Known, Voice},
        nodes::{Member, NodeEvent, NodeNow},
        tail::Shown,
    };

    fn node(name: &str, voice: Voice, said: Option<NodeNow>) -> Known {
        let member = Member { name: name.to_owned(), is_voter: true, ..Member::default() };
        Known { member, voice, said: said.map(|said| (Arc::new(said), Duration::from_secs(12))) }
    }

    #[test]
    fn figures_are_of_those_who_answer_and_the_others_are_named() {
        let said = |applied, connections, at_ms| {
            let summary = Summary { connections, hits: Share { part: applied, whole: 10 }, ..Summary::default() };
            let events = vec![NodeEvent { at_ms, ..NodeEvent::default() }];
            NodeNow { role: "leader".to_owned(), applied, summary, events, ..NodeNow::default() }
        };
        let nodes = [
            node("a", Voice::Heard, Some(said(9, 1, 5))),
            node("b", Voice::Heard, Some(NodeNow { fence: Some("cut off".to_owned()), ..said(7, 2, 6) })),
            node("c", Voice::Away, Some(said(8, 4, 7))),
            node("d", Voice::Away, None),
            node("e", Voice::Older, None),
        ];
        let snapshot = ClusterSnapshot::of(0, &nodes, &Shown::default());
        let card = |id| snapshot.cards.iter().find(|card| card.id == id).map(|card| card.value.as_str());
        assert_eq!((card("connections"), card("hits")), (Some("3"), Some("80.0")));
        assert_eq!(snapshot.voices, "2 of 5 nodes answer. Not heard: c, d, e.");
        let rows: Vec<_> =
            snapshot.nodes.iter().map(|row| (row.status.as_str(), row.role.as_str(), row.age.as_str(), row.lag.as_str())).collect();
        let expected = [
            ("operational", "leader", "", ""),
            ("fenced: cut off", "leader", "", "2 behind"),
            ("not answering", "voter", "as of 12 s ago", ""),
            ("not answering", "voter", "never heard", ""),
            ("older software", "voter", "never heard", ""),
        ];
        assert_eq!(rows, expected);
        assert_eq!(snapshot.nodes[2].cells[0], "8", "what it said last stays");
        let events: Vec<_> = snapshot.events.iter().map(|event| event.by.as_str()).collect();
        assert_eq!(events, ["b, a"], "what happened is told by who answers, and once");
        assert_eq!(ClusterSnapshot::of(0, &nodes[..1], &Shown::default()).voices, "The only node answers.");
    }
}
