//! Uploads that come in pieces, each of which may come to another node.
//!
//! ```text
//!   create ──► receive ─► write… ─► finish ──► receive ─► … ──► the last piece ──► asset
//!   a row in   every 16 MiB, and at the end:   at any node:     the pieces are read, wherever they are, and go the way of any
//!   the state  on enough nodes, then in the    the row says     upload; the asset and the end of this one are one change
//!              state: an offset that counts    where to go on
//! ```
//!
//! A piece is a blob, made durable on as many nodes as an asset before the row names it: an offset that any node tells is one
//! that the loss of a node does not take back. Two writers at one offset are told apart by the log: one piece is appended, the other
//! is refused. As long as there is no asset the row tells fewer bytes than the upload has, so a client that finds all of them there
//! has an asset.

mod assemble;
mod receiver;

use ncore_model::{ClientId, Command, CreateUpload, EndUpload, Outcome, Query, Revision, Upload, UploadId, UploadTarget};

use super::Uploads;
use crate::{
    cluster::Seen,
    error::{ChangeError, ResumableError, UploadError},
    once::{OnceKey, Payload},
};

pub use receiver::{Pieces, Received, Receiver};

/// An upload that is to come in pieces.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// How many bytes it will have.
    pub length: u64,
    /// What it is to become.
    pub target: UploadTarget,
    /// What the client wrote about it, to be told it again.
    pub note: String,
}

impl Uploads {
    /// Begins an upload of `client` that comes in pieces. Needs schema level 6.
    ///
    /// # Errors
    /// [`ResumableError`].
    pub async fn create(&self, client: &ClientId, new: NewUpload, once: Option<&OnceKey>) -> Result<Seen<Upload>, ResumableError> {
        let limit = self.parts.max_upload_bytes;
        if new.length > limit {
            return Err(ResumableError::Upload(UploadError::TooLarge { limit }));
        }
        let once = once.map(|key| {
            let mut payload = Payload::new();
            payload.add(&new.length.to_le_bytes());
            payload.add(new.note.as_bytes());
            payload.add_precondition(&new.target.precondition);
            key.within(client, "create_upload", &payload)
        });
        let NewUpload { length, target, note } = new;
        let create = CreateUpload { client: client.clone(), length, target, note, lifetime_ms: self.parts.lifetime_ms() };
        let committed = self.parts.cluster.change(Command::CreateUpload(create), once).await.map_err(ResumableError::Change)?;
        match committed.outcome {
            Outcome::UploadCreated(upload) => Ok(Seen { revision: committed.revision, value: upload }),
            _ => Err(ResumableError::Change(ChangeError::Unexpected)),
        }
    }

    /// An upload of `client`, with everything that was acknowledged of it, at whichever node.
    ///
    /// # Errors
    /// [`ResumableError`].
    pub async fn find(&self, client: &ClientId, id: &UploadId) -> Result<Seen<Upload>, ResumableError> {
        let cluster = &self.parts.cluster;
        cluster.catch_up().await.map_err(ResumableError::Read)?;
        let wanted = id.clone();
        let seen = cluster.read(move |view| Ok((view.upload(&wanted)?, view.cluster()?))).await.map_err(ResumableError::State)?;
        let (upload, state) = seen.value;
        let now_ms = state.map_or(0, |state| state.log_time_ms).max(self.parts.clock.now_ms());
        let is_there = |upload: &Upload| upload.client == *client && upload.expires_at_ms > now_ms;
        let upload = upload.filter(is_there).ok_or(ResumableError::Unknown)?;
        Ok(Seen { revision: seen.revision, value: upload })
    }

    /// Goes on with an upload that was found, at `offset`, which must be how many bytes of it are there.
    ///
    /// # Errors
    /// [`ResumableError::Offset`].
    pub fn receive(&self, found: Seen<Upload>, offset: u64, pieces: Pieces) -> Result<Receiver, ResumableError> {
        let there = found.value.offset();
        if there != offset || found.value.asset.is_some() {
            return Err(ResumableError::Offset { there });
        }
        Ok(Receiver::new(self.clone(), found, pieces))
    }

    /// Ends an upload of `client`, whatever there is of it. An asset that it has become stays.
    ///
    /// # Errors
    /// [`ResumableError`].
    pub async fn end(&self, client: &ClientId, id: &UploadId) -> Result<Revision, ResumableError> {
        let end = EndUpload { client: client.clone(), upload: id.clone() };
        let committed = self.parts.cluster.change(Command::EndUpload(end), None).await.map_err(ResumableError::Change)?;
        match committed.outcome {
            Outcome::Done => Ok(committed.revision),
            _ => Err(ResumableError::Change(ChangeError::Unexpected)),
        }
    }
}
