//! What the page says that changes by the second, as texts: rendered into the page, and sent to those who stay.

use ncore_telemetry::{AccessLog, Event, Events, History, PublicCount, Room, Summary};
use serde::Serialize;

use crate::{
    cluster::nodes::NodeEvent,
    format::{self, UNKNOWN},
    spark,
};

/// How many events are shown.
const EVENTS_SHOWN: usize = 8;
/// How many lines of the log of access are shown.
const LOG_SHOWN: usize = 12;

/// The texts of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Snapshot {
    /// Time of day.
    pub(crate) at: String,
    /// The figures.
    pub(crate) cards: Vec<Card>,
    /// What happened, the newest first.
    pub(crate) events: Vec<EventRow>,
    /// What was answered, the newest first.
    pub(crate) log: Vec<LogRow>,
    /// The file system of the data: used and total.
    pub(crate) storage: String,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Card {
    /// Its id in the page.
    pub(crate) id: &'static str,
    /// What it is.
    #[serde(skip)]
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) unit: String,
    /// What it is to be compared with.
    pub(crate) note: String,
    /// The path of its line over the last minute; empty where there is none.
    pub(crate) line: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EventRow {
    pub(crate) time: String,
    pub(crate) machine: String,
    pub(crate) level: String,
    pub(crate) kind: String,
    pub(crate) about: String,
    /// The nodes that saw it; empty if that is this one.
    pub(crate) by: String,
}

/// Requests of one kind, with alike statuses, that ended in one second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LogRow {
    pub(crate) time: String,
    pub(crate) machine: String,
    /// What they were for.
    pub(crate) path: &'static str,
    /// The hundreds of their status.
    pub(crate) class: u16,
    /// The same as text.
    pub(crate) status: String,
    /// How many, the share of hits, and bytes.
    pub(crate) cells: [String; 3],
}

impl Snapshot {
    pub(crate) fn of(history: &History, events: &Events, access: &AccessLog) -> Self {
        let summary = history.summary();
        Self {
            at: format::time(summary.at_ms),
            cards: cards(&summary, Scope::Node),
            events: events.newest(EVENTS_SHOWN).into_iter().map(EventRow::from).collect(),
            log: access.public(LOG_SHOWN).into_iter().map(LogRow::from).collect(),
            storage: summary.storage.map_or_else(|| UNKNOWN.to_owned(), of_total),
        }
    }
}

pub(crate) fn of_total(room: Room) -> String {
    format!("{} / {}", format::bytes(room.used), format::bytes(room.total))
}

/// Whose figures they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This node's.
    Node,
    /// Those of all nodes that answer, together.
    Cluster,
}

pub(crate) fn cards(summary: &Summary, scope: Scope) -> Vec<Card> {
    let unknown = || UNKNOWN.to_owned();
    let (bandwidth, bandwidth_unit) = format::bytes_s(summary.bytes_s);
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let (peak, peak_unit) = format::bytes_s(summary.peak_bytes_s as f64);
    let (mean, mean_unit) = summary.latency.mean_us().map_or((unknown(), ""), format::duration);
    let p99 = summary.latency.quantile_us(990).map(format::duration).map_or_else(unknown, |(p99, unit)| format!("{p99} {unit}"));
    let share = |room: Option<Room>| room.and_then(|room| room.used.saturating_mul(1_000).checked_div(room.total));
    let per_cent = |share: Option<u64>| share.map_or_else(|| (unknown(), String::new()), |share| (format::percent(share), "%".to_owned()));
    let card = |id, label, (value, unit): (String, String), note, line| Card { id, label, value, unit, note, line };
    let plain = |value| (value, String::new());
    let (peak_of, machines) = match scope {
        Scope::Node => ("peak", "of the machine"),
        Scope::Cluster => ("peak of a node", "of all machines"),
    };
    vec![
        card(
            "bandwidth",
            "Bandwidth out",
            (bandwidth, bandwidth_unit),
            format!("{peak_of} {peak} {peak_unit}"),
            spark::path(&summary.line_bytes, 0),
        ),
        card(
            "requests",
            "Requests per second",
            plain(format::rate(summary.requests_s)),
            trend(summary),
            spark::path(&summary.line_requests, 0),
        ),
        card(
            "connections",
            "Active connections",
            plain(format::count(summary.connections)),
            format!("limit {}", format::count(summary.connections_max)),
            spark::path(&summary.line_connections, 0),
        ),
        card("cpu", "CPU load", per_cent(summary.cpu.per_mille()), machines.to_owned(), spark::path(&summary.line_cpu, 1_000)),
        card("hits", "Cache hit rate", per_cent(summary.hits.per_mille()), "assets, last 5 min".to_owned(), String::new()),
        card("latency", "Average latency", (mean, mean_unit.to_owned()), format!("p99 {p99}, last 5 min"), String::new()),
        card("errors", "Errors, 5 min", plain(format::count(summary.errors)), errors_before(summary), String::new()),
        card("memory", "RAM used", per_cent(share(summary.memory)), summary.memory.map_or_else(unknown, of_total), String::new()),
    ]
}

fn trend(summary: &Summary) -> String {
    let Some(trend) = summary.trend else { return "no earlier traffic".to_owned() };
    let before = if trend.minutes == 60 { "prev. hour".to_owned() } else { format!("prev. {} min", trend.minutes) };
    match trend.percent(summary.requests_s).round() {
        0.0 => format!("level with {before}"),
        more if more > 0.0 => format!("↑ {more:.0} % vs {before}"),
        less => format!("↓ {:.0} % vs {before}", -less),
    }
}

fn errors_before(summary: &Summary) -> String {
    summary.errors_before.map_or_else(|| "no earlier figure".to_owned(), |errors| format!("prev. 5 min: {}", format::count(errors)))
}

impl From<Event> for EventRow {
    fn from(event: Event) -> Self {
        let Event { at_ms, kind, about } = event;
        let (level, kind) = (kind.level().as_str().to_owned(), kind.as_str().to_owned());
        Self { time: format::time(at_ms), machine: format::machine(at_ms), level, kind, about, by: String::new() }
    }
}

impl EventRow {
    /// What these nodes of the cluster told.
    pub(crate) fn seen_by(nodes: String, event: &NodeEvent) -> Self {
        let NodeEvent { at_ms, level, kind, about } = event.clone();
        Self { time: format::time(at_ms), machine: format::machine(at_ms), level, kind, about, by: nodes }
    }
}

impl From<PublicCount> for LogRow {
    fn from(count: PublicCount) -> Self {
        let at_ms = count.at_s.saturating_mul(1_000);
        let share = (count.hits * 1_000).checked_div(count.hits + count.misses);
        let hits = match share {
            None => UNKNOWN.to_owned(),
            Some(1_000) => "HIT".to_owned(),
            Some(0) => "MISS".to_owned(),
            Some(share) => format!("{} % HIT", format::percent(share)),
        };
        Self {
            time: format::time(at_ms),
            machine: format::machine(at_ms),
            path: count.class.as_str(),
            class: count.status_class,
            status: format!("{}xx", count.status_class),
            cells: [format::count(count.requests), hits, format::bytes(count.bytes)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LogRow, Snapshot};
    use crate::format::UNKNOWN;
    use ncore_telemetry::{AccessLog, EventKind, Events, History, Machine, PathClass, PublicCount, Room, Sample};

    fn value<'a>(snapshot: &'a Snapshot, id: &str) -> (&'a str, &'a str, &'a str) {
        let card = snapshot.cards.iter().find(|card| card.id == id).expect("a card");
        (&card.value, &card.unit, &card.note)
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let snapshot = Snapshot::of(&History::default(), &Events::default(), &AccessLog::default());
        for id in ["cpu", "hits", "latency", "memory"] {
            assert_eq!(value(&snapshot, id).0, UNKNOWN, "{id}");
        }
        assert_eq!(snapshot.storage, UNKNOWN);
        assert!(snapshot.log.is_empty() && snapshot.events.is_empty());
    }

    #[test]
    fn what_was_answered_in_a_second() {
        let count = |hits, misses| PublicCount {
            at_s: 86_400,
            class: PathClass::Public,
            status_class: 2,
            requests: 1_000,
            hits,
            misses,
            bytes: 5_000_000,
        };
        for (hits, misses, said) in [(0, 0, UNKNOWN), (9, 0, "HIT"), (0, 9, "MISS"), (9, 1, "90.0 % HIT")] {
            let row = LogRow::from(count(hits, misses));
            assert_eq!((row.time.as_str(), row.path, row.status.as_str()), ("00:00:00", "/pub/*", "2xx"));
            assert_eq!(row.cells, ["1\u{202f}000", said, "5.00 MB"]);
        }
    }

    #[test]
    fn figures_are_those_of_the_samples() {
        let history = History::default();
        let machine = |cpu_busy, cpu_all| Some(Machine { cpu_busy, cpu_all, memory: Room { used: 412, total: 1_000 } });
        let mut sample = Sample { at_ms: 10_000, connections_max: 8_192, machine: machine(100, 1_000), ..Sample::default() };
        history.push(sample);
        sample = Sample { at_ms: 20_000, requests: 100, hits: 9, misses: 1, sent_bytes: 5_000_000, connections: 1_247, ..sample };
        sample.statuses = [0, 90, 5, 3, 2];
        sample.machine = machine(280, 2_000);
        history.push(sample);
        let events = Events::default();
        events.push(EventKind::Fenced, "lost touch");
        let snapshot = Snapshot::of(&history, &events, &AccessLog::default());
        assert_eq!(value(&snapshot, "bandwidth"), ("500", "KB/s", "peak 500 KB/s"));
        assert_eq!(value(&snapshot, "connections"), ("1\u{202f}247", "", "limit 8\u{202f}192"));
        assert_eq!(value(&snapshot, "hits").0, "90.0");
        assert_eq!(value(&snapshot, "cpu").0, "18.0");
        assert_eq!(value(&snapshot, "memory").0, "41.2");
        assert_eq!(value(&snapshot, "errors"), ("2", "", "no earlier figure"));
        assert_eq!((snapshot.events[0].kind.as_str(), snapshot.events[0].level.as_str()), ("fenced", "warning"));
    }
}
