//! How content comes in and becomes an asset.
//!
//! ```text
//!   begin ──► receiving ──────► staged ──────────► placed ───────────► proposed ──► settled
//!             every byte goes   fsynced here,      on enough nodes,    the change   known: pins released
//!             to this disk and  its hashes known   durable and pinned  is asked for unknown: pins kept
//!             to other nodes
//!               │ dropped, too large, full            │ too few nodes
//!               ▼                                     ▼
//!             nothing is left                       pins released, 503, nothing was asked for
//! ```
//!
//! A client that goes away while it sends leaves nothing. Once its last byte is here and [`UploadSession::finish`] runs, the
//! upload completes whether or not anybody waits for the answer. From the content being durable here to that answer one deadline
//! holds (`schedule`), whatever other nodes do.

mod media_type;
mod pins;
mod place;
mod resumable;
mod schedule;
mod session;

pub use media_type::{MediaType, MediaTypeError};
pub use place::PINS_HOLD_MS;
pub use resumable::{NewUpload, Pieces, Received, Receiver};
pub use session::{UploadMeta, UploadSession, UploadStart, Uploaded};

use std::{sync::Arc, time::Duration};

use ncore_model::{ClientId, Node, NodeId, Query, ReadTables, TableError};
use ncore_store::{BlobStore, PinId, WriteOptions};
use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    cluster::Cluster,
    copies::{Copies, FanOrder},
    error::UploadError,
    settings::Settings,
};

/// How assets come in.
#[derive(Clone)]
pub struct Uploads {
    parts: Arc<Parts>,
    turns: Arc<Semaphore>,
}

/// What every upload needs.
struct Parts {
    cluster: Cluster,
    store: BlobStore,
    copies: Arc<dyn Copies>,
    clock: Arc<dyn Clock>,
    public_url: Arc<str>,
    write_copies: usize,
    allow_single_copy: bool,
    max_upload_bytes: u64,
    default_cache_ttl_s: u32,
    upload_lifetime: Duration,
    request_deadline: Duration,
}

impl Parts {
    /// How long an upload in pieces stays open without one.
    fn lifetime_ms(&self) -> u64 {
        u64::try_from(self.upload_lifetime.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Uploads {
    pub(crate) fn new(
        cluster: Cluster,
        store: BlobStore,
        copies: Arc<dyn Copies>,
        clock: Arc<dyn Clock>,
        settings: &Settings,
        public_url: Arc<str>,
    ) -> Self {
        let parts = Parts {
            cluster,
            store,
            copies,
            clock,
            public_url,
            write_copies: settings.write_copies.max(1),
            allow_single_copy: settings.allow_single_copy,
            max_upload_bytes: settings.max_upload_bytes,
            default_cache_ttl_s: settings.default_cache_ttl_s,
            upload_lifetime: settings.upload_lifetime,
            request_deadline: settings.request_deadline,
        };
        Self { parts: Arc::new(parts), turns: Arc::new(Semaphore::new(settings.uploads_at_once)) }
    }

    /// The most bytes of one asset.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.parts.max_upload_bytes
    }

    /// Begins an upload of `client`. Other nodes are connected to while its first bytes come.
    ///
    /// # Errors
    /// [`UploadError`]: before a byte was taken.
    pub async fn begin(&self, client: &ClientId, start: UploadStart) -> Result<UploadSession, UploadError> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| UploadError::Busy)?;
        let owner = client.clone();
        let seen = self.parts.cluster.read(move |view| {
            let members = view.members()?;
            let prefer = preferred(view, &owner, &members)?;
            Ok((members.len(), prefer))
        });
        let (members, prefer) = seen.await.map_err(UploadError::State)?.value;
        let copies_needed = self.parts.write_copies.min(members).max(1);
        let writer = self.parts.store.writer(WriteOptions { expected_size: None, max_size: self.parts.max_upload_bytes })?;
        let pin = PinId(rand::random());
        let order = FanOrder { pin, size_hint: start.size_hint, wanted: copies_needed - 1, prefer };
        let fan = self.parts.copies.open(order);
        Ok(UploadSession::new(Arc::clone(&self.parts), client.clone(), turn, pin, copies_needed, writer, fan))
    }
}

/// The nodes that copies of an upload of `client` had best go to while it comes in: those of the regions that its rule for all paths
/// names. Neither path nor content is known yet, so which of them will have to hold it is not either.
fn preferred(view: &impl ReadTables, client: &ClientId, members: &[Node]) -> Result<Vec<NodeId>, TableError> {
    let Some(placement) = view.client_placement(client)? else { return Ok(Vec::new()) };
    let regions = placement.rule_for("").map_or(&[][..], |rule| &rule.policy.regions);
    Ok(members.iter().filter(|node| regions.contains(&node.region)).map(|node| node.id).collect())
}
