//! The zones of clients: what their owners, and operators in their place, do with them.

mod explain;
mod purges;

use std::{fmt, sync::Arc};

use ncore_freshness::FencePolicy;
use ncore_model::{
    ClientId, Command, CreateShieldedZone, CreateZone, Outcome, Query, RemoveZone, Revision, ShieldZone, TableError, UpdateZone, Zone,
    ZoneFence, ZoneId, ZoneOrigin, ZoneSettings,
};

pub use explain::{AskedNodes, BadQuestion, ExplainError, ExplainNodes, Explains, ZoneExplained, ZoneQuestion};
pub use purges::{PurgedZone, ZonePurgeList, ZonePurgeState, purge_target};

use crate::{
    acknowledge::{AckLevel, Acknowledged},
    cluster::{Cluster, Seen},
    error::{ChangeError, StateError, ZoneError},
    once::{OnceKey, Payload},
};

/// The zones of the cluster.
pub struct Zones {
    cluster: Cluster,
    suffix: Arc<str>,
}

/// A zone with all that is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownZone {
    /// The zone.
    pub zone: Zone,
    /// Where its shield is to be, if not just anywhere.
    pub shield_region: Option<String>,
}

/// What a new zone is to be.
#[derive(Clone, PartialEq, Eq)]
pub struct NewZone {
    /// What to call it.
    pub name: String,
    /// Where its content comes from.
    pub origins: Vec<ZoneOrigin>,
    /// What origins are asked for as `Host`, in place of the host of their URLs.
    pub host_header: Option<String>,
    /// Its custom domains.
    pub domains: Vec<String>,
    /// What it keeps.
    pub settings: ZoneSettings,
    /// Where its shield is to be. Needs schema level 9.
    pub shield_region: Option<String>,
}

impl fmt::Debug for NewZone {
    /// Requests are compared by this, also with those that a release without shields has taken: what is not said is not in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, origins, host_header, domains, settings, shield_region } = self;
        let mut debug = f.debug_struct("NewZone");
        debug.field("name", name).field("origins", origins).field("host_header", host_header).field("domains", domains);
        debug.field("settings", settings);
        if let Some(region) = shield_region {
            debug.field("shield_region", region);
        }
        debug.finish()
    }
}

/// What is to change of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneChange {
    /// What is to change of the rest.
    pub update: UpdateZone,
    /// Where its shield is to be from now on: `None`, where it was; `Some(None)`, just anywhere. Needs schema level 9.
    pub shield_region: Option<Option<String>>,
}

/// A page of zones, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneList {
    /// The zones.
    pub zones: Vec<ShownZone>,
    /// How many the client has.
    pub total: usize,
}

impl Zones {
    pub(crate) fn new(cluster: Cluster, suffix: &str) -> Self {
        Self { cluster, suffix: suffix.into() }
    }

    /// Up to `limit` zones of a client, after the first `skip`.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn list(&self, client: &ClientId, skip: usize, limit: usize) -> Result<Seen<ZoneList>, StateError> {
        let client = client.clone();
        let read = self.cluster.read(move |view| {
            let (total, zones) = view.zones_of(&client, skip, limit)?;
            let zones = zones.into_iter().map(|zone| shown(view, zone)).collect::<Result<_, _>>()?;
            Ok(ZoneList { zones, total })
        });
        read.await
    }

    /// Every zone of every client.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn all(&self) -> Result<Seen<Vec<ShownZone>>, StateError> {
        self.cluster.read(|view| view.zones()?.into_iter().map(|zone| shown(view, zone)).collect()).await
    }

    /// A zone of a client; whoever's it is, if no client is given.
    ///
    /// # Errors
    /// [`ZoneError`]: a zone of another client is [`ZoneError::Unknown`].
    pub async fn get(&self, client: Option<&ClientId>, zone: ZoneId) -> Result<Seen<Zone>, ZoneError> {
        let Seen { revision, value } = self.cluster.read(move |view| view.zone(zone)).await.map_err(ZoneError::State)?;
        let value = value.filter(|zone| client.is_none_or(|client| zone.client == *client)).ok_or(ZoneError::Unknown)?;
        Ok(Seen { revision, value })
    }

    /// The same, with all that is said of it.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub async fn show(&self, client: Option<&ClientId>, zone: ZoneId) -> Result<Seen<ShownZone>, ZoneError> {
        let read = self.cluster.read(move |view| view.zone(zone)?.map(|zone| shown(view, zone)).transpose());
        let Seen { revision, value } = read.await.map_err(ZoneError::State)?;
        let value = value.filter(|shown| client.is_none_or(|client| shown.zone.client == *client)).ok_or(ZoneError::Unknown)?;
        Ok(Seen { revision, value })
    }

    /// The zone that has a host name, in lower case, whoever's it is.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub async fn of_host(&self, host: &str) -> Result<Seen<Zone>, ZoneError> {
        let host = host.to_owned();
        let Seen { revision, value } = self.cluster.read(move |view| view.zone_of_host(&host)).await.map_err(ZoneError::State)?;
        Ok(Seen { revision, value: value.ok_or(ZoneError::Unknown)? })
    }

    /// Makes a zone. Needs schema level 8.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub async fn create(&self, client: &ClientId, new: NewZone, once: Option<&OnceKey>) -> Result<Seen<ShownZone>, ZoneError> {
        self.is_free(&new.domains)?;
        let once = once.map(|key| key.within(client, "create zone", &payload(&new)));
        let NewZone { name, origins, host_header, domains, settings, shield_region } = new;
        let cdn_suffix = self.suffix.to_string();
        let create = CreateZone { client: client.clone(), name, origins, host_header, cdn_suffix, domains, settings };
        let command = match shield_region {
            Some(region) => Command::CreateShieldedZone(CreateShieldedZone { zone: create, region }),
            None => Command::CreateZone(create),
        };
        let committed = self.cluster.change(command, once).await.map_err(ZoneError::Change)?;
        let Outcome::ZoneCreated(id) = committed.outcome else { return Err(ZoneError::Change(ChangeError::Unexpected)) };
        self.show(Some(client), id).await
    }

    /// Changes a zone of `change.update.client`. Gives it as it is then.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub async fn update(&self, change: ZoneChange, once: Option<&OnceKey>) -> Result<Seen<ShownZone>, ZoneError> {
        let once = once.map(|key| {
            let UpdateZone { client, zone, .. } = &change.update;
            // As a release without shields has it, if none is meant.
            let payload = if change.shield_region.is_none() { payload(&change.update) } else { payload(&change) };
            key.within(client, &format!("update zone {zone}"), &payload)
        });
        let ZoneChange { update, shield_region } = change;
        self.is_free(update.domains.as_deref().unwrap_or_default())?;
        let (client, zone) = (update.client.clone(), update.zone);
        let command = match shield_region {
            // What is shown can be sent back, also below the level that shields need.
            Some(None) if self.show(Some(&client), zone).await?.value.shield_region.is_none() => Command::UpdateZone(update),
            Some(region) => Command::ShieldZone(ShieldZone { update, region }),
            None => Command::UpdateZone(update),
        };
        self.cluster.change(command, once).await.map_err(ZoneError::Change)?;
        self.show(Some(&client), zone).await
    }

    /// Removes a zone of `client`, with all that is kept of it.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub async fn remove(
        &self,
        client: &ClientId,
        zone: ZoneId,
        versions: Option<Vec<u64>>,
        once: Option<&OnceKey>,
        level: AckLevel,
    ) -> Result<(Revision, Acknowledged), ZoneError> {
        let policy = self.fence_policy(client, zone).await?;
        let once = once.map(|key| key.within(client, &format!("remove zone {zone}"), &payload(&versions)));
        let remove = RemoveZone { client: client.clone(), zone, versions };
        let committed = self.cluster.change(Command::RemoveZone(remove), once).await.map_err(ZoneError::Change)?;
        Ok((committed.revision, self.cluster.acknowledge(committed.revision, level, policy).await))
    }

    /// What nodes that are fenced do with content of a zone. One that is not there has none.
    async fn fence_policy(&self, client: &ClientId, zone: ZoneId) -> Result<FencePolicy, ZoneError> {
        match self.get(Some(client), zone).await {
            Ok(seen) => Ok(match seen.value.settings.fence {
                ZoneFence::Serve => FencePolicy::Serve,
                ZoneFence::Revalidate => FencePolicy::Revalidate,
                ZoneFence::Refuse => FencePolicy::Refuse,
            }),
            // Perhaps it was removed by the same request before; the log knows.
            Err(ZoneError::Unknown) => Ok(FencePolicy::Refuse),
            Err(error) => Err(error),
        }
    }

    /// Whether none of these names is the cluster's to give.
    fn is_free(&self, domains: &[String]) -> Result<(), ZoneError> {
        let is_ours = |host: &&String| host.strip_suffix(&*self.suffix).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        domains.iter().find(is_ours).map_or(Ok(()), |host| Err(ZoneError::Reserved { host: host.clone() }))
    }
}

fn shown(view: &impl Query, zone: Zone) -> Result<ShownZone, TableError> {
    let shield_region = view.zone_shield(zone.id)?;
    Ok(ShownZone { zone, shield_region })
}

/// What is compared is what was asked for, and `Debug` of it has all of that.
fn payload(wanted: &impl fmt::Debug) -> Payload {
    let mut payload = Payload::new();
    payload.add(format!("{wanted:?}").as_bytes());
    payload
}
