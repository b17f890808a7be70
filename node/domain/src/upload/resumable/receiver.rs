//! The bytes that one request adds to an upload.

use bytes::Bytes;
use ncore_model::{AppendUpload, Command, Outcome, Revision, Upload, UploadPart};

use super::assemble::assemble;
use crate::{
    cluster::Seen,
    error::{ChangeError, ResumableError, UploadError},
    upload::{
        UploadSession, UploadStart, Uploaded, Uploads,
        session::{Content, propose_placed},
    },
};

/// Into what pieces the bytes of a request are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// Of 16 MiB. Each counts as soon as it is durable, so a break costs no more than one.
    Cut,
    /// One, however long it is: for bytes that count all together or not at all.
    Whole,
}

/// What became of a request.
#[derive(Debug, Clone)]
pub struct Received {
    /// A state that includes it.
    pub revision: Revision,
    /// How many bytes of the upload are there.
    pub offset: u64,
    /// When the upload ends unless more comes, in Unix milliseconds.
    pub expires_at_ms: u64,
    /// What the upload has become, if that was the end of it.
    pub asset: Option<Uploaded>,
}

/// Takes bytes for an upload. Dropping it leaves what was acknowledged, and nothing else.
pub struct Receiver {
    uploads: Uploads,
    /// As the state has it, with every piece that this added.
    upload: Upload,
    revision: Revision,
    pieces: Pieces,
    /// The piece that comes in.
    session: Option<UploadSession>,
    /// Bytes of that piece so far.
    taken: u64,
}

impl Receiver {
    pub(super) fn new(uploads: Uploads, found: Seen<Upload>, pieces: Pieces) -> Self {
        let Seen { revision, value: upload } = found;
        Self { uploads, upload, revision, pieces, session: None, taken: 0 }
    }

    /// How many bytes may still come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.upload.length - self.upload.offset() - self.taken
    }

    /// Takes the next bytes. Waits while the disk is behind, and at the end of a piece until that counts.
    ///
    /// # Errors
    /// [`ResumableError`]. The receiver is of no use after one; pieces that count go on counting.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), ResumableError> {
        if bytes.len() as u64 > self.missing() {
            return Err(ResumableError::TooLong { length: self.upload.length });
        }
        while !bytes.is_empty() {
            let now = bytes.split_to(self.room(bytes.len()));
            let len = now.len() as u64;
            let mut session = match self.session.take() {
                Some(session) => session,
                None => self.begin().await?,
            };
            session.write(now).await.map_err(ResumableError::Upload)?;
            self.session = Some(session);
            self.taken += len;
            if self.pieces == Pieces::Cut && self.taken == PIECE_BYTES && self.missing() > 0 {
                self.append().await?;
            }
        }
        Ok(())
    }

    /// Ends the request: what came counts from here on, and if that was all of the upload it is an asset.
    ///
    /// # Errors
    /// [`ResumableError`].
    pub async fn finish(mut self) -> Result<Received, ResumableError> {
        let mut asset = None;
        if self.missing() == 0 {
            asset = Some(self.complete().await?);
        } else if self.taken > 0 {
            self.append().await?;
        }
        let (revision, offset) = match &asset {
            Some(uploaded) => (uploaded.asset.revision, self.upload.length),
            None => (self.revision, self.upload.offset()),
        };
        Ok(Received { revision, offset, expires_at_ms: self.upload.expires_at_ms, asset })
    }

    async fn begin(&mut self) -> Result<UploadSession, ResumableError> {
        let size_hint = match self.pieces {
            Pieces::Cut => Some(self.missing().min(PIECE_BYTES)),
            Pieces::Whole => None,
        };
        self.uploads.begin(&self.upload.client, UploadStart { size_hint }).await.map_err(ResumableError::Upload)
    }

    /// How many of `len` bytes go into the present piece.
    fn room(&self, len: usize) -> usize {
        match self.pieces {
            Pieces::Cut => usize::try_from(PIECE_BYTES - self.taken).map_or(len, |room| room.min(len)),
            Pieces::Whole => len,
        }
    }

    /// Makes what came so far a piece of the upload.
    async fn append(&mut self) -> Result<(), ResumableError> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let parts = &self.uploads.parts;
        let Content { placed, schedule, .. } = session.place().await.map_err(ResumableError::Upload)?;
        let part = UploadPart { blob: placed.blob.hash.into(), size: placed.blob.size };
        let append = AppendUpload {
            client: self.upload.client.clone(),
            upload: self.upload.id.clone(),
            offset: self.upload.offset(),
            part,
            holders: placed.holders.clone(),
            pinned_until_ms: placed.pinned_until_ms,
            lifetime_ms: parts.lifetime_ms(),
        };
        let committed = propose_placed(parts, placed, Command::AppendUpload(append), None, schedule.answer).await;
        let committed = committed.map_err(ResumableError::Change)?;
        let Outcome::UploadAppended { expires_at_ms, .. } = committed.outcome else {
            return Err(ResumableError::Change(ChangeError::Unexpected));
        };
        self.upload.parts.push(part);
        self.upload.expires_at_ms = expires_at_ms;
        self.revision = committed.revision;
        self.taken = 0;
        Ok(())
    }

    /// Makes the upload an asset, of its pieces and of what came last.
    async fn complete(&mut self) -> Result<Uploaded, ResumableError> {
        let last = match self.session.take() {
            Some(session) => session,
            // An upload of no bytes.
            None => self.begin().await?,
        };
        assemble(&self.uploads, &self.upload, last).await
    }
}

impl From<UploadError> for ResumableError {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

/// Bytes of a piece where a request is cut into several: few enough to come again after a break, and enough that neither what each
/// costs counts, nor how many an upload may have.
const PIECE_BYTES: u64 = 16 << 20;
