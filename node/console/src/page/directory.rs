//! The directory of clients, masked.

use maud::{Markup, html};
use ncore_domain::Directory;

use super::scrolling;
use crate::format::{self, UNKNOWN};

pub(super) fn render(directory: Option<&Directory>) -> Markup {
    html! {
        section id="clients" aria-labelledby="clients-heading" {
            h2 id="clients-heading" { "Registered client domains" }
            @match directory {
                None => p.none { "The directory cannot be read now." },
                Some(directory) if directory.domains == 0 => p.none { "No client has registered a domain." },
                Some(directory) => {
                    p.lead { "Bandwidth is that of the client, over all of its domains. Domains are masked." }
                    (scrolling("Public client directory", &table(directory)))
                }
            }
        }
    }
}

fn table(directory: &Directory) -> Markup {
    let hidden = directory.domains.saturating_sub(directory.entries.len());
    html! {
        table {
            caption { "Public client directory (partial)" }
            thead {
                tr {
                    th scope="col" { "Domain" }
                    th scope="col" { "Plan" }
                    th scope="col" { "Since" }
                    th.number scope="col" { "Bandwidth (30d)" }
                    th scope="col" { "Status" }
                }
            }
            tbody {
                @for entry in &directory.entries {
                    tr {
                        th scope="row" { (entry.domain) }
                        td { @if entry.plan.is_empty() { (UNKNOWN) } @else { (entry.plan) } }
                        td { time datetime=(format::month(entry.since_ms)) { (format::month(entry.since_ms)) } }
                        td.number { (format::bytes(entry.sent_30_days)) }
                        td { span data-status=(entry.status.as_str()) { (entry.status.as_str()) } }
                    }
                }
                @if hidden > 0 {
                    tr.shut {
                        th scope="row" { "[" (hidden) " more hidden]" }
                        td { (UNKNOWN) } td { (UNKNOWN) } td.number { (UNKNOWN) }
                        td { "auth req." }
                    }
                }
            }
        }
    }
}
