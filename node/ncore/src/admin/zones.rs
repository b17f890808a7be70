//! Zones, as operators see and change them in place of their owners.

use ncore_domain::{
    AckLevel, AskedNodes, BadQuestion, ChangeError, Domain, Explains, NewZone, Seen, ShownZone, ZoneChange, ZoneError, ZoneExplained,
    ZoneQuestion, purge_target,
};
use ncore_model::{
    ClientId, Rejection, Revision, UpdateZone, Zone, ZoneBypass, ZoneId, ZoneOrigin, ZonePurgeTarget, ZoneSettings, ZoneSettingsPatch,
};
use ncore_proto::admin::v1 as wire;
use tonic::Status;

use super::{internal, one_line, reached, rejected};

pub(super) async fn list(domain: &Domain, client_id: &str) -> Result<wire::ListZonesReply, Status> {
    let Seen { revision, value } = match client_id {
        "" => domain.zones().all().await.map_err(internal)?,
        id => {
            let seen = domain.zones().list(&ClientId::from_text(id), 0, usize::MAX).await.map_err(internal)?;
            Seen { revision: seen.revision, value: seen.value.zones }
        }
    };
    Ok(wire::ListZonesReply { zones: value.into_iter().map(|zone| shown_at(zone, revision)).collect() })
}

pub(super) async fn show(domain: &Domain, uuid: &str) -> Result<wire::Zone, Status> {
    let Seen { revision, value } = domain.zones().show(None, id_of(uuid)?).await.map_err(refused)?;
    Ok(shown_at(value, revision))
}

pub(super) async fn create(domain: &Domain, request: wire::CreateZoneRequest) -> Result<wire::Zone, Status> {
    let wire::CreateZoneRequest { client_id, name, origins, host_header, domains, settings } = request;
    let settings = settings.unwrap_or_default();
    let new = NewZone {
        name,
        origins: origins_of(origins)?,
        host_header: (!host_header.is_empty()).then_some(host_header),
        domains,
        shield_region: shield_region_of(&settings).flatten(),
        settings: ZoneSettings::default().patched(&patch_of(settings)?),
    };
    let Seen { revision, value } = domain.zones().create(&ClientId::from_text(&client_id), new, None).await.map_err(refused)?;
    Ok(shown_at(value, revision))
}

pub(super) async fn update(domain: &Domain, request: wire::UpdateZoneRequest) -> Result<wire::Zone, Status> {
    let wire::UpdateZoneRequest { uuid, name, origins, host_header, domains, settings } = request;
    let zone = zone(domain, &uuid).await?.value;
    let settings = settings.unwrap_or_default();
    let shield_region = shield_region_of(&settings);
    let update = UpdateZone {
        name,
        origins: if origins.is_empty() { None } else { Some(origins_of(origins)?) },
        host_header: host_header.map(|host| (!host.is_empty()).then_some(host)),
        domains: domains.map(|domains| domains.values),
        settings: patch_of(settings)?,
        ..UpdateZone::nothing(zone.client, zone.id)
    };
    let Seen { revision, value } = domain.zones().update(ZoneChange { update, shield_region }, None).await.map_err(refused)?;
    Ok(shown_at(value, revision))
}

pub(super) async fn delete(domain: &Domain, uuid: &str) -> Result<wire::AckReply, Status> {
    let zone = zone(domain, uuid).await?.value;
    let removed = domain.zones().remove(&zone.client, zone.id, None, None, AckLevel::All).await;
    removed.map(|(_, acknowledged)| reached(&acknowledged)).map_err(refused)
}

pub(super) async fn purge(domain: &Domain, request: wire::PurgeZoneRequest) -> Result<wire::PurgeZoneReply, Status> {
    let zone = zone(domain, &request.uuid).await?.value;
    let mut targets: Vec<ZonePurgeTarget> = request.paths.iter().map(|path| purge_target(path)).collect();
    if targets.is_empty() {
        targets.push(ZonePurgeTarget::Zone);
    }
    let purged = domain.zones().purge(&zone.client, zone.id, targets, None, AckLevel::All).await.map_err(refused)?;
    Ok(wire::PurgeZoneReply {
        id: format!("purge_{}", purged.state.index),
        revision: purged.revision.to_string(),
        level: purged.acknowledged.as_str().to_owned(),
    })
}

pub(super) async fn explain(
    domain: &Domain,
    explains: &Explains,
    request: wire::ExplainZoneRequest,
) -> Result<wire::ExplainZoneReply, Status> {
    let wire::ExplainZoneRequest { url, headers, node, all } = request;
    let bad = |error: BadQuestion| Status::invalid_argument(error.to_string());
    let (host, target) = ZoneQuestion::split(&url).map_err(bad)?;
    let host = host
        .ok_or_else(|| Status::invalid_argument("a whole URL is needed, with http:// or https:// and a host: the zone is found by that"))?;
    let fields = ZoneQuestion::fields(headers.iter().map(String::as_str)).map_err(bad)?;
    let zone = domain.zones().of_host(&host).await.map_err(|error| match error {
        ZoneError::Unknown => Status::not_found(format!("no zone has the host {host}; `ncore zone list` lists them")),
        error => refused(error),
    })?;
    let question = ZoneQuestion { zone: zone.value.id, host, target, fields };
    let asked = match (all, &*node) {
        (true, _) => AskedNodes::All,
        (false, "") => AskedNodes::Own,
        (false, _) => AskedNodes::Named(node),
    };
    let explained = explains.ask(&question, &asked).await;
    if explained.is_empty() {
        return Err(Status::not_found("there is no such node; `ncore cluster nodes` lists them"));
    }
    Ok(wire::ExplainZoneReply { nodes: explained.into_iter().map(said).collect() })
}

fn said(explained: ZoneExplained) -> wire::NodeExplanation {
    let (id, name) = (explained.node.id.0, explained.node.name.to_string());
    match explained.said {
        Ok(document) => wire::NodeExplanation { id, name, document: document.to_string(), error: String::new() },
        Err(error) => wire::NodeExplanation { id, name, document: String::new(), error: error.in_a_line() },
    }
}

async fn zone(domain: &Domain, uuid: &str) -> Result<Seen<Zone>, Status> {
    domain.zones().get(None, id_of(uuid)?).await.map_err(refused)
}

fn id_of(uuid: &str) -> Result<ZoneId, Status> {
    uuid.parse().map_err(|()| Status::invalid_argument("that is not the id of a zone"))
}

fn origins_of(origins: Vec<wire::ZoneOrigin>) -> Result<Vec<ZoneOrigin>, Status> {
    let origin = |origin: wire::ZoneOrigin| {
        let weight = u16::try_from(origin.weight).map_err(|_| Status::invalid_argument("the weight of an origin is 1 to 1000"))?;
        Ok(ZoneOrigin { url: origin.url, weight, backup: origin.backup })
    };
    origins.into_iter().map(origin).collect()
}

/// Empty is for just anywhere.
fn shield_region_of(settings: &wire::ZoneSettings) -> Option<Option<String>> {
    settings.shield_region.clone().map(|region| (!region.is_empty()).then_some(region))
}

fn patch_of(settings: wire::ZoneSettings) -> Result<ZoneSettingsPatch, Status> {
    let fence = settings.fence_policy.map(|policy| policy.parse());
    Ok(ZoneSettingsPatch {
        cache_ttl_s: settings.cache_ttl.map(|ttl| ttl.seconds),
        cache_query_strings: settings.cache_query_strings,
        bypass: settings.bypass.map(|bypass| ZoneBypass { everything: bypass.everything, prefixes: bypass.paths, cookies: bypass.cookies }),
        negative_ttl_s: settings.negative_ttl.map(|ttl| ttl.seconds),
        stale_on_error_s: settings.stale_on_error.map(|ttl| ttl.seconds),
        stale_while_revalidate_s: settings.stale_while_revalidate.map(|ttl| ttl.seconds),
        fence: fence.transpose().map_err(|()| Status::invalid_argument("a fence policy is revalidate, serve or refuse"))?,
        tiers: settings.tiers,
        cache_set_cookie: settings.cache_set_cookie,
        cache_authorization: settings.cache_authorization,
        cors: settings.cors,
    })
}

fn shown_at(shown: ShownZone, revision: Revision) -> wire::Zone {
    let ShownZone { zone, shield_region } = shown;
    let seconds = |seconds: Option<u32>| Some(wire::ZoneSeconds { seconds });
    let ZoneBypass { everything, prefixes, cookies } = zone.settings.bypass;
    let settings = wire::ZoneSettings {
        cache_ttl: seconds(zone.settings.cache_ttl_s),
        cache_query_strings: Some(zone.settings.cache_query_strings),
        bypass: Some(wire::ZoneBypass { everything, paths: prefixes, cookies }),
        negative_ttl: seconds(zone.settings.negative_ttl_s),
        stale_on_error: seconds(zone.settings.stale_on_error_s),
        stale_while_revalidate: seconds(zone.settings.stale_while_revalidate_s),
        fence_policy: Some(zone.settings.fence.as_str().to_owned()),
        tiers: Some(zone.settings.tiers),
        cache_set_cookie: Some(zone.settings.cache_set_cookie),
        cache_authorization: Some(zone.settings.cache_authorization),
        cors: Some(zone.settings.cors),
        shield_region: Some(shield_region.unwrap_or_default()),
    };
    let origin = |origin: ZoneOrigin| wire::ZoneOrigin { url: origin.url, weight: origin.weight.into(), backup: origin.backup };
    wire::Zone {
        uuid: zone.id.to_string(),
        number: zone.number,
        client_id: zone.client.to_string(),
        name: zone.name,
        origins: zone.origins.into_iter().map(origin).collect(),
        host_header: zone.host_header.unwrap_or_default(),
        cdn_hostname: zone.cdn_hostname,
        domains: zone.domains,
        settings: Some(settings),
        created_at_s: zone.created_at_ms / 1_000,
        updated_at_s: zone.updated_at_ms / 1_000,
        revision: revision.to_string(),
    }
}

fn refused(error: ZoneError) -> Status {
    match error {
        ZoneError::Unknown => Status::not_found(error.to_string()),
        ZoneError::Reserved { .. } => Status::invalid_argument(error.to_string()),
        ZoneError::State(error) => internal(error),
        ZoneError::Change(ChangeError::Rejected { rejection: rejection @ Rejection::ZoneUnknown, .. }) => {
            Status::not_found(rejection.to_string())
        }
        ZoneError::Change(ChangeError::Rejected { rejection, .. }) => rejected(&rejection),
        ZoneError::Change(error @ ChangeError::Unknown { .. }) => {
            Status::deadline_exceeded(format!("{error}; look at the list before you try again"))
        }
        ZoneError::Change(error) => Status::unavailable(one_line(&error)),
    }
}
