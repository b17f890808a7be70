//! The page: its frame, and the order of its sections.

mod assets;
mod directory;
mod guide;
mod log;
mod metrics;
mod node;
mod reference;

use maud::{DOCTYPE, Markup, html};
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
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (name) " · NCore" }
                link rel="icon" href=(content.files.icon.path) type="image/svg+xml";
                link rel="stylesheet" href=(content.files.style.path);
                script src=(content.files.live.path) defer {}
                script src=(content.files.reference.path) defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                (warning())
                (header(content, name))
                main id="main" {
                    (metrics::render(content.snapshot))
                    div.pair {
                        (log::events(content.snapshot))
                        (node::render(content))
                    }
                    (assets::render(content))
                    (reference::render(content))
                    (directory::render(content.known.directory.as_ref()))
                    (log::access(content.snapshot))
                }
                (footer(content))
            }
        }
    }
    .into_string()
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
                div.brand {
                    img src=(content.files.icon.path) alt="" width="28" height="28";
                    div {
                        p.product { "NCore" }
                        h1 { (name) }
                    }
                }
                div.state {
                    (standing(content.known))
                    p.live { span id="live-state" role="status" { "As of " (content.snapshot.at) " UTC" } }
                    button id="pause" type="button" hidden aria-pressed="false" { "Pause" }
                }
            }
            nav aria-label="Sections" {
                ul.inner { @for (id, label) in SECTIONS { li { a href={ "#" (id) } { (label) } } } }
            }
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
