//! Commands about uploads that come in pieces.
//!
//! An upload is open from its creation until all of its bytes are there, and then it is an asset: the last piece and the asset are one
//! entry, so nobody ever sees all of the bytes and no asset. Each of its pieces counts as a reference to a blob, as an asset does.

use super::{ApplyError, Moment, Ruled, asset, once, rows::Rows};
use crate::{
    asset::Asset,
    command::{AppendUpload, CompleteUpload, CreateUpload, EndUpload, PutAssetAs},
    id::{ClientId, RequestId, UploadId},
    outcome::{Outcome, Rejection},
    path::MAX_PATH_BYTES,
    table::{Table, TableError, Tables},
    upload::{
        DONE_UPLOAD_RETENTION_MS, MAX_OPEN_UPLOAD_BYTES, MAX_OPEN_UPLOADS, MAX_UPLOAD_LIFETIME_MS, MAX_UPLOAD_NOTE_BYTES, MAX_UPLOAD_PARTS,
        Upload, upload_prefix,
    },
    visibility::Visibility,
};

/// The longest MIME type, in bytes.
const MAX_MIME_BYTES: usize = 256;

pub(super) fn create(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, create: &CreateUpload) -> Ruled {
    let target = &create.target;
    let is_long = target.path.len() > MAX_PATH_BYTES || target.mime.as_ref().is_some_and(|mime| mime.len() > MAX_MIME_BYTES);
    if is_long || create.note.len() > MAX_UPLOAD_NOTE_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if let Err(rejection) = asset::may_write(rows, &create.client)? {
        return Ok(Err(rejection));
    }
    let there = rows.get::<Asset>(Table::Assets, target.path.as_bytes())?;
    if there.as_ref().is_some_and(|asset| asset.client != create.client) {
        return Ok(Err(Rejection::AssetOfOther));
    }
    if !asset::holds(&target.precondition, there.as_ref()) {
        return Ok(Err(Rejection::PreconditionFailed));
    }
    if target.visibility == Some(Visibility::Public) && Visibility::is_fixed_at(&target.path) {
        return Ok(Err(Rejection::VisibilityFixed));
    }
    if !has_room(rows, &create.client, create.length)? {
        return Ok(Err(Rejection::TooManyUploads));
    }
    let upload = Upload {
        id: UploadId::from_request(request),
        client: create.client.clone(),
        length: create.length,
        target: target.clone(),
        note: create.note.clone(),
        parts: Vec::new(),
        asset: None,
        created_at_ms: now.log_time_ms,
        expires_at_ms: expiry(now, create.lifetime_ms),
    };
    rows.put_raw(Table::ClientUploads, &open_key(&upload), &upload.length.to_be_bytes());
    write(rows, None, &upload)?;
    Ok(Ok(Outcome::UploadCreated(upload)))
}

pub(super) fn append(rows: &mut Rows<'_, impl Tables>, now: Moment, append: &AppendUpload) -> Ruled {
    if now.log_time_ms > append.pinned_until_ms {
        return Ok(Err(Rejection::TooLate));
    }
    if let Err(rejection) = asset::may_write(rows, &append.client)? {
        return Ok(Err(rejection));
    }
    let before = match open(rows, now, &append.client, &append.upload, append.offset)? {
        Ok(upload) => upload,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let Some(offset) = append.offset.checked_add(append.part.size).filter(|end| append.part.size > 0 && *end < before.length) else {
        return Ok(Err(Rejection::UploadLength));
    };
    if before.parts.len() >= MAX_UPLOAD_PARTS {
        return Ok(Err(Rejection::TooManyParts));
    }
    if !asset::are_members(rows, &append.holders)? {
        return Ok(Err(Rejection::HolderRemoved));
    }
    asset::reference(rows, append.part.blob, append.part.size, &append.holders)?;
    let mut upload = Upload { expires_at_ms: expiry(now, append.lifetime_ms), ..before.clone() };
    upload.parts.push(append.part);
    write(rows, Some(&before), &upload)?;
    Ok(Ok(Outcome::UploadAppended { offset, expires_at_ms: upload.expires_at_ms }))
}

pub(super) fn complete(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, complete: &CompleteUpload) -> Ruled {
    let CompleteUpload { upload, offset, put, visibility } = complete;
    let before = match open(rows, now, &put.client, upload, *offset)? {
        Ok(upload) => upload,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if put.size != before.length {
        return Ok(Err(Rejection::UploadLength));
    }
    let ruled = match visibility {
        None => asset::put(rows, now, request, put)?,
        Some(visibility) => asset::put_as(rows, now, request, &PutAssetAs { put: put.clone(), visibility: *visibility })?,
    };
    if let Ok(Outcome::AssetCreated(asset) | Outcome::AssetReplaced(asset)) = &ruled {
        release(rows, &before)?;
        let expires_at_ms = expiry(now, DONE_UPLOAD_RETENTION_MS);
        let upload = Upload { parts: Vec::new(), asset: Some(asset.id.clone()), expires_at_ms, ..before.clone() };
        write(rows, Some(&before), &upload)?;
    }
    Ok(ruled)
}

/// The end of an upload that is an asset already is the end of what is known of the upload.
pub(super) fn end(rows: &mut Rows<'_, impl Tables>, now: Moment, end: &EndUpload) -> Ruled {
    if let Err(rejection) = asset::may_write(rows, &end.client)? {
        return Ok(Err(rejection));
    }
    let Some(upload) = of_client(rows, now, &end.client, &end.upload)? else { return Ok(Err(Rejection::UploadUnknown)) };
    once::keep(rows, upload.expires_at_ms, Table::Uploads, upload.id.as_str().as_bytes());
    rows.delete(Table::Uploads, upload.id.as_str().as_bytes());
    release(rows, &upload)?;
    Ok(Ok(Outcome::Done))
}

/// Forgets an upload whose time is over. Gives how many pieces it had.
pub(super) fn expire(rows: &mut Rows<'_, impl Tables>, id: &[u8]) -> Result<usize, ApplyError> {
    let upload = rows.get::<Upload>(Table::Uploads, id)?.ok_or(ApplyError::Table(TableError::Dangling { table: Table::Expiry }))?;
    rows.delete(Table::Uploads, id);
    release(rows, &upload)?;
    Ok(upload.parts.len())
}

/// The open upload of this client, if so many bytes of it are there.
fn open(
    rows: &Rows<'_, impl Tables>,
    now: Moment,
    client: &ClientId,
    id: &UploadId,
    offset: u64,
) -> Result<Result<Upload, Rejection>, ApplyError> {
    Ok(match of_client(rows, now, client, id)? {
        Some(upload) => {
            let there = upload.offset();
            if upload.asset.is_none() && there == offset { Ok(upload) } else { Err(Rejection::UploadOffset { offset: there }) }
        }
        None => Err(Rejection::UploadUnknown),
    })
}

/// To another client an upload is as if it were not there. So is one whose time is over, whether or not it was forgotten yet.
fn of_client(rows: &Rows<'_, impl Tables>, now: Moment, client: &ClientId, id: &UploadId) -> Result<Option<Upload>, ApplyError> {
    let upload = rows.get::<Upload>(Table::Uploads, id.as_str().as_bytes())?;
    Ok(upload.filter(|upload| upload.client == *client && upload.expires_at_ms > now.log_time_ms))
}

fn has_room(rows: &Rows<'_, impl Tables>, client: &ClientId, length: u64) -> Result<bool, ApplyError> {
    let open = rows.with_prefix(Table::ClientUploads, &upload_prefix(client), MAX_OPEN_UPLOADS)?;
    let mut bytes = length;
    for (_, value) in &open {
        let length: [u8; 8] =
            value.as_slice().try_into().map_err(|_| ApplyError::Table(TableError::Key { table: Table::ClientUploads }))?;
        bytes = bytes.saturating_add(u64::from_be_bytes(length));
    }
    Ok(open.len() < MAX_OPEN_UPLOADS && bytes <= MAX_OPEN_UPLOAD_BYTES)
}

/// Writes the row, and moves the day of its end.
fn write(rows: &mut Rows<'_, impl Tables>, before: Option<&Upload>, upload: &Upload) -> Result<(), ApplyError> {
    let key = upload.id.as_str().as_bytes();
    if let Some(before) = before {
        once::keep(rows, before.expires_at_ms, Table::Uploads, key);
    }
    once::forget_at(rows, upload.expires_at_ms, Table::Uploads, key);
    rows.put(Table::Uploads, key, upload)
}

/// The pieces are no use any more, and the upload no longer counts as open.
fn release(rows: &mut Rows<'_, impl Tables>, upload: &Upload) -> Result<(), ApplyError> {
    for part in &upload.parts {
        asset::dereference(rows, part.blob)?;
    }
    rows.delete(Table::ClientUploads, &open_key(upload));
    Ok(())
}

fn expiry(now: Moment, lifetime_ms: u64) -> u64 {
    now.log_time_ms.saturating_add(lifetime_ms.clamp(1, MAX_UPLOAD_LIFETIME_MS))
}

fn open_key(upload: &Upload) -> Vec<u8> {
    [&upload_prefix(&upload.client), upload.id.as_str().as_bytes()].concat()
}
