//! `ncore zone`: origins with a cache in front of them.

mod explain;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use ncore_proto::admin::v1::{
    CreateZoneRequest, ListZonesRequest, PurgeZoneRequest, StringList, UpdateZoneRequest, Zone as Shown, ZoneBypass, ZoneOrigin,
    ZoneRequest, ZoneSeconds, ZoneSettings,
};
use serde_json::{Value, json};

use super::{
    operator::{Operator, said},
    output,
};

#[derive(Subcommand)]
pub(crate) enum Zone {
    /// List the zones
    List {
        /// Those of this client alone, by its id
        #[arg(long, value_name = "CLIENT ID", default_value = "")]
        client: String,
        #[command(flatten)]
        operator: Operator,
    },
    /// Show a zone with all its settings
    Show(OneZone),
    /// Make a zone and print what it is: its id, its host name, and its settings
    Create(Create),
    /// Change a zone: what is not given stays
    Update(Update),
    /// Remove a zone, and what is cached of it: done once no node serves it any more
    Delete(OneZone),
    /// Have what is cached of a zone be good for nothing: done once no node serves it any more
    Purge(Purge),
    /// Say why a request would be a hit or a miss, without asking the origin and without changing anything
    Explain(explain::Explain),
}

#[derive(Args)]
pub(crate) struct OneZone {
    /// Which zone, by its id
    uuid: String,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub(crate) struct Create {
    /// Whose zone, by the client's id
    client_id: String,
    /// What to call it; the host of its origin if it is not given
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    description: Description,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub(crate) struct Update {
    /// Which zone, by its id
    uuid: String,
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    description: Description,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Args)]
pub(crate) struct Purge {
    /// Which zone, by its id
    uuid: String,
    /// A path, with a query or without; with a *, all that begins as it does before that; everything if none is given
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    operator: Operator,
}

/// What a zone is.
#[derive(Args)]
pub(crate) struct Description {
    /// The URL of an origin; with =WEIGHT behind it, its share beside others
    #[arg(long = "origin", value_name = "URL[=WEIGHT]")]
    origins: Vec<String>,
    /// The URL of an origin that is asked when none of the others answers
    #[arg(long = "backup", value_name = "URL", requires = "origins")]
    backups: Vec<String>,
    /// What origins are asked for as Host; "" for the host of their URLs
    #[arg(long, value_name = "HOST")]
    host_header: Option<String>,
    /// A host name of the zone's beside the one that it gets; for an update, in place of those that it had, and "" for none
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// How long content is fresh of which the origin does not say it, in seconds, or "book"
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    cache_ttl: Option<ZoneSeconds>,
    /// The same of errors
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    negative_ttl: Option<ZoneSeconds>,
    /// How long content is given out after its time when the origin fails and no header says how long, in seconds, or "book"
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stale_if_error: Option<ZoneSeconds>,
    /// The same while it is asked for anew
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stale_while_revalidate: Option<ZoneSeconds>,
    /// Whether the query is part of the key
    #[arg(long, value_name = "BOOL")]
    query_strings: Option<bool>,
    /// What nodes do that have lost touch with the cluster: revalidate, serve or refuse
    #[arg(long, value_name = "POLICY")]
    fence_policy: Option<String>,
    /// Whether a miss asks other nodes before the origin: the owner in the region, then the shield
    #[arg(long, value_name = "BOOL")]
    tiers: Option<bool>,
    /// The region of the shield, which asks the origin for all others: one that is near to it; "" for just any
    #[arg(long, value_name = "REGION")]
    shield_region: Option<String>,
    /// Whether responses with Set-Cookie may be kept
    #[arg(long, value_name = "BOOL")]
    keep_cookies: Option<bool>,
    /// Whether responses to requests with Authorization may be kept although the origin does not say so
    #[arg(long, value_name = "BOOL")]
    keep_authorized: Option<bool>,
    /// Whether every site may read it
    #[arg(long, value_name = "BOOL")]
    cors: Option<bool>,
    /// Whether everything goes past the cache; with the next two, what goes past it, in place of what did
    #[arg(long, value_name = "BOOL")]
    bypass: Option<bool>,
    /// Requests whose paths begin so go past the cache
    #[arg(long = "bypass-path", value_name = "PATH")]
    bypass_paths: Vec<String>,
    /// Requests with a cookie of this name go past the cache
    #[arg(long = "bypass-cookie", value_name = "NAME")]
    bypass_cookies: Vec<String>,
}

impl Zone {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::List { client, operator } => list(client, &operator).await,
            Self::Show(one) => {
                let shown = one.operator.connect().await?.show_zone(ZoneRequest { uuid: one.uuid }).await.map_err(said)?;
                print(&shown.into_inner(), &one.operator)
            }
            Self::Create(create) => create.run().await,
            Self::Update(update) => update.run().await,
            Self::Delete(one) => {
                let request = ZoneRequest { uuid: one.uuid.clone() };
                let level = one.operator.connect().await?.delete_zone(request).await.map_err(said)?.into_inner().level;
                one.operator.tell(&format!("{} is removed", one.uuid), &level, json!({ "uuid": one.uuid, "removed": true }))
            }
            Self::Purge(purge) => purge.run().await,
            Self::Explain(explain) => explain.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<()> {
        let Self { client_id, name, description, operator } = self;
        let origins = description.origins();
        let Some(first) = origins.first() else { bail!("which origin? give --origin") };
        let name = name.unwrap_or_else(|| first.url.split('/').nth(2).unwrap_or_default().to_owned());
        let request = CreateZoneRequest {
            client_id,
            name,
            origins,
            host_header: description.host_header.clone().unwrap_or_default(),
            domains: description.domains(),
            settings: Some(description.settings()),
        };
        let zone = operator.connect().await?.create_zone(request).await.map_err(said)?.into_inner();
        print(&zone, &operator)
    }
}

impl Update {
    async fn run(self) -> Result<()> {
        let Self { uuid, name, description, operator } = self;
        if name.is_none() && description.says_nothing() {
            bail!("what is to change? give at least one of the options of `ncore zone update --help`");
        }
        let request = UpdateZoneRequest {
            uuid,
            name,
            origins: description.origins(),
            host_header: description.host_header.clone(),
            domains: (!description.hosts.is_empty()).then(|| StringList { values: description.domains() }),
            settings: Some(description.settings()),
        };
        let zone = operator.connect().await?.update_zone(request).await.map_err(said)?.into_inner();
        print(&zone, &operator)
    }
}

impl Purge {
    async fn run(self) -> Result<()> {
        let Self { uuid, paths, operator } = self;
        let request = PurgeZoneRequest { uuid: uuid.clone(), paths };
        let reply = operator.connect().await?.purge_zone(request).await.map_err(said)?.into_inner();
        let document = json!({ "uuid": uuid, "id": reply.id, "revision": reply.revision });
        operator.tell(&format!("{uuid} is purged ({})", reply.id), &reply.level, document)
    }
}

impl Description {
    fn origins(&self) -> Vec<ZoneOrigin> {
        let weighted = |text: &String| {
            // A URL of an origin has no query, so what is behind the last sign is a weight if it is a number.
            let parts = text.rsplit_once('=').and_then(|(url, weight)| Some((url, weight.parse().ok()?)));
            let (url, weight) = parts.unwrap_or((text, 1));
            ZoneOrigin { url: url.to_owned(), weight, backup: false }
        };
        let backup = |url: &String| ZoneOrigin { url: url.clone(), weight: 1, backup: true };
        self.origins.iter().map(weighted).chain(self.backups.iter().map(backup)).collect()
    }

    fn domains(&self) -> Vec<String> {
        self.hosts.iter().filter(|host| !host.is_empty()).cloned().collect()
    }

    fn says_nothing(&self) -> bool {
        let names = self.origins.is_empty() && self.hosts.is_empty() && self.host_header.is_none();
        names && self.settings() == ZoneSettings::default()
    }

    fn settings(&self) -> ZoneSettings {
        let says_bypass = self.bypass.is_some() || !self.bypass_paths.is_empty() || !self.bypass_cookies.is_empty();
        ZoneSettings {
            cache_ttl: self.cache_ttl,
            cache_query_strings: self.query_strings,
            bypass: says_bypass.then(|| ZoneBypass {
                everything: self.bypass.unwrap_or_default(),
                paths: self.bypass_paths.clone(),
                cookies: self.bypass_cookies.clone(),
            }),
            negative_ttl: self.negative_ttl,
            stale_on_error: self.stale_if_error,
            stale_while_revalidate: self.stale_while_revalidate,
            fence_policy: self.fence_policy.clone(),
            tiers: self.tiers,
            cache_set_cookie: self.keep_cookies,
            cache_authorization: self.keep_authorized,
            cors: self.cors,
            shield_region: self.shield_region.clone(),
        }
    }
}

async fn list(client_id: String, operator: &Operator) -> Result<()> {
    let zones = operator.connect().await?.list_zones(ListZonesRequest { client_id }).await.map_err(said)?.into_inner().zones;
    if operator.json {
        return output::json(&zones.iter().map(document).collect::<Vec<_>>());
    }
    let rows = zones.into_iter().map(|zone| {
        let origins = zone.origins.iter().map(|origin| origin.url.as_str()).collect::<Vec<_>>().join(" ");
        vec![zone.uuid, zone.client_id, zone.name, zone.cdn_hostname, origins]
    });
    output::table(&["ZONE", "CLIENT ID", "NAME", "HOST", "ORIGINS"], rows);
    Ok(())
}

fn print(zone: &Shown, operator: &Operator) -> Result<()> {
    let document = document(zone);
    if operator.json {
        return output::json(&document);
    }
    let Value::Object(members) = document else { return Ok(()) };
    for (name, value) in members {
        output::say!("{name:<24} {}", said_of(&name, &value));
    }
    Ok(())
}

/// A member of a zone's document, for people.
fn said_of(name: &str, value: &Value) -> String {
    let words = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    match (name, value) {
        ("shield_region", Value::Null) => "any".to_owned(),
        ("host_header", Value::String(host)) if host.is_empty() => "that of the origin's URL".to_owned(),
        ("created_at" | "updated_at", at) => {
            at.as_i64().and_then(|at| jiff::Timestamp::from_second(at).ok()).map_or_else(|| at.to_string(), |at| at.to_string())
        }
        ("origins", Value::Array(origins)) => origins.iter().map(origin_said).collect::<Vec<_>>().join(", "),
        ("bypass", rule) if rule["everything"] == true => "everything".to_owned(),
        ("bypass", rule) => {
            let kinds = [("paths", words(&rule["paths"])), ("cookies", words(&rule["cookies"]))];
            let kinds: Vec<_> = kinds.iter().filter(|(_, all)| !all.is_empty()).map(|(kind, all)| format!("{kind} {all}")).collect();
            if kinds.is_empty() { "nothing".to_owned() } else { kinds.join("; ") }
        }
        (_, Value::Array(values)) if values.is_empty() => "none".to_owned(),
        (_, Value::Array(_)) => words(value),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Null) => "by the book".to_owned(),
        (_, other) => other.to_string(),
    }
}

/// As it is given with `--origin` and `--backup`.
fn origin_said(origin: &Value) -> String {
    let url = origin["url"].as_str().unwrap_or_default();
    match (&origin["backup"], origin["weight"].as_u64()) {
        (Value::Bool(true), _) => format!("{url} (backup)"),
        (_, Some(weight)) if weight != 1 => format!("{url}={weight}"),
        _ => url.to_owned(),
    }
}

fn document(zone: &Shown) -> Value {
    let settings = zone.settings.clone().unwrap_or_default();
    let bypass = settings.bypass.unwrap_or_default();
    let seconds = |seconds: Option<ZoneSeconds>| seconds.and_then(|seconds| seconds.seconds);
    let origin = |origin: &ZoneOrigin| json!({ "url": origin.url, "weight": origin.weight, "backup": origin.backup });
    json!({
        "uuid": zone.uuid,
        "number": zone.number,
        "client_id": zone.client_id,
        "name": zone.name,
        "cdn_hostname": zone.cdn_hostname,
        "domains": zone.domains,
        "origins": zone.origins.iter().map(origin).collect::<Vec<_>>(),
        "host_header": zone.host_header,
        "cache_ttl": seconds(settings.cache_ttl),
        "negative_ttl": seconds(settings.negative_ttl),
        "stale_on_error": seconds(settings.stale_on_error),
        "stale_while_revalidate": seconds(settings.stale_while_revalidate),
        "cache_query_strings": settings.cache_query_strings,
        "bypass": { "everything": bypass.everything, "paths": bypass.paths, "cookies": bypass.cookies },
        "fence_policy": settings.fence_policy,
        "tiers": settings.tiers,
        "shield_region": settings.shield_region.filter(|region| !region.is_empty()),
        "cache_set_cookie": settings.cache_set_cookie,
        "cache_authorization": settings.cache_authorization,
        "cors": settings.cors,
        "created_at": zone.created_at_s,
        "updated_at": zone.updated_at_s,
        "revision": zone.revision,
    })
}

/// Seconds, or "book" for none of the zone's own.
fn seconds(text: &str) -> Result<ZoneSeconds, String> {
    match text {
        "book" => Ok(ZoneSeconds { seconds: None }),
        text => text.parse().map(|seconds| ZoneSeconds { seconds: Some(seconds) }).map_err(|_| "whole seconds, or \"book\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        description: Description,
    }

    fn given(options: &[&str]) -> Result<Description, clap::Error> {
        Given::try_parse_from(["update"].iter().chain(options)).map(|given| given.description)
    }

    #[test]
    fn an_update_says_what_is_to_change() {
        assert!(given(&[]).unwrap().says_nothing());
        for options in [["--cache-ttl", "book"], ["--host", "a.test"], ["--host-header", ""], ["--tiers", "false"], ["--bypass-path", "/a"]]
        {
            assert!(!given(&options).unwrap().says_nothing(), "{options:?}");
        }
    }

    #[test]
    fn an_empty_host_name_leaves_none() {
        let none = given(&["--host", ""]).unwrap();
        assert!(none.domains().is_empty() && !none.says_nothing());
        assert_eq!(given(&["--host", "a.test", "--host", "b.test"]).unwrap().domains(), ["a.test", "b.test"]);
    }

    #[test]
    fn seconds_are_seconds_or_the_book() {
        for bad in ["--cache-ttl=soon", "--cache-ttl=-5", "--cache-ttl=1.5", "--cache-ttl="] {
            let Err(error) = given(&[bad]) else { panic!("{bad} is taken") };
            assert!(error.to_string().contains("whole seconds, or \"book\""), "{error}");
        }
    }

    #[test]
    fn a_zone_is_shown_for_people() {
        let bypass = |paths: &[&str], cookies: &[&str]| json!({ "everything": false, "paths": paths, "cookies": cookies });
        let origins = json!([
            { "url": "http://a.test", "weight": 1, "backup": false },
            { "url": "http://b.test", "weight": 3, "backup": false },
            { "url": "http://c.test", "weight": 1, "backup": true },
        ]);
        for (name, value, expected) in [
            ("origins", origins, "http://a.test, http://b.test=3, http://c.test (backup)"),
            ("domains", json!([]), "none"),
            ("domains", json!(["a.test", "b.test"]), "a.test b.test"),
            ("bypass", bypass(&[], &[]), "nothing"),
            ("bypass", bypass(&["/a", "/b"], &["sid"]), "paths /a /b; cookies sid"),
            ("bypass", json!({ "everything": true, "paths": ["/a"], "cookies": [] }), "everything"),
            ("shield_region", Value::Null, "any"),
            ("cache_ttl", Value::Null, "by the book"),
            ("cache_ttl", json!(60), "60"),
            ("host_header", json!(""), "that of the origin's URL"),
            ("created_at", json!(1_795_845_530), "2026-11-28T05:58:50Z"),
        ] {
            assert_eq!(said_of(name, &value), expected, "{name}");
        }
    }
}
