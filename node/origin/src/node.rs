//! What all origins of this node share: places for connections, names, addresses that may be dialled, authorities, counts.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::address::AddressPolicy;
use crate::error::{ErrorKind, OriginError};
use crate::figures::Figures;
use crate::pool::Pool;
use crate::resolve::Resolve;

/// What all origins of this node share.
pub(crate) struct Node {
    most: usize,
    places: Arc<Semaphore>,
    pools: Mutex<Vec<Weak<Pool>>>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) authorities: Arc<RootCertStore>,
    pub(crate) figures: Arc<Figures>,
}

impl Node {
    pub(crate) fn new(places: usize, resolver: Arc<dyn Resolve>, policy: AddressPolicy, authorities: RootCertStore) -> Self {
        Self {
            most: places,
            places: Arc::new(Semaphore::new(places)),
            pools: Mutex::default(),
            resolver,
            policy: Arc::new(policy),
            authorities: Arc::new(authorities),
            figures: Arc::default(),
        }
    }

    /// Connections that are open or being made.
    pub(crate) fn connections(&self) -> usize {
        self.most - self.places.available_permits()
    }

    /// A pool takes part.
    pub(crate) fn add(&self, pool: &Arc<Pool>) {
        self.pools.lock().push(Arc::downgrade(pool));
    }

    /// A place for a connection, waiting for one until then. Connections that nobody uses make way.
    pub(crate) async fn place(&self, until: Instant) -> Result<OwnedSemaphorePermit, OriginError> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        for pool in self.pools() {
            pool.shed();
            if self.places.available_permits() > 0 {
                break;
            }
        }
        match timeout_at(until, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(OriginError::new(ErrorKind::Busy)),
        }
    }

    /// Ends connections that were kept for long enough, and forgets pools that are gone.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for pool in self.pools() {
            pool.sweep(now);
        }
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.iter().filter_map(Weak::upgrade).collect()
    }
}
