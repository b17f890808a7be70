//! Figures as messages, and back. What another node says is bounded here again: it may be of another version.

use ncore_console::{EVENTS_TOLD, LINE_TOLD, NodeEvent, NodeNow};
use ncore_proto::figures::v1::{self as wire, NowReply};
use ncore_telemetry::{LatencyCounts, Room, Share, Summary, Trend};

/// The most characters that are kept of a text of another node.
const TEXT_MAX: usize = 200;

pub(super) fn reply_of(now: NodeNow) -> NowReply {
    let event = |NodeEvent { at_ms, level, kind, about }: NodeEvent| wire::Event { at_ms, level, kind, about };
    NowReply {
        role: now.role,
        applied: now.applied,
        fence: now.fence.unwrap_or_default(),
        software: now.software,
        uptime_s: now.uptime_s,
        summary: Some(summary_of(now.summary)),
        events: now.events.into_iter().map(event).collect(),
    }
}

fn summary_of(summary: Summary) -> wire::Summary {
    let room = |room: Room| wire::Part { part: room.used, whole: room.total };
    let share = |share: Share| wire::Part { part: share.part, whole: share.whole };
    wire::Summary {
        at_ms: summary.at_ms,
        connections: summary.connections,
        connections_max: summary.connections_max,
        memory: summary.memory.map(room),
        storage: summary.storage.map(room),
        bytes_s: summary.bytes_s,
        peak_bytes_s: summary.peak_bytes_s,
        requests_s: summary.requests_s,
        trend: summary.trend.map(|Trend { before_s, minutes }| wire::Trend { before_s, minutes }),
        hits: Some(share(summary.hits)),
        latency: summary.latency.buckets().map(|(_, count)| count).collect(),
        latency_sum_us: summary.latency.sum_us(),
        errors: summary.errors,
        errors_before: summary.errors_before,
        cpu: Some(share(summary.cpu)),
        line_bytes: line(summary.line_bytes),
        line_requests: line(summary.line_requests),
        line_connections: line(summary.line_connections),
        line_cpu: line(summary.line_cpu),
    }
}

pub(super) fn of_reply(reply: NowReply) -> NodeNow {
    let event = |wire::Event { at_ms, level, kind, about }: wire::Event| NodeEvent {
        at_ms,
        level: text(&level),
        kind: text(&kind),
        about: text(&about),
    };
    NodeNow {
        role: text(&reply.role),
        applied: reply.applied,
        fence: Some(text(&reply.fence)).filter(|reason| !reason.is_empty()),
        software: text(&reply.software),
        uptime_s: reply.uptime_s,
        summary: of_summary(reply.summary.unwrap_or_default()),
        events: reply.events.into_iter().take(EVENTS_TOLD).map(event).collect(),
    }
}

fn of_summary(summary: wire::Summary) -> Summary {
    let room = |part: wire::Part| Room { used: part.part, total: part.whole };
    let share = |part: Option<wire::Part>| part.map_or_else(Share::default, |part| Share { part: part.part, whole: part.whole });
    let positive = |rate: f64| if rate.is_finite() { rate.max(0.0) } else { 0.0 };
    let trend = summary.trend.filter(|trend| trend.before_s.is_finite() && trend.before_s > 0.0);
    Summary {
        at_ms: summary.at_ms,
        connections: summary.connections,
        connections_max: summary.connections_max,
        memory: summary.memory.map(room),
        storage: summary.storage.map(room),
        bytes_s: positive(summary.bytes_s),
        peak_bytes_s: summary.peak_bytes_s,
        requests_s: positive(summary.requests_s),
        trend: trend.map(|trend| Trend { before_s: trend.before_s, minutes: trend.minutes.min(60) }),
        hits: share(summary.hits),
        latency: LatencyCounts::of_parts(&summary.latency, summary.latency_sum_us),
        errors: summary.errors,
        errors_before: summary.errors_before,
        cpu: share(summary.cpu),
        line_bytes: line(summary.line_bytes),
        line_requests: line(summary.line_requests),
        line_connections: line(summary.line_connections),
        line_cpu: line(summary.line_cpu),
    }
}

/// The newest points.
fn line(mut points: Vec<u64>) -> Vec<u64> {
    points.drain(..points.len().saturating_sub(LINE_TOLD));
    points
}

fn text(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ncore_console::{NodeEvent, NodeNow};
    use ncore_telemetry::{Latency, Room, Share, Summary, Trend};

    use super::{TEXT_MAX, of_reply, reply_of};

    #[test]
    fn nothing_is_lost_on_the_wire() {
        let latency = Latency::default();
        [1, 20, 300_000].into_iter().for_each(|ms| latency.record(Duration::from_millis(ms)));
        let room = Some(Room { used: 1, total: 2 });
        let share = Share { part: 3, whole: 4 };
        let summary = Summary {
            at_ms: 1,
            connections: 2,
            connections_max: 3,
            memory: room,
            storage: room,
            bytes_s: 1.5,
            peak_bytes_s: 4,
            requests_s: 2.5,
            trend: Some(Trend { before_s: 0.5, minutes: 60 }),
            hits: share,
            latency: latency.counts(),
            errors: 5,
            errors_before: Some(6),
            cpu: share,
            line_bytes: vec![1, 2],
            line_requests: vec![3],
            line_connections: vec![4],
            line_cpu: vec![5],
        };
        let events = vec![NodeEvent { at_ms: 1, level: "info".to_owned(), kind: "started".to_owned(), about: "x".to_owned() }];
        let (role, software) = ("leader".to_owned(), "1".to_owned());
        let now = NodeNow { role, applied: 9, fence: Some("cut off".to_owned()), software, uptime_s: 7, summary, events };
        assert_eq!(of_reply(reply_of(now.clone())), now);
        assert_eq!(of_reply(reply_of(NodeNow::default())), NodeNow::default());
    }

    #[test]
    fn what_another_node_says_is_bounded() {
        let summary = Summary { line_bytes: vec![1; 1_000], bytes_s: f64::NAN, requests_s: -1.0, ..Summary::default() };
        let mut reply = reply_of(NodeNow { summary, ..NodeNow::default() });
        reply.role = "x".repeat(1_000);
        reply.events = vec![ncore_proto::figures::v1::Event::default(); 1_000];
        let now = of_reply(reply);
        assert_eq!((now.role.len(), now.summary.line_bytes.len(), now.events.len()), (TEXT_MAX, 60, 16));
        assert_eq!((now.summary.bytes_s, now.summary.requests_s), (0.0, 0.0));
    }
}
