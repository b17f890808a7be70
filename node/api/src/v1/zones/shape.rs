//! A zone as version 1 shows it.

use jiff::Timestamp;
use ncore_domain::{ShownZone, ZonePurgeState};
use ncore_model::{Zone, ZoneOrigin, ZonePurgeTarget, ZoneSettings};
use serde_json::{Value, json};

/// A row of the list.
pub(super) fn listed(zone: &Zone) -> Value {
    json!({
        "uuid": zone.id.to_string(),
        "name": zone.name,
        "zone_type": "cdn",
        "origin_url": origin_url(zone),
        "cdn_hostname": zone.cdn_hostname,
        "cache_ttl": zone.settings.cache_ttl_s,
        "created_at": time(zone.created_at_ms),
    })
}

/// All of it. What there is not yet is off.
pub(super) fn whole(shown: &ShownZone) -> Value {
    let ShownZone { zone, shield_region } = shown;
    let ZoneSettings {
        cache_ttl_s,
        cache_query_strings,
        bypass,
        negative_ttl_s,
        stale_on_error_s,
        stale_while_revalidate_s,
        fence,
        tiers,
        cache_set_cookie,
        cache_authorization,
        cors,
    } = &zone.settings;
    let origin = |origin: &ZoneOrigin| json!({ "url": origin.url, "weight": origin.weight, "backup": origin.backup });
    let domain = |domain: &String| json!({ "domain": domain, "ssl_status": "pending" });
    json!({
        "uuid": zone.id.to_string(),
        "name": zone.name,
        "zone_type": "cdn",
        "origin_url": origin_url(zone),
        "origins": zone.origins.iter().map(origin).collect::<Vec<_>>(),
        "origin_host_header": zone.host_header,
        "cdn_hostname": zone.cdn_hostname,
        "cache_ttl": cache_ttl_s,
        "cache_query_strings": cache_query_strings,
        "negative_ttl": negative_ttl_s,
        "stale_on_error": stale_on_error_s,
        "stale_while_revalidate": stale_while_revalidate_s,
        "fence_policy": fence.as_str(),
        "tiers": tiers,
        "shield_region": shield_region,
        "cache_set_cookie": cache_set_cookie,
        "cache_authorization": cache_authorization,
        "bypass": { "everything": bypass.everything, "paths": bypass.prefixes, "cookies": bypass.cookies },
        "cors_enabled": cors,
        "hotlink_protection": false,
        "image_optimization": false,
        "minify_css": false,
        "minify_js": false,
        "scripts_enabled": false,
        "waf_enabled": false,
        "waiting_room_enabled": false,
        "custom_domains": zone.domains.iter().map(domain).collect::<Vec<_>>(),
        "created_at": time(zone.created_at_ms),
        "updated_at": time(zone.updated_at_ms),
    })
}

/// A purge. When it was complete is kept nowhere.
pub(super) fn purge(state: &ZonePurgeState) -> Value {
    let mut document = json!({
        "id": format!("purge_{}", state.index),
        "status": status(state),
        "type": if state.purge.targets.contains(&ZonePurgeTarget::Zone) { "all" } else { "path" },
        "created_at": time(state.purge.at_ms),
        "completed_at": null,
        "edge_statuses": state.nodes.iter().map(|(name, done)| (name.clone(), edge(*done).into())).collect::<serde_json::Map<_, _>>(),
    });
    let path = |target: &ZonePurgeTarget| match target {
        ZonePurgeTarget::Zone => None,
        ZonePurgeTarget::Url(path) => Some(path.clone()),
        ZonePurgeTarget::Prefix(prefix) => Some(format!("{prefix}*")),
    };
    let paths: Vec<String> = state.purge.targets.iter().filter_map(path).collect();
    if !paths.is_empty() {
        document["paths"] = paths.into();
    }
    document
}

/// Whether every node has applied it, or which of the other words fits.
pub(super) fn status(state: &ZonePurgeState) -> &'static str {
    if state.is_everywhere() { "completed" } else { "processing" }
}

fn edge(done: bool) -> &'static str {
    if done { "completed" } else { "pending" }
}

/// The URL of the first origin that is no backup.
fn origin_url(zone: &Zone) -> Option<&str> {
    zone.origins.iter().find(|origin| !origin.backup).map(|origin| origin.url.as_str())
}

fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
