//! `ncore zone explain`: why a request would be answered as it would.

use anyhow::{Context, Result};
use clap::Args;
use ncore_proto::admin::v1::{ExplainZoneRequest, NodeExplanation};
use serde_json::{Value, json};

use crate::cli::{
    operator::{Operator, said},
    output,
};

#[derive(Args)]
pub(crate) struct Explain {
    /// What a viewer asks for with GET, for example `https://static.example/logo.svg`
    url: String,
    /// A field of the request; it can be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Ask this node, by its name or id, in place of the one on this machine
    #[arg(long, value_name = "NODE", conflicts_with = "all")]
    node: Option<String>,
    /// Ask every node
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    operator: Operator,
}

impl Explain {
    pub(super) async fn run(self) -> Result<()> {
        let Self { url, headers, node, all, operator } = self;
        let request = ExplainZoneRequest { url, headers, node: node.unwrap_or_default(), all };
        let reply = operator.connect().await?.explain_zone(request).await.map_err(said)?.into_inner();
        let nodes = reply.nodes.iter().map(of_node).collect::<Result<Vec<_>>>()?;
        if operator.json {
            return output::json(&nodes);
        }
        for (at, node) in nodes.iter().enumerate() {
            if at > 0 {
                output::say!("");
            }
            tell(node);
        }
        Ok(())
    }
}

fn of_node(node: &NodeExplanation) -> Result<Value> {
    if node.document.is_empty() {
        return Ok(json!({ "node": node.name, "answered": false, "error": node.error }));
    }
    let explanation: Value = serde_json::from_str(&node.document).context("the node's answer is no JSON")?;
    Ok(json!({ "node": node.name, "answered": true, "explanation": explanation }))
}

fn tell(node: &Value) {
    let line = |name: &str, text: &str| output::say!("{name:<14} {text}");
    line("node", &plain(&node["node"]));
    if node["answered"] == false {
        return line("no answer", &plain(&node["error"]));
    }
    let said = &node["explanation"];
    line("verdict", &format!("{}: {}", plain(&said["verdict"]), plain(&said["why"])));
    line("asks", &or(&said["asks"], "nobody"));
    tell_tiers(&said["tiers"], line);
    line("zone", &format!("{} ({})", plain(&said["zone"]), plain(&said["host"])));
    let (key, headers) = (&said["key"], &said["key"]["headers"]);
    let headers = headers.as_array().filter(|headers| !headers.is_empty()).map_or("none".to_owned(), |headers| list(headers));
    line("key", &format!("{}  (of the query: {}; fields: {headers})", plain(&key["path"]), plain(&key["query"])));
    let rule = &said["bypass"];
    line("bypass", &if rule.is_null() { "no rule".to_owned() } else { format!("{} {}", plain(&rule["by"]), plain(&rule["value"])) });
    line("newest purge", &or(&said["newest_purge"], "none"));
    let freshness = &said["freshness"];
    let view = format!("revision {}, {}", plain(&said["revision"]), plain(&freshness["state"]));
    let reason = if freshness["reason"].is_null() { String::new() } else { format!(" ({})", plain(&freshness["reason"])) };
    line("view", &format!("{view}{reason}; if fenced: {}", plain(&said["fence_policy"])));
    let variants = said["variants"].as_array().map(Vec::as_slice).unwrap_or_default();
    if variants.is_empty() {
        line("kept", "nothing");
    } else {
        line("kept", &format!("{} in {}", variants.len(), or(&said["kept_in"], "no tier")));
        let header = ["FOR THIS", "VARY", "STATUS", "AGE", "FRESH FOR", "LIFETIME", "VALIDATOR", "FILLED AT", "MARK", "LENGTH", "SLICES"];
        output::table(&header, variants.iter().map(row));
    }
}

/// The nodes before the origin. An older node says nothing of them.
fn tell_tiers(tiers: &Value, line: impl Fn(&str, &str)) {
    if tiers.is_null() {
        return;
    }
    let hop = |hop: &Value| format!("{} (node {})", plain(&hop["tier"]), plain(&hop["node"]));
    let asks: Vec<_> = tiers["asks"].as_array().into_iter().flatten().map(hop).chain(["the origin".to_owned()]).collect();
    let unused = if tiers["unused"].is_null() { String::new() } else { format!("; no other node: {}", plain(&tiers["unused"])) };
    line("would ask", &format!("{}{unused}", asks.join(", then ")));
    line("at least at", &format!("revision {}", plain(&tiers["min_revision"])));
    for (name, owner) in [("owner", &tiers["owner"]), ("shield", &tiers["shield"])] {
        if !owner.is_null() {
            line(name, &told_of(owner));
        }
    }
    let region = &tiers["shield_region"];
    if !region.is_null() {
        let empty = if tiers["shield_region_is_empty"] == true { ", where no node is: the first of all is the shield" } else { "" };
        line("shield region", &format!("{}{empty}", plain(region)));
    }
}

fn told_of(owner: &Value) -> String {
    let is_this = if owner["is_this"] == true { ", this node" } else { "" };
    let doubt = owner["in_doubt_for_ms"].as_u64();
    let doubt = doubt.map(|ms| format!(", passed by for another {}.{} s", ms / 1_000, ms % 1_000 / 100)).unwrap_or_default();
    format!("node {} in {}{is_this}{doubt}", plain(&owner["node"]), plain(&owner["region"]))
}

fn row(variant: &Value) -> Vec<String> {
    let flag = |name: &str, word: &str| if variant[name] == true { word.to_owned() } else { String::new() };
    let vary = |field: &Value| format!("{}{}", plain(&field["name"]), if field["matches"] == true { "=" } else { "!" });
    let vary: Vec<_> = variant["vary"].as_array().into_iter().flatten().map(vary).collect();
    let slices = &variant["slices"];
    let slices = if slices.is_null() {
        "with its head".to_owned()
    } else {
        format!("{} of {} ({} in memory)", sum(&slices["memory"], &slices["disk"]), plain(&slices["all"]), plain(&slices["memory"]))
    };
    let validator = if variant["etag"].is_null() { or(&variant["last_modified"], "none") } else { plain(&variant["etag"]) };
    vec![
        flag("is_for_this", "yes"),
        vary.join(" "),
        plain(&variant["status"]),
        format!("{} s", plain(&variant["age_s"])),
        format!("{} s", plain(&variant["fresh_for_s"])),
        format!("{} s by {}", plain(&variant["lifetime_s"]), plain(&variant["lifetime_from"])),
        validator,
        plain(&variant["filled_at"]),
        [flag("is_marked_stale", "stale"), flag("is_purged", "purged")].join(" ").trim().to_owned(),
        plain(&variant["length"]),
        slices,
    ]
}

fn sum(one: &Value, other: &Value) -> u64 {
    one.as_u64().unwrap_or(0) + other.as_u64().unwrap_or(0)
}

fn list(values: &[Value]) -> String {
    values.iter().map(plain).collect::<Vec<_>>().join(" ")
}

fn or(value: &Value, otherwise: &str) -> String {
    if value.is_null() { otherwise.to_owned() } else { plain(value) }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
