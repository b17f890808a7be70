//! A zone of the replicated state as serving has it.

use std::sync::Arc;

use http::HeaderValue;
use ncore_cache::{purges::ZonePurges, reuse::ReusePolicy, storable::Cookies};
use ncore_model::{Zone, ZoneFence, ZonePurge, ZonePurgeMark, ZonePurgeTarget};
use ncore_serving::zones::{self, Authorised, BadOrigin, Bypass, FencedZone, KeySettings, OriginSet, QueryKey, TtlSettings};
use uuid::Uuid;

/// The zone for serving.
///
/// # Errors
/// [`BadOrigin`]: its origins are none that this build can ask.
pub(super) fn zone(zone: &Zone) -> Result<zones::Zone, BadOrigin> {
    let settings = &zone.settings;
    let hosts = zone.hosts().map(Into::into).collect();
    let everything = settings.bypass.everything.then(|| Bypass::Prefix("/".into()));
    let prefixes = settings.bypass.prefixes.iter().map(|path| Bypass::Prefix(path.as_str().into()));
    let cookies = settings.bypass.cookies.iter().map(|name| Bypass::Cookie(name.as_str().into()));
    Ok(zones::Zone {
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
        cors: settings.cors.then(|| HeaderValue::from_static("*")),
        ..zones::Zone::new(zone.number, Uuid::from_bytes(zone.id.0), zone.client.as_str().into(), hosts, Arc::new(origins(zone)?))
    })
}

/// Where its content comes from.
fn origins(zone: &Zone) -> Result<OriginSet, BadOrigin> {
    let first = zone.origins.iter().find(|origin| !origin.backup).ok_or(BadOrigin)?;
    OriginSet::plain(&first.url)
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
