//! The page: its frame, and the order of its sections.

mod assets;
pub(crate) mod cluster;
mod directory;
mod frame;
mod guide;
mod log;
mod metrics;
mod node;
mod nodes;
mod reference;
mod roster;
pub(crate) mod sign_in;

use maud::{Markup, html};
use ncore_domain::PublicIndex;
use serde_json::Value;

use crate::{
    console::{Known, NodeInfo},
    files::Files,
    snapshot::Snapshot,
};

/// What is on the page.
pub(crate) struct Content<'a> {
    pub(crate) files: &'a Files,
    pub(crate) node: &'a NodeInfo,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) known: &'a Known,
    /// The OpenAPI document of the API.
    pub(crate) reference: &'a Value,
    /// The page of the browser that is shown; `None` if it could not be read.
    pub(crate) index: Option<&'a PublicIndex>,
    /// Whether that is a page after the first.
    pub(crate) further: bool,
}

/// The sections that there are links to, with their headings.
const SECTIONS: [(&str, &str); 6] =
    [("metrics", "Metrics"), ("events", "Events"), ("assets", "Assets"), ("api", "API"), ("clients", "Clients"), ("log", "Access log")];

/// The page as HTML.
pub(crate) fn render(content: &Content<'_>) -> String {
    let name = content.known.status.as_ref().map_or("starting", |status| status.name.as_str());
    let scripts = [&content.files.live, &content.files.reference];
    let body = html! {
        (warning())
        (header(content, name))
        main id="main" {
            (metrics::render("Node metrics", &content.snapshot.cards))
            div.pair {
                (log::events(&content.snapshot.events))
                (node::render(content))
            }
            (assets::render(&assets::Browser { index: content.index, is_further: content.further, base: "/" }))
            (reference::render(content))
            (directory::render(content.known.directory.as_ref()))
            (log::access(content.snapshot))
        }
        (footer(content))
    };
    frame::render(&frame::Frame { files: content.files, title: name, scripts: &scripts, live: Some("/live"), key: None }, &body)
}

fn warning() -> Markup {
    html! {
        aside.warning aria-labelledby="warning" {
            div.inner {
                h2 id="warning" { "Unauthorized access prohibited" }
                p {
                    "This node is a restricted infrastructure endpoint. Access is permitted exclusively to registered clients with valid API \
                     credentials. Unauthorized access attempts are logged, traced, and may be subject to legal action under applicable law."
                }
            }
        }
    }
}

fn header(content: &Content<'_>, name: &str) -> Markup {
    html! {
        header.top {
            div.inner {
                (frame::brand(content.files, "NCore node", name))
                div.state {
                    (standing(content.known))
                    (frame::live(&content.snapshot.at))
                }
            }
            (frame::sections(&SECTIONS, &html! { a href=(crate::cluster::PAGE) { "Administrators" } }))
        }
    }
}

fn standing(known: &Known) -> Markup {
    let (level, text) = match &known.status {
        None => ("warning", "starting"),
        Some(status) if status.freshness != "fresh" => ("warning", status.freshness),
        Some(status) if status.standing.as_str() == "operational" => ("info", "operational"),
        Some(status) => ("warning", status.standing.as_str()),
    };
    html! { p.standing data-level=(level) { span.visually-hidden { "Status: " } (text) } }
}

fn footer(content: &Content<'_>) -> Markup {
    html! {
        footer {
            div.inner {
                p { "Every figure is this node's own, counted since it started. The same are at " a href="/metrics" { "/metrics" } "." }
                @if let Some(status) = &content.known.status {
                    p { "NCore " (status.software) }
                }
            }
        }
    }
}

/// A table that scrolls within itself where it is wider than the screen, by keyboard too.
fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (table) } }
}

#[cfg(test)]
mod tests;
