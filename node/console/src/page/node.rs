//! What the node is.

use maud::{Markup, html};

use super::Content;
use crate::format::{self, UNKNOWN};

pub(super) fn render(content: &Content<'_>) -> Markup {
    let status = content.known.status.as_ref();
    let domains = content.known.directory.as_ref().map(|directory| directory.domains);
    let clients = match domains {
        None => UNKNOWN.to_owned(),
        Some(1) => "1 domain".to_owned(),
        Some(domains) => format!("{} domains", format::count(u64::try_from(domains).unwrap_or(u64::MAX))),
    };
    let tls = if content.node.tls { "TLS 1.2 and 1.3, HTTP/2" } else { "not on this node" };
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or(UNKNOWN).to_owned();
    let rows = [
        ("Hostname", text(status.map(|status| status.name.as_str()))),
        ("Address", content.node.url.clone()),
        ("Region", text(status.map(|status| status.region.as_str()))),
        ("Software", text(status.map(|status| format!("NCore {}", status.software)).as_deref())),
        ("Storage", content.snapshot.storage.clone()),
        ("TLS", tls.to_owned()),
        ("Registered clients", clients),
        ("View", text(status.map(|status| status.freshness))),
        ("Node status", text(status.map(|status| status.standing.as_str()))),
    ];
    html! {
        section id="node" aria-labelledby="node-heading" {
            h2 id="node-heading" { "Node summary" }
            dl.facts {
                @for (label, value) in rows {
                    div { dt { (label) } dd id={ "fact-" (label.to_lowercase().replace(' ', "-")) } { (value) } }
                }
            }
        }
    }
}
