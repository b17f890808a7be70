//! One upload, from its first byte to its answer.

use std::{panic::resume_unwind, sync::Arc};

use bytes::Bytes;
use futures_util::future::join;
use ncore_control::Committed;
use ncore_model::{
    Asset, AssetPath, ClientId, Command, CompleteUpload, Idempotency, NodeId, Outcome, Precondition, PutAsset, PutAssetAs, UploadId,
    Visibility,
};
use ncore_store::{BlobWriter, PinId};
use tokio::{sync::OwnedSemaphorePermit, task, time::Instant};
use tracing::Instrument;

use super::{
    Parts,
    media_type::{MediaType, SNIFF_BYTES},
    place::{Placed, place},
    schedule::Schedule,
};
use crate::{
    asset::{AssetDetails, describe},
    cluster::Seen,
    copies::Fan,
    error::{ChangeError, UploadError},
    once::{OnceKey, Payload},
};

/// What is known of an upload before it comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct UploadStart {
    /// About how many bytes there will be. It may be wrong.
    pub size_hint: Option<u64>,
}

/// What an upload is to become. It may be known only after the content.
#[derive(Debug, Clone)]
pub struct UploadMeta {
    /// Where.
    pub path: AssetPath,
    /// How long others may cache it, in seconds. `None`: as the node has it by default.
    pub cache_ttl_s: Option<u32>,
    /// What it is. `None`: found out from the path, then from the content.
    pub mime: Option<MediaType>,
    /// Who may read it. `None`: as before, and everybody if the path is new. Anything else needs schema level 5.
    pub visibility: Option<Visibility>,
    /// What must be true of the path.
    pub precondition: Precondition,
    /// The caller's key for this upload and its retries.
    pub once: Option<OnceKey>,
}

/// The upload in pieces that content ends.
pub(super) struct Ending {
    pub(super) upload: UploadId,
    /// How many bytes of it must have been there before.
    pub(super) offset: u64,
}

/// Content that is on enough nodes, and what was found out about it on the way.
pub(super) struct Content {
    pub(super) placed: Placed,
    pub(super) sha256: [u8; 32],
    pub(super) head: Vec<u8>,
    pub(super) schedule: Schedule,
}

/// An upload that is committed.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// The asset as it is now, in a view that includes the upload.
    pub asset: Seen<AssetDetails>,
    /// Whether the path was free before.
    pub created: bool,
}

/// An upload on its way. Dropping it before [`finish`](Self::finish) leaves nothing, here or on other nodes.
pub struct UploadSession {
    parts: Arc<Parts>,
    client: ClientId,
    turn: OwnedSemaphorePermit,
    pin: PinId,
    copies_needed: usize,
    writer: BlobWriter,
    fan: Box<dyn Fan>,
    /// The first bytes, to see what the content is.
    head: Vec<u8>,
}

impl UploadSession {
    pub(super) fn new(
        parts: Arc<Parts>,
        client: ClientId,
        turn: OwnedSemaphorePermit,
        pin: PinId,
        copies_needed: usize,
        writer: BlobWriter,
        fan: Box<dyn Fan>,
    ) -> Self {
        Self { parts, client, turn, pin, copies_needed, writer, fan, head: Vec::new() }
    }

    /// Takes the next bytes: to this disk and to other nodes at once. Waits while the disk is behind.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], [`UploadError::Full`], [`UploadError::Store`]. The session is of no use after one.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let missing = SNIFF_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        let (here, ()) = join(self.writer.write(bytes.clone()), self.fan.send(bytes)).await;
        Ok(here?)
    }

    /// Ends the upload: makes the content durable on enough nodes, and asks the cluster for the asset. Once begun it runs to
    /// its end, even if this future is dropped. Once the content is durable here, other nodes are waited for no longer than the
    /// request deadline of the settings, and the time that a slow node needs for so many bytes.
    ///
    /// # Errors
    /// [`UploadError`].
    pub async fn finish(self, meta: UploadMeta) -> Result<Uploaded, UploadError> {
        let upload = task::spawn(self.complete(meta, None).in_current_span());
        upload.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(UploadError::Store(ncore_store::StoreError::ShuttingDown)),
        })
    }

    /// Makes the content durable on enough nodes, and asks the cluster for nothing.
    pub(super) async fn place(self) -> Result<Content, UploadError> {
        let Self { parts, turn, pin, copies_needed, writer, fan, head, .. } = self;
        let staged = writer.finish().await?;
        let sha256 = staged.sha256();
        let schedule = Schedule::from_now(parts.request_deadline, staged.size());
        let placed = place(&parts, turn, pin, copies_needed, staged, fan, schedule).await?;
        Ok(Content { placed, sha256, head, schedule })
    }

    /// As [`finish`](Self::finish), in the task of the caller. With an ending, the asset and the end of an upload in pieces are one
    /// change.
    pub(super) async fn complete(self, meta: UploadMeta, ending: Option<Ending>) -> Result<Uploaded, UploadError> {
        let (parts, client) = (Arc::clone(&self.parts), self.client.clone());
        let Content { placed, sha256, head, schedule } = self.place().await?;
        let mime = match &meta.mime {
            Some(mime) => mime.clone(),
            None => MediaType::guess(&meta.path, &head),
        };
        let once = meta.once.as_ref().map(|key| idempotency(key, &client, &meta, &placed));
        let visibility = meta.visibility;
        let put = PutAsset {
            client,
            path: meta.path.as_str().to_owned(),
            mime: mime.into_string(),
            size: placed.blob.size,
            sha256,
            blob: placed.blob.hash.into(),
            cache_ttl_s: meta.cache_ttl_s.unwrap_or(parts.default_cache_ttl_s),
            node: parts.cluster.node_id(),
            holders: placed.holders.clone(),
            pinned_until_ms: placed.pinned_until_ms,
            precondition: meta.precondition,
        };
        let command = match (ending, visibility) {
            (Some(Ending { upload, offset }), visibility) => Command::CompleteUpload(CompleteUpload { upload, offset, put, visibility }),
            (None, None) => Command::PutAsset(put),
            (None, Some(visibility)) => Command::PutAssetAs(PutAssetAs { put, visibility }),
        };
        let committed = propose(&parts, placed, command, once, schedule.answer).await?;
        let public_url = Arc::clone(&parts.public_url);
        let (asset, created) = committed;
        let asset = parts.cluster.read(move |view| describe(view, public_url, asset)).await;
        let asset = asset.map_err(|error| UploadError::Change(ChangeError::Unreadable(error)))?;
        Ok(Uploaded { asset, created })
    }
}

/// Asks for the asset.
async fn propose(
    parts: &Parts,
    placed: Placed,
    command: Command,
    once: Option<Idempotency>,
    until: Instant,
) -> Result<(Asset, bool), UploadError> {
    match propose_placed(parts, placed, command, once, until).await.map_err(UploadError::Change)?.outcome {
        Outcome::AssetCreated(asset) => Ok((asset, true)),
        Outcome::AssetReplaced(asset) => Ok((asset, false)),
        _ => Err(UploadError::Change(ChangeError::Unexpected)),
    }
}

/// Asks for a change that refers to content. Once it is known what became of it, whatever that is, the pins have done their work.
pub(super) async fn propose_placed(
    parts: &Parts,
    placed: Placed,
    command: Command,
    once: Option<Idempotency>,
    until: Instant,
) -> Result<Committed, ChangeError> {
    let change = parts.cluster.change_until(command, once, until).await;
    if let Err(ChangeError::Unknown { reason }) = &change {
        let holders: Vec<u64> = placed.holders.iter().map(|NodeId(id)| *id).collect();
        tracing::warn!(hash = %placed.blob.hash, ?holders, reason, "the outcome of an upload is not known; its copies stay pinned");
    } else {
        placed.pins.release();
    }
    change
}

/// A retry asks for the same as the first time if it names the same path, content, description and precondition. What was left
/// to the node counts as left to the node.
fn idempotency(key: &OnceKey, client: &ClientId, meta: &UploadMeta, placed: &Placed) -> Idempotency {
    let mut payload = Payload::new();
    payload.add(meta.path.as_str().as_bytes());
    payload.add(placed.blob.hash.as_bytes());
    payload.add_optional(meta.cache_ttl_s.map(u32::to_le_bytes).as_ref().map(<[u8; 4]>::as_slice));
    payload.add_optional(meta.mime.as_ref().map(|mime| mime.as_str().as_bytes()));
    payload.add_precondition(&meta.precondition);
    if let Some(visibility) = meta.visibility {
        payload.add(visibility.as_str().as_bytes());
    }
    key.within(client, "put_asset", &payload)
}
