//! The figures.

use maud::{Markup, html};

use crate::{
    snapshot::Card,
    spark::{HEIGHT, WIDTH},
};

pub(super) fn render(heading: &str, cards: &[Card]) -> Markup {
    html! {
        section id="metrics" aria-labelledby="metrics-heading" {
            h2 id="metrics-heading" { (heading) }
            dl.cards { @for card in cards { (one(card)) } }
        }
    }
}

fn one(card: &Card) -> Markup {
    html! {
        div.card id={ "card-" (card.id) } {
            dt { (card.label) }
            dd {
                span.value { (card.value) } " " span.unit { (card.unit) }
                span.note { (card.note) }
            }
            @if !card.line.is_empty() || LINES.contains(&card.id) {
                svg.line viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                    path d=(card.line) {}
                }
            }
        }
    }
}

/// The figures that have a line, also while there is nothing to draw yet.
const LINES: [&str; 4] = ["bandwidth", "requests", "connections", "cpu"];
