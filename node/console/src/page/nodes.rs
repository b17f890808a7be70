//! The nodes of the cluster, one by one.

use maud::{Markup, html};

use super::scrolling;
use crate::cluster::snapshot::{ClusterSnapshot, NodeRow};

/// The heads of the columns of figures.
const COLUMNS: [&str; 8] = ["Revision", "Bandwidth", "Requests/s", "Hit rate", "CPU", "RAM", "Storage", "Version"];

pub(super) fn render(snapshot: &ClusterSnapshot) -> Markup {
    html! {
        section id="nodes" aria-labelledby="nodes-heading" {
            h2 id="nodes-heading" { "Nodes" }
            div.lead.facing {
                p id="voices" role="status" { (snapshot.voices) }
                p { "Storage of those that answer: " span id="fact-storage" { (snapshot.storage) } }
            }
            (scrolling("Nodes of the cluster", &table(snapshot)))
        }
    }
}

fn table(snapshot: &ClusterSnapshot) -> Markup {
    html! {
        table.nodes {
            caption.visually-hidden { "Nodes of the cluster, with the figures that each says of itself" }
            thead {
                tr {
                    th scope="col" { "Node" }
                    th scope="col" { "Role" }
                    th scope="col" { "Status" }
                    @for column in COLUMNS { th.number scope="col" { (column) } }
                }
            }
            tbody id="node-rows" { @for node in &snapshot.nodes { (row(node)) } }
        }
    }
}

/// As in the script that keeps it up to date.
fn row(node: &NodeRow) -> Markup {
    html! {
        tr data-level=(node.level) {
            th scope="row" { a href=(node.url) { (node.name) } span.under { (node.region) } }
            td { (node.role) }
            td { span.status { (node.status) } span.under { (node.age) } }
            @for (at, cell) in node.cells.iter().enumerate() {
                td.number { (cell) @if at == 0 { span.under { (node.lag) } } }
            }
        }
    }
}
