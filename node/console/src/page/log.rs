//! What happened to the node, and what it served: the parts of the page that grow from above.

use maud::{Markup, html};

use super::scrolling;
use crate::snapshot::{EventRow, LogRow, Snapshot};

/// The heads of the columns of figures.
const COLUMNS: [&str; 3] = ["Requests", "Cache", "Sent"];

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
