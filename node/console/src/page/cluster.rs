//! The page of the cluster, for administrators.

use maud::{Markup, html};
use ncore_domain::{PublicIndex, Roster, SignedIn};

use super::{
    assets,
    frame::{self, Frame},
    log, metrics, nodes, roster,
};
use crate::{
    cluster::{LIVE, PAGE, SIGN_OUT, snapshot::ClusterSnapshot},
    console::Known,
    files::Files,
};

/// What is on the page.
pub(crate) struct Content<'a> {
    pub(crate) files: &'a Files,
    pub(crate) known: &'a Known,
    pub(crate) signed_in: &'a SignedIn,
    pub(crate) snapshot: &'a ClusterSnapshot,
    /// The page of the browser that is shown; `None` if it could not be read.
    pub(crate) index: Option<&'a PublicIndex>,
    pub(crate) is_further_index: bool,
    /// The page of the directory that is shown; `None` if it could not be read.
    pub(crate) roster: Option<&'a Roster>,
    pub(crate) is_further_roster: bool,
}

/// The sections that there are links to, with their headings.
const SECTIONS: [(&str, &str); 6] =
    [("metrics", "Metrics"), ("nodes", "Nodes"), ("events", "Events"), ("assets", "Assets"), ("clients", "Clients"), ("log", "Access log")];

/// The page as HTML.
pub(crate) fn render(content: &Content<'_>) -> String {
    let Content { files, snapshot, signed_in, .. } = content;
    let body = html! {
        (header(content))
        main id="main" {
            (metrics::render("Cluster metrics", &snapshot.cards))
            (nodes::render(snapshot))
            (log::events(&snapshot.events))
            (assets::render(&assets::Browser { index: content.index, is_further: content.is_further_index, base: PAGE }))
            (roster::render(content.roster, content.is_further_roster))
            (log::full(snapshot))
        }
        (footer(content))
    };
    let frame = Frame { files, title: "Cluster", scripts: &[&files.live], live: Some(LIVE), key: Some(&signed_in.page_key) };
    frame::render(&frame, &body)
}

fn header(content: &Content<'_>) -> Markup {
    let here = content.known.status.as_ref().map_or("this node", |status| status.name.as_str());
    html! {
        header.top {
            div.inner {
                (frame::brand(content.files, "NCore cluster", "All nodes"))
                div.state {
                    (frame::live(&content.snapshot.at))
                    form method="post" action=(SIGN_OUT) {
                        input type="hidden" name="key" value=(content.signed_in.page_key);
                        button type="submit" { "Sign out" }
                    }
                }
                p.who { "Seen from " (here) ", by " (content.signed_in.name) "." }
            }
            (frame::sections(&SECTIONS, &html! { a href="/" { "This node" } }))
        }
    }
}

fn footer(content: &Content<'_>) -> Markup {
    html! {
        footer {
            div.inner {
                p {
                    "Figures are the sums of what the nodes that answer say of themselves; the 99th percentile is that of all of their \
                     responses. Each node has its own at " a href="/metrics" { "/metrics" } ", and the API is described on "
                    a href="/#api" { "the page of the node" } "."
                }
                @if let Some(status) = &content.known.status { p { "NCore " (status.software) } }
            }
        }
    }
}
