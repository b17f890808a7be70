//! Makes what serving asks of zones out of the replica, and keeps it as new as the replica is.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use ncore_cache::purges::PurgeIndex;
use ncore_control::rebuild::beginning_after;
use ncore_model::{ClientId, ClientStatus, Query, Revision, Table, TableError, ZoneId};
use ncore_origin::Origins;
use ncore_replica::{Change, Observer, Replica, ReplicaError, View};
use ncore_serving::zones::{Zone, ZoneTable, Zones};
use ncore_telemetry::Usage;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::convert;

/// The publisher. It observes the replica.
pub(crate) struct ZonePublisher {
    replica: Arc<Replica>,
    origins: Origins,
    usage: Arc<Usage>,
    /// Where the health of origins is looked after: changes come on a thread that is of no runtime.
    runtime: Handle,
    zones: Zones,
    purges: Arc<ArcSwap<PurgeIndex>>,
    known: Mutex<Known>,
}

/// What was published last, in the form that it is changed in.
#[derive(Default)]
struct Known {
    /// By number, so that the older of two comes first.
    zones: BTreeMap<u64, (ZoneId, ClientId, Arc<Zone>)>,
    /// The clients of which nothing is served.
    suspended: HashSet<ClientId>,
    /// Whether all of it has to be read anew, because it could not be read.
    is_damaged: bool,
}

/// Why zones cannot be read.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("the replica cannot be read")]
    Replica(#[from] ReplicaError),
    #[error("a table cannot be read")]
    Table(#[from] TableError),
}

/// What changed, as far as it concerns zones.
#[derive(Default)]
struct Touched {
    zones: Vec<ZoneId>,
    clients: Vec<ClientId>,
    purges: Vec<u64>,
}

impl ZonePublisher {
    /// What is served of zones is counted with `usage`.
    pub(crate) fn new(replica: Arc<Replica>, origins: Origins, usage: Arc<Usage>) -> Self {
        let runtime = Handle::current();
        Self { replica, origins, usage, runtime, zones: Zones::default(), purges: Arc::default(), known: Mutex::default() }
    }

    /// The zones by host, as they are now at any time.
    pub(crate) fn zones(&self) -> Zones {
        Arc::clone(&self.zones)
    }

    /// The purges, as they are now at any time.
    pub(crate) fn purges(&self) -> Arc<ArcSwap<PurgeIndex>> {
        Arc::clone(&self.purges)
    }

    /// Reads and publishes all of it.
    pub(crate) fn publish_all(&self) {
        self.read_all(&mut self.known.lock());
    }

    fn read_all(&self, known: &mut Known) {
        let read = self.replica.read(|view| {
            let mut index = PurgeIndex::new(floor(view)?);
            let mut zones = Vec::new();
            for zone in view.zones()? {
                index = with_purges(&index, view, zone.number)?;
                zones.push((view.zone_shield(zone.id)?, zone));
            }
            let clients = view.clients()?.into_iter();
            let suspended = clients.filter(|client| client.status == ClientStatus::Suspended).map(|client| client.id).collect();
            Ok::<_, PublishError>((index, zones, suspended))
        });
        match read {
            Ok((index, zones, suspended)) => {
                self.purges.store(Arc::new(index));
                let zones =
                    zones.iter().filter_map(|(shield, zone)| self.served(zone, shield.as_deref())).map(|zone| (zone.2.id, zone)).collect();
                *known = Known { zones, suspended, is_damaged: false };
                self.publish(known);
            }
            Err(error) => self.lose(known, &error),
        }
    }

    /// Old content is good for nothing until the purges can be read.
    fn lose(&self, known: &mut Known, error: &PublishError) {
        tracing::error!(error = error as &dyn std::error::Error, "zones cannot be read: what is cached of them counts as purged");
        known.is_damaged = true;
        self.purges.store(Arc::new(PurgeIndex::new(u64::MAX)));
    }

    /// A zone for serving; `None` for one that this build cannot serve.
    fn served(&self, zone: &ncore_model::Zone, shield_region: Option<&str>) -> Option<(ZoneId, ClientId, Arc<Zone>)> {
        let _inside = self.runtime.enter();
        match convert::zone(zone, shield_region, &self.origins, &self.usage) {
            Ok(served) => Some((zone.id, zone.client.clone(), Arc::new(served))),
            Err(error) => {
                tracing::error!(zone = %zone.id, error = &error as &dyn std::error::Error, "a zone cannot be served");
                None
            }
        }
    }

    fn publish(&self, known: &Known) {
        let served = known.zones.values().filter(|(_, client, _)| !known.suspended.contains(client));
        self.zones.store(Arc::new(ZoneTable::new(served.map(|(_, _, zone)| Arc::clone(zone)))));
    }

    fn update(&self, known: &mut Known, touched: &Touched) -> Result<(), PublishError> {
        self.replica.read(|view| {
            if !touched.purges.is_empty() {
                let mut index = (**self.purges.load()).clone();
                for number in &touched.purges {
                    index = with_purges(&index, view, *number)?;
                }
                self.purges.store(Arc::new(index));
            }
            for id in &touched.zones {
                let (zone, shield) = (view.zone(*id)?, view.zone_shield(*id)?);
                known.zones.retain(|_, (known, ..)| *known != *id);
                if let Some(zone) = zone.as_ref().and_then(|zone| self.served(zone, shield.as_deref())) {
                    known.zones.insert(zone.2.id, zone);
                }
            }
            for id in &touched.clients {
                let is_suspended = view.client(id)?.is_some_and(|client| client.status == ClientStatus::Suspended);
                if is_suspended {
                    known.suspended.insert(id.clone())
                } else {
                    known.suspended.remove(id)
                };
            }
            Ok(())
        })
    }
}

impl Observer for ZonePublisher {
    fn changed(&self, _: Revision, changes: &[Change]) {
        let touched = Touched::by(changes);
        if touched.zones.is_empty() && touched.clients.is_empty() && touched.purges.is_empty() {
            return;
        }
        let mut known = self.known.lock();
        if known.is_damaged {
            return self.read_all(&mut known);
        }
        match self.update(&mut known, &touched) {
            Ok(()) if touched.zones.is_empty() && touched.clients.is_empty() => {}
            Ok(()) => self.publish(&known),
            Err(error) => self.lose(&mut known, &error),
        }
    }

    fn replaced(&self, _: Revision) {
        self.publish_all();
    }
}

impl Touched {
    fn by(changes: &[Change]) -> Self {
        let mut touched = Self::default();
        for Change { table, key } in changes {
            match table {
                // Where its shield is does not change without it.
                Table::Zones => touched.zones.extend(key.as_slice().try_into().map(ZoneId)),
                // Each purge changes the mark of its zone.
                Table::ZonePurgeMarks => touched.purges.extend(key.as_slice().try_into().map(u64::from_be_bytes)),
                Table::Clients => touched.clients.extend(str::from_utf8(key).map(ClientId::from_text)),
                _ => {}
            }
        }
        touched
    }
}

/// The index with the purges of one zone as they are in this view.
fn with_purges(index: &PurgeIndex, view: &View<'_>, number: u64) -> Result<PurgeIndex, TableError> {
    let mark = view.zone_purge_mark(number)?;
    let kept = view.zone_purges_from(number, mark.oldest_good().saturating_add(1))?;
    let purges = convert::purges(mark, &kept);
    Ok(index.with(number, (mark.oldest_good() > 0 || !purges.is_empty()).then_some(purges)))
}

/// What was filled in a lineage before the present one: purges that it had may be lost.
fn floor(view: &View<'_>) -> Result<u64, TableError> {
    Ok(view.lineages()?.last().map_or(0, |lineage| beginning_after(lineage.base)))
}
