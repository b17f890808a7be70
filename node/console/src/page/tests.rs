//! The page as a text: what is in it, and what cannot get into it.

use std::{sync::Arc, time::Duration};

use ncore_domain::{
    ClientDetails, Directory, LogEntry, LogNode, NodeStatus, PublicAsset, PublicIndex, Roster, RosterRow, SignedIn, Standing,
};
use ncore_model::{Client, ClientId, ClientStatus, NodeId};
use ncore_telemetry::{AccessHead, AccessLog, AccessRecord, EventKind, Events, History, PathClass, Sample};
use serde_json::json;

use super::{Content, cluster, render, sign_in};
use crate::{
    cluster::{
        fleet::{Known as KnownNode, Voice},
        nodes::{Member, NodeEvent, NodeNow},
        snapshot::ClusterSnapshot,
        tail::Shown,
    },
    console::{Known, NodeInfo},
    files::Files,
    snapshot::Snapshot,
};

const HOSTILE: &str = "pub/<script>alert(1)</script>\"'&.html";

fn known() -> Known {
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
    Known { status: Some(status), directory: Some(Directory::default()), index: Some(index) }
}

/// The page of the cluster: every text in it is what somebody named.
fn cluster_page() -> String {
    let hostile = || "<script>alert(1)</script>\"onmouseover=\"".to_owned();
    let member = Member { id: 1, name: hostile(), region: hostile(), url: "http://node/\"onmouseover=\"x".to_owned(), ..Member::default() };
    let event = NodeEvent { at_ms: 0, level: hostile(), kind: hostile(), about: hostile() };
    let said = NodeNow { role: hostile(), fence: Some(hostile()), software: hostile(), events: vec![event], ..NodeNow::default() };
    let node = KnownNode { member, voice: Voice::Heard, said: Some((Arc::new(said), Duration::ZERO)) };
    let head = AccessHead {
        method: "<b>",
        host: "<b>",
        path: HOSTILE,
        request_id: "<b>",
        agent: b"<b>",
        remote: [127, 0, 0, 1].into(),
        class: PathClass::Node,
    };
    let record = AccessRecord { client: Some("<i>".into()), ..AccessRecord::new(&head) };
    let entry = LogEntry { node: LogNode { id: NodeId(1), name: "<img src=x>".into() }, record };
    let shown = Shown { entries: vec![entry], unheard: ["<b>".into()].into(), ..Shown::default() };
    let client = Client {
        id: ClientId::from_text("cl_<i>"),
        name: hostile(),
        secret_hash: "argon".to_owned(),
        scopes: Vec::new(),
        domains: vec!["cdn.<b>.example".to_owned()],
        status: ClientStatus::Active,
        created_at_ms: 0,
    };
    let row = RosterRow { details: ClientDetails { client, account: None, stored: None }, sent_30_days: 1 };
    let known = known();
    cluster::render(&cluster::Content {
        files: &Files::new(),
        known: &known,
        signed_in: &SignedIn { id: "ad_1".to_owned(), name: hostile(), page_key: "k".to_owned() },
        snapshot: &ClusterSnapshot::of(0, &[node], &shown),
        index: known.index.as_ref(),
        is_further_index: false,
        roster: Some(&Roster { rows: vec![row], next: Some(ClientId::from_text("<i>")) }),
        is_further_roster: false,
    })
}

fn page() -> String {
    let (history, events) = (History::default(), Events::default());
    history.push(Sample { at_ms: 1_000, connections: 12, connections_max: 8_192, ..Sample::default() });
    events.push(EventKind::NodeJoined, "<img src=x onerror=alert(1)>");
    let known = known();
    render(&Content {
        files: &Files::new(),
        node: &NodeInfo { id: 1, url: "http://node".to_owned(), tls: false },
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
    for page in [&page, &cluster_page(), &sign_in::render(&Files::new(), Some("<b>"))] {
        for hostile in ["<script>alert", "<img src=x", "<b>b", "<b>.", "</title><script>", "\"onmouseover=", "<i>"] {
            assert!(!page.contains(hostile), "{hostile}");
        }
    }
    assert!(page.contains("pub/&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;.html"), "it is there, as text");
    assert!(page.contains("after=pub/%3Cscript%3Ealert%281%29%3C/script%3E%22%27%26.html"), "and leads to the next page");
}

/// The policy forbids whatever is inline, and whatever is from elsewhere.
#[test]
fn nothing_is_inline_or_from_elsewhere() {
    for page in [page(), cluster_page(), sign_in::render(&Files::new(), None)] {
        is_from_here(&page);
    }
}

fn is_from_here(page: &str) {
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
    for page in [page(), cluster_page(), sign_in::render(&Files::new(), Some("wrong"))] {
        can_be_heard(&page);
    }
    // One thing alone speaks by itself, and it changes only when the state of the stream does; of the cluster also who is not heard.
    for (page, speaking) in [(page(), 1), (cluster_page(), 3)] {
        assert_eq!(page.matches("role=\"status\"").count() + page.matches("aria-live").count(), speaking);
    }
}

fn can_be_heard(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert_eq!((page.matches("<h1").count(), page.matches("<main").count()), (1, 1));
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
    for section in page.split("<section").skip(1) {
        let heading = section.split("aria-labelledby=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a label");
        assert!(page.contains(&format!("<h2 id=\"{heading}\"")), "{heading}");
    }
    for label in page.split(" for=\"").skip(1) {
        let id = label.split('"').next().unwrap_or_default();
        assert!(page.contains(&format!(" id=\"{id}\"")), "{id}");
    }
}

#[test]
fn the_page_of_the_cluster_is_whole_without_a_script() {
    let page = cluster_page();
    for (id, value) in [("node-rows", "fenced: "), ("event-list", "alert(1)"), ("access-rows", "127.0.0.1"), ("unheard", "&lt;b&gt;")] {
        let at = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}"));
        assert!(page[at..].contains(value), "{id}");
    }
    assert!(
        page.contains("cdn.&lt;b&gt;.example") && !page.contains("argon"),
        "clients with all of their domains, and no hash of a secret"
    );
    assert!(page.contains("<form method=\"post\" action=\"/cluster/sign-out\">") && page.contains("name=\"key\" value=\"k\""));
}
