//! The end of an upload in pieces: its bytes, in order, as the content of an asset.

use bytes::Bytes;
use ncore_model::{AssetPath, Upload};
use ncore_store::slice_count;

use crate::{
    copies::BlobAt,
    error::{ResumableError, UploadError},
    upload::{
        MediaType, UploadMeta, UploadSession, UploadStart, Uploaded, Uploads,
        session::{Content, Ending},
    },
};

/// Makes an asset of the pieces that the state has, and of `last`, which it has not. Where that is all, it is the content as it is;
/// else the pieces are read from this disk or from other nodes, and stored once more as one.
pub(super) async fn assemble(uploads: &Uploads, upload: &Upload, last: UploadSession) -> Result<Uploaded, ResumableError> {
    let ending = Ending { upload: upload.id.clone(), offset: upload.offset() };
    let meta = meta(upload)?;
    if upload.parts.is_empty() {
        return Ok(last.complete(meta, Some(ending)).await?);
    }
    // On other nodes too: what this one has read back is as good as what the client sent.
    let Content { placed, .. } = last.place().await?;
    let pieces = upload.parts.iter().map(|part| BlobAt { hash: part.blob.into(), size: part.size }).chain([placed.blob]);
    let uploaded = join(uploads, upload, pieces, meta, ending).await;
    placed.pins.release();
    uploaded
}

async fn join(
    uploads: &Uploads,
    upload: &Upload,
    pieces: impl Iterator<Item = BlobAt>,
    meta: UploadMeta,
    ending: Ending,
) -> Result<Uploaded, ResumableError> {
    let mut whole = uploads.begin(&upload.client, UploadStart { size_hint: Some(upload.length) }).await?;
    for piece in pieces {
        for slice in 0..slice_count(piece.size) {
            whole.write(read(uploads, piece, slice).await?).await?;
        }
    }
    Ok(whole.complete(meta, Some(ending)).await?)
}

/// A slice of a piece, from this disk or from another node.
async fn read(uploads: &Uploads, piece: BlobAt, slice: u64) -> Result<Bytes, ResumableError> {
    let parts = &uploads.parts;
    if let Ok(bytes) = parts.store.read_slice_from_disk(piece.hash, piece.size, slice).await {
        return Ok(bytes);
    }
    parts.copies.slice(piece, slice).await.ok_or(ResumableError::PieceOutOfReach)
}

/// What the upload is to become, checked when it was begun.
fn meta(upload: &Upload) -> Result<UploadMeta, ResumableError> {
    let target = &upload.target;
    let path = AssetPath::parse(&target.path).map_err(|_| UploadError::Target)?;
    let mime = target.mime.as_deref().map(MediaType::parse).transpose().map_err(|_| UploadError::Target)?;
    let (cache_ttl_s, visibility, precondition) = (target.cache_ttl_s, target.visibility, target.precondition.clone());
    Ok(UploadMeta { path, cache_ttl_s, mime, visibility, precondition, once: None })
}
