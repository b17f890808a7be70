//! The browser: the assets that anybody may know of.

use maud::{Markup, html};
use ncore_domain::{PublicAsset, PublicIndex, percent};

use super::scrolling;
use crate::format::{self, UNKNOWN};

/// What is shown of the index.
pub(super) struct Browser<'a> {
    /// A page of it; `None` if it could not be read.
    pub(super) index: Option<&'a PublicIndex>,
    /// Whether that is a page after the first.
    pub(super) is_further: bool,
    /// The path of the page that it is shown on.
    pub(super) base: &'a str,
}

pub(super) fn render(content: &Browser<'_>) -> Markup {
    html! {
        section id="assets" aria-labelledby="assets-heading" {
            h2 id="assets-heading" { "Asset browser" }
            p.lead { "Assets below " code { "pub/" } ", read-only and without a login. Others are listed to their owners alone, by the API." }
            @match content.index {
                None => p.none { "The index cannot be read now." },
                Some(index) if index.assets.is_empty() && !content.is_further => p.none { "Nothing is published yet." },
                Some(index) => (scrolling("Public index", &table(index))),
            }
            (turn(content))
        }
    }
}

fn table(index: &PublicIndex) -> Markup {
    html! {
        table {
            caption { "Public index" }
            thead {
                tr {
                    th scope="col" { "Path" }
                    th scope="col" { "MIME" }
                    th.number scope="col" { "Size" }
                    th scope="col" { "Modified" }
                    th scope="col" { "Cache" }
                    th.number scope="col" { "Status" }
                }
            }
            tbody {
                @for asset in &index.assets { (row(asset)) }
                tr.shut {
                    th scope="row" { "/restricted/…" }
                    td { (UNKNOWN) } td.number { (UNKNOWN) } td { (UNKNOWN) } td { (UNKNOWN) } td.number { "401" }
                }
            }
        }
    }
}

fn row(asset: &PublicAsset) -> Markup {
    let essence = asset.mime.split(';').next().unwrap_or_default();
    html! {
        tr {
            th scope="row" { a href=(asset.url) { "/" (asset.path) } }
            td { (essence) }
            td.number { (format::bytes(asset.size)) }
            td { time datetime=(format::machine(asset.modified_at_ms)) { (format::day(asset.modified_at_ms)) } }
            td { @if asset.held { span.hit { "HIT" } } @else { span.miss { "MISS" } } }
            td.number { "200" }
        }
    }
}

fn turn(content: &Browser<'_>) -> Markup {
    let next = content.index.and_then(|index| index.next.as_deref());
    html! {
        @if content.is_further || next.is_some() {
            nav.turn aria-label="Pages of the index" {
                @if content.is_further { a href={ (content.base) "#assets" } { "First page" } }
                @if let Some(next) = next { a rel="next" href={ (content.base) "?after=" (percent::query(next)) "#assets" } { "Next page" } }
            }
        }
    }
}
