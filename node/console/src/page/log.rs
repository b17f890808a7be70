//! What happened to the node, and what it served: the parts of the page that grow from above.

use maud::{Markup, html};

use super::scrolling;
use crate::{
    cluster::snapshot::{AccessRow, ClusterSnapshot},
    snapshot::{EventRow, LogRow, Snapshot},
};

/// The heads of the columns of figures.
const COLUMNS: [&str; 3] = ["Requests", "Cache", "Sent"];

pub(super) fn events(events: &[EventRow]) -> Markup {
    html! {
        section id="events" aria-labelledby="events-heading" {
            h2 id="events-heading" { "Recent system events" }
            ol.events id="event-list" { @for event in events { (event_row(event)) } }
            p.none id="events-empty" hidden[!events.is_empty()] { "Nothing happened that is known here." }
        }
    }
}

fn event_row(event: &EventRow) -> Markup {
    html! {
        li data-level=(event.level) {
            time datetime=(event.machine) { (event.time) }
            span.level { (event.level) }
            span.kind { (event.kind) }
            span.about { (event.about) }
            @if !event.by.is_empty() { span.by { span.visually-hidden { "seen by " } (event.by) } }
        }
    }
}

pub(super) fn access(snapshot: &Snapshot) -> Markup {
    html! {
        section id="log" aria-labelledby="log-heading" {
            h2 id="log-heading" { "Access log stream" }
            p.lead {
                "Showing: public access log (unauthenticated view). Full request logs, client IDs, and IP data are available only to \
                 authenticated administrators, and to clients of their own requests. The stream below shows aggregated public-tier events: \
                 what was answered in each second, by kind of path and class of status, in UTC."
            }
            (scrolling("Access log", &table(snapshot)))
            p.none id="log-empty" hidden[!snapshot.log.is_empty()] { "Nothing was answered in the last minute with traffic." }
        }
    }
}

fn table(snapshot: &Snapshot) -> Markup {
    html! {
        table {
            caption { "Aggregated public-tier events" }
            thead {
                tr {
                    th scope="col" { "Time" }
                    th scope="col" { "Path" }
                    th scope="col" { "Status" }
                    @for column in COLUMNS { th.number scope="col" { (column) } }
                }
            }
            tbody id="log-rows" { @for row in &snapshot.log { (log_row(row)) } }
        }
    }
}

fn log_row(row: &LogRow) -> Markup {
    html! {
        tr {
            th scope="row" { time datetime=(row.machine) { (row.time) } }
            td.path { (row.path) }
            td { span.status data-class=(row.class) { (row.status) } }
            @for cell in &row.cells { td.number { (cell) } }
        }
    }
}

/// The log as administrators see it.
pub(super) fn full(snapshot: &ClusterSnapshot) -> Markup {
    html! {
        section id="log" aria-labelledby="log-heading" {
            h2 id="log-heading" { "Access log stream" }
            p.lead {
                "The newest requests that were answered, at all nodes, in UTC. More of them, by time, status and path: "
                code { "GET /api/v2/logs" } "."
            }
            p.unheard id="unheard" role="status" {
                @if !snapshot.unheard.is_empty() { "Not heard, so that their requests are missing here: " (snapshot.unheard) "." }
            }
            (scrolling("Access log of all nodes", &full_table(snapshot)))
            p.none id="log-empty" hidden[!snapshot.access.is_empty()] { "Nothing was answered yet, or the nodes keep no access log." }
        }
    }
}

fn full_table(snapshot: &ClusterSnapshot) -> Markup {
    html! {
        table.full {
            caption.visually-hidden { "Newest requests at all nodes, the newest first" }
            thead {
                tr {
                    @for column in ["Time", "Node", "Request", "Status", "Cache"] { th scope="col" { (column) } }
                    @for column in ["Sent", "Took"] { th.number scope="col" { (column) } }
                    @for column in ["Address", "Client"] { th scope="col" { (column) } }
                }
            }
            tbody id="access-rows" { @for row in &snapshot.access { (access_row(row)) } }
        }
    }
}

/// As in the script that keeps it up to date.
fn access_row(row: &AccessRow) -> Markup {
    html! {
        tr {
            th scope="row" { time datetime=(row.machine) { (row.time) } }
            td { (row.node) }
            td.path title=(row.path) { b { (row.method) } " " (row.path) }
            td { span.status data-class=(row.class) { (row.status) } }
            td { (row.cache) }
            @for cell in &row.cells { td.number { (cell) } }
            td { (row.remote) }
            td { (row.client) }
        }
    }
}
