//! What happened to the node, and what it served: the parts of the page that grow from above.

use maud::{Markup, html};

use super::scrolling;
use crate::snapshot::{EventRow, LogRow, Snapshot};

/// The heads of the columns of numbers.
const COLUMNS: [&str; 7] = ["Requests", "2xx", "3xx", "4xx", "5xx", "Hits", "Sent"];

pub(super) fn events(snapshot: &Snapshot) -> Markup {
    html! {
        section id="events" aria-labelledby="events-heading" {
            h2 id="events-heading" { "Recent system events" }
            ol.events id="event-list" { @for event in &snapshot.events { (event_row(event)) } }
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
        }
    }
}

pub(super) fn access(snapshot: &Snapshot) -> Markup {
    html! {
        section id="log" aria-labelledby="log-heading" {
            h2 id="log-heading" { "Access log stream" }
            p.lead {
                "Public, unauthenticated view: what was served in each ten seconds with traffic, in UTC. Full request logs, client ids and \
                 addresses are for administrators alone."
            }
            (scrolling("Access log", &table(snapshot)))
        }
    }
}

fn table(snapshot: &Snapshot) -> Markup {
    html! {
        table {
            caption { "Requests, aggregated" }
            thead {
                tr {
                    th scope="col" { "From" }
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
            @for cell in &row.cells { td.number { (cell) } }
        }
    }
}
