//! The page as a text: what is in it, and what cannot get into it.

use ncore_domain::{Directory, NodeStatus, PublicAsset, PublicIndex, Standing};
use ncore_telemetry::{AccessLog, EventKind, Events, History, Sample};
use serde_json::json;

use super::{Content, render};
use crate::{
    console::{Known, NodeInfo},
    files::Files,
    snapshot::Snapshot,
};

const HOSTILE: &str = "pub/<script>alert(1)</script>\"'&.html";

fn page() -> String {
    let (history, events) = (History::default(), Events::default());
    history.push(Sample { at_ms: 1_000, connections: 12, connections_max: 8_192, ..Sample::default() });
    events.push(EventKind::NodeJoined, "<img src=x onerror=alert(1)>");
    let asset = PublicAsset {
        path: HOSTILE.to_owned(),
        url: "http://node/\"onmouseover=\"alert(1)".to_owned(),
        mime: "text/<b>".to_owned(),
        size: 1,
        modified_at_ms: 0,
        held: true,
    };
    let status = NodeStatus {
        name: "</title><script>".to_owned(),
        region: "eu".to_owned(),
        standing: Standing::Operational,
        freshness: "fresh",
        software: "1".to_owned(),
        at_ms: 0,
    };
    let index = PublicIndex { assets: vec![asset], next: Some(HOSTILE.to_owned()) };
    let known = Known { status: Some(status), directory: Some(Directory::default()), index: Some(index) };
    render(&Content {
        files: &Files::new(),
        node: &NodeInfo { url: "http://node".to_owned(), tls: false },
        snapshot: &Snapshot::of(&history, &events, &AccessLog::default()),
        known: &known,
        reference: &json!({ "paths": { "/x": { "get": { "operationId": "<i>", "summary": "<script>" } } } }),
        index: known.index.as_ref(),
        further: false,
    })
}

#[test]
fn whatever_others_named_is_text() {
    let page = page();
    for hostile in ["<script>alert", "<img src=x", "<b>", "</title><script>", "\"onmouseover=", "<i>"] {
        assert!(!page.contains(hostile), "{hostile}");
    }
    assert!(page.contains("pub/&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;.html"), "it is there, as text");
    assert!(page.contains("after=pub/%3Cscript%3Ealert%281%29%3C/script%3E%22%27%26.html"), "and leads to the next page");
}

/// The policy forbids whatever is inline, and whatever is from elsewhere.
#[test]
fn nothing_is_inline_or_from_elsewhere() {
    let page = page();
    for script in page.split("<script").skip(1) {
        assert!(script.starts_with(" src=\"/console/") && script.contains("></script>"), "{script}");
    }
    assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick="));
    for attribute in ["src=\"", "href=\""] {
        for target in page.split(&format!(" {attribute}")).skip(1) {
            let target = target.split('"').next().unwrap_or_default();
            assert!(target.starts_with('/') || target.starts_with('#') || target.starts_with("http://node/"), "{target}");
        }
    }
}

#[test]
fn it_is_whole_without_a_script() {
    let page = page();
    for (id, value) in [("card-connections", ">12<"), ("fact-address", "http://node"), ("event-list", "node_joined"), ("op-", "GET")] {
        let at = page.find(&format!("id=\"{id}")).unwrap_or_else(|| panic!("{id}"));
        assert!(page[at..].contains(value), "{id}");
    }
    // What only a script can do is not shown without one.
    for element in ["<button id=\"pause\"", "<form class=\"try\"", "<div class=\"try-token\""] {
        let at = page.find(element).unwrap_or_else(|| panic!("{element}"));
        assert!(page[at..].split('>').next().is_some_and(|tag| tag.contains(" hidden")), "{element}");
    }
}

#[test]
fn it_can_be_found_ones_way_by_ear() {
    let page = page();
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert_eq!((page.matches("<h1").count(), page.matches("<main").count()), (1, 1));
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
    for section in page.split("<section").skip(1) {
        let heading = section.split("aria-labelledby=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a label");
        assert!(page.contains(&format!("<h2 id=\"{heading}\"")), "{heading}");
    }
    // One thing alone speaks by itself, and it changes only when the state of the stream does.
    assert_eq!(page.matches("role=\"status\"").count() + page.matches("aria-live").count(), 1);
    for label in page.split(" for=\"").skip(1) {
        let id = label.split('"').next().unwrap_or_default();
        assert!(page.contains(&format!(" id=\"{id}\"")), "{id}");
    }
}
