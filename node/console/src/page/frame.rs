//! What all pages have in common: their frame, and what stands in their heads.

use maud::{DOCTYPE, Markup, html};

use crate::files::{File, Files};

/// The frame of a page.
pub(super) struct Frame<'a> {
    pub(super) files: &'a Files,
    pub(super) title: &'a str,
    pub(super) scripts: &'a [&'a File],
    /// Where its stream is, if it has one.
    pub(super) live: Option<&'a str>,
    /// What the stream is to be asked with.
    pub(super) key: Option<&'a str>,
}

pub(super) fn render(frame: &Frame<'_>, body: &Markup) -> String {
    let Frame { files, title, scripts, live, key } = frame;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · NCore" }
                link rel="icon" href=(files.icon.path) type="image/svg+xml";
                link rel="stylesheet" href=(files.style.path);
                @for script in *scripts { script src=(script.path) defer {} }
            }
            body data-live=[live.as_ref()] data-key=[key.as_ref()] {
                a.skip href="#main" { "Skip to content" }
                (body)
            }
        }
    }
    .into_string()
}

/// Whose page it is.
pub(super) fn brand(files: &Files, product: &str, name: &str) -> Markup {
    html! {
        div.brand {
            img src=(files.icon.path) alt="" width="40" height="40";
            div {
                p.product { (product) }
                h1 { (name) }
            }
        }
    }
}

/// How old the page is, and whether it is kept up to date: the one thing that speaks by itself.
pub(super) fn live(at: &str) -> Markup {
    html! {
        p.live { span id="live-state" role="status" { "As of " (at) " UTC" } }
        button id="pause" type="button" hidden aria-pressed="false" { "Pause" }
    }
}

/// The ways to the sections, and one elsewhere.
pub(super) fn sections(sections: &[(&str, &str)], elsewhere: &Markup) -> Markup {
    html! {
        nav aria-label="Sections" {
            ul.inner {
                @for (id, label) in sections { li { a href={ "#" (id) } { (label) } } }
                li.elsewhere { (elsewhere) }
            }
        }
    }
}
