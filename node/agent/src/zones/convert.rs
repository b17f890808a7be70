//! A zone of the replicated state as serving has it.

use std::sync::Arc;

use http::HeaderValue;
use ncore_cache::{purges::ZonePurges, reuse::ReusePolicy, storable::Cookies};
use ncore_model::{Zone, ZoneFence, ZonePurge, ZonePurgeMark, ZonePurgeTarget};
use ncore_origin::{FixedHost, HostField, OriginSet, OriginSettings, OriginUrlError, Origins, SetSettings, SettingsError};
use ncore_serving::zones::{self, Authorised, Bypass, FencedZone, KeySettings, QueryKey, Tiered, TtlSettings};
use ncore_telemetry::Usage;
use uuid::Uuid;

/// The zone for serving.
///
/// # Errors
/// [`BadOrigins`]: its origins are none that this build can ask.
pub(super) fn zone(zone: &Zone, shield_region: Option<&str>, origins: &Origins, usage: &Usage) -> Result<zones::Zone, BadOrigins> {
    let (set, prefix) = origins_of(zone, origins)?;
    let settings = &zone.settings;
    let hosts = zone.hosts().map(Into::into).collect();
    let everything = settings.bypass.everything.then(|| Bypass::Prefix("/".into()));
    let prefixes = settings.bypass.prefixes.iter().map(|path| Bypass::Prefix(path.as_str().into()));
    let cookies = settings.bypass.cookies.iter().map(|name| Bypass::Cookie(name.as_str().into()));
    Ok(zones::Zone {
        meter: usage.meter(zone.client.as_str()),
        prefix: prefix.into(),
        key: KeySettings { query: if settings.cache_query_strings { QueryKey::All } else { QueryKey::Nothing }, ..KeySettings::default() },
        ttl: TtlSettings {
            default_s: settings.cache_ttl_s.map(u64::from),
            negative_s: settings.negative_ttl_s.map(u64::from),
            ..TtlSettings::BY_THE_BOOK
        },
        bypass: everything.into_iter().chain(prefixes).chain(cookies).collect(),
        reuse: ReusePolicy {
            stale_if_error_s: settings.stale_on_error_s.unwrap_or(0).into(),
            stale_while_revalidate_s: settings.stale_while_revalidate_s.unwrap_or(0).into(),
            ..ReusePolicy::STRICT
        },
        fenced: match settings.fence {
            ZoneFence::Revalidate => FencedZone::Revalidate,
            ZoneFence::Serve => FencedZone::Serve,
            ZoneFence::Refuse => FencedZone::Refuse,
        },
        cookies: if settings.cache_set_cookie { Cookies::Keep } else { Cookies::Refuse },
        authorised: if settings.cache_authorization { Authorised::Keep } else { Authorised::ByTheBook },
        tiered: if settings.tiers { Tiered::Yes } else { Tiered::No },
        shield_region: shield_region.map(Into::into),
        cors: settings.cors.then(|| HeaderValue::from_static("*")),
        ..zones::Zone::new(zone.number, Uuid::from_bytes(zone.id.0), zone.client.as_str().into(), hosts, set)
    })
}

/// Where its content comes from, and what stands before the paths there, which is the same for all.
fn origins_of<'a>(zone: &'a Zone, origins: &Origins) -> Result<(Arc<OriginSet>, &'a str), BadOrigins> {
    let mut members = Vec::with_capacity(zone.origins.len());
    let mut prefix = "";
    for origin in &zone.origins {
        let (base, path) = split(&origin.url);
        let url = base.parse().map_err(BadOrigins::Url)?;
        members.push(OriginSettings { weight: origin.weight.into(), backup: origin.backup, ..OriginSettings::new(url) });
        prefix = path;
    }
    let first = members.first().ok_or(BadOrigins::Settings(SettingsError::Origins))?;
    let mut settings = SetSettings::of(first.url.clone());
    settings.origins = members;
    settings.timeouts = origins.timeouts();
    if let Some(host) = &zone.host_header {
        settings.host = HostField::Fixed(FixedHost::new(host).map_err(BadOrigins::Url)?);
    }
    Ok((origins.set(&settings).map_err(BadOrigins::Settings)?, prefix))
}

/// The URL of an origin without its path, and the path without the slash at its end.
fn split(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[authority..].find('/').map_or(url.len(), |path| authority + path);
    (&url[..end], url[end..].trim_end_matches('/'))
}

/// Why the origins of a zone cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadOrigins {
    /// One has a URL that is none of an origin, or is to be asked for a host that is none.
    #[error("an origin has no address")]
    Url(#[source] OriginUrlError),
    /// They do not go together.
    #[error("the origins make no sense together")]
    Settings(#[source] SettingsError),
}

/// The purges of a zone for serving.
pub(super) fn purges(mark: ZonePurgeMark, kept: &[(u64, ZonePurge)]) -> ZonePurges {
    let mut purges = ZonePurges::new(mark.floor, mark.zone_at);
    for (index, purge) in kept {
        for target in &purge.targets {
            match target {
                ZonePurgeTarget::Zone => purges.purge_zone(*index),
                ZonePurgeTarget::Url(url) => purges.purge_url(url, *index),
                ZonePurgeTarget::Prefix(prefix) => purges.purge_prefix(prefix, *index),
            }
        }
    }
    purges
}
