//! Commands about assets: put, delete, patch, move, purge, and the reference counts of blobs that follow from them.

use super::{ApplyError, Moment, Ruled, account, once, rows::Rows};
use crate::{
    asset::Asset,
    blob::Blob,
    client::{Client, ClientStatus},
    command::{
        AssetRef, DeleteAsset, DeleteAssets, DescribeAsset, MAX_DELETED_ASSETS, MoveAsset, PatchAsset, Precondition, PurgeAssets,
        PurgeWithin, PutAsset, PutAssetAs,
    },
    id::{AssetId, BlobHash, ClientId, NodeId, RequestId},
    node::{Node, NodeState},
    outcome::{Deletion, Outcome, Rejection},
    path::MAX_PATH_BYTES,
    purge::{MAX_PURGES_COUNTED, Purge, PurgeCount},
    table::{Table, TableError, Tables},
    visibility::Visibility,
};

/// For how many entries of the log a purge is kept at least. Each purge drops at most one: there are never many more than this.
const PURGE_RETENTION: u64 = 10_000;
/// The longest MIME type, in bytes.
const MAX_MIME_BYTES: usize = 256;

pub(super) fn put(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, put: &PutAsset) -> Ruled {
    if put.path.len() > MAX_PATH_BYTES || put.mime.len() > MAX_MIME_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if now.log_time_ms > put.pinned_until_ms {
        return Ok(Err(Rejection::TooLate));
    }
    if let Err(rejection) = may_write(rows, &put.client)? {
        return Ok(Err(rejection));
    }
    if !are_members(rows, &put.holders)? {
        return Ok(Err(Rejection::HolderRemoved));
    }
    let before = rows.get::<Asset>(Table::Assets, put.path.as_bytes())?;
    if before.as_ref().is_some_and(|asset| asset.client != put.client) {
        return Ok(Err(Rejection::AssetOfOther));
    }
    if !holds(&put.precondition, before.as_ref()) {
        return Ok(Err(Rejection::PreconditionFailed));
    }
    if let Err(rejection) = account::count(rows, &put.client, before.as_ref().map(|asset| asset.size), Some(put.size))? {
        return Ok(Err(rejection));
    }
    let asset = Asset {
        id: before.as_ref().map_or_else(|| AssetId::from_request(request), |asset| asset.id.clone()),
        client: put.client.clone(),
        path: put.path.clone(),
        mime: put.mime.clone(),
        size: put.size,
        sha256: put.sha256,
        blob: put.blob,
        cache_ttl_s: put.cache_ttl_s,
        created_at_ms: before.as_ref().map_or(now.log_time_ms, |asset| asset.created_at_ms),
        modified_at_ms: now.log_time_ms,
        node: put.node,
        version: now.index,
    };
    reference(rows, put.blob, put.size, &put.holders)?;
    if let Some(before) = &before {
        rows.delete(Table::Versions, &before.version.to_be_bytes());
        dereference(rows, before.blob)?;
    }
    rows.put_raw(Table::Versions, &asset.version.to_be_bytes(), asset.path.as_bytes());
    rows.put_raw(Table::AssetIds, asset.id.as_str().as_bytes(), asset.path.as_bytes());
    rows.put_raw(Table::ClientAssets, &client_key(&asset.client, &asset.path), &[]);
    rows.put(Table::Assets, asset.path.as_bytes(), &asset)?;
    Ok(Ok(match before {
        None => Outcome::AssetCreated(asset),
        Some(_) => Outcome::AssetReplaced(asset),
    }))
}

/// Content and visibility change in one entry: nobody sees the new content under the old rule, or the other way round.
pub(super) fn put_as(rows: &mut Rows<'_, impl Tables>, now: Moment, request: RequestId, put_as: &PutAssetAs) -> Ruled {
    if put_as.visibility == Visibility::Public && Visibility::is_fixed_at(&put_as.put.path) {
        return Ok(Err(Rejection::VisibilityFixed));
    }
    let ruled = put(rows, now, request, &put_as.put)?;
    if let Ok(Outcome::AssetCreated(asset) | Outcome::AssetReplaced(asset)) = &ruled {
        set_visibility(rows, &asset.id, put_as.visibility);
    }
    Ok(ruled)
}

pub(super) fn delete(rows: &mut Rows<'_, impl Tables>, delete: &DeleteAsset) -> Ruled {
    let asset = match owned(rows, &delete.client, &delete.asset, &delete.precondition)? {
        Ok(asset) => asset,
        Err(rejection) => return Ok(Err(rejection)),
    };
    Ok(remove(rows, asset)?.map(Outcome::AssetDeleted))
}

/// One that cannot be deleted keeps none of the others from it.
pub(super) fn delete_all(rows: &mut Rows<'_, impl Tables>, delete: &DeleteAssets) -> Ruled {
    let is_long = |asset: &AssetRef| matches!(asset, AssetRef::Path(path) if path.len() > MAX_PATH_BYTES);
    if delete.assets.len() > MAX_DELETED_ASSETS || delete.assets.iter().any(is_long) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if let Err(rejection) = may_write(rows, &delete.client)? {
        return Ok(Err(rejection));
    }
    let mut deletions = Vec::with_capacity(delete.assets.len());
    for named in &delete.assets {
        let found = match named {
            AssetRef::Id(id) => by_id(rows, id)?,
            AssetRef::Path(path) => rows.get::<Asset>(Table::Assets, path.as_bytes())?,
        };
        deletions.push(match found {
            None => Deletion::Rejected(Rejection::AssetUnknown),
            Some(asset) if asset.client != delete.client => Deletion::Rejected(Rejection::AssetOfOther),
            Some(asset) => remove(rows, asset)?.map_or_else(Deletion::Rejected, Deletion::Deleted),
        });
    }
    Ok(Ok(Outcome::AssetsDeleted(deletions)))
}

fn remove(rows: &mut Rows<'_, impl Tables>, asset: Asset) -> Result<Result<AssetId, Rejection>, ApplyError> {
    if let Err(rejection) = account::count(rows, &asset.client, Some(asset.size), None)? {
        return Ok(Err(rejection));
    }
    rows.delete(Table::Versions, &asset.version.to_be_bytes());
    rows.delete(Table::AssetIds, asset.id.as_str().as_bytes());
    rows.delete(Table::ClientAssets, &client_key(&asset.client, &asset.path));
    rows.delete(Table::Assets, asset.path.as_bytes());
    set_visibility(rows, &asset.id, Visibility::Public);
    dereference(rows, asset.blob)?;
    Ok(Ok(asset.id))
}

pub(super) fn patch(rows: &mut Rows<'_, impl Tables>, now: Moment, patch: &PatchAsset) -> Ruled {
    if patch.mime.as_ref().is_some_and(|mime| mime.len() > MAX_MIME_BYTES) {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let asset = match owned(rows, &patch.client, &patch.asset, &patch.precondition)? {
        Ok(asset) => asset,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let patched = Asset {
        mime: patch.mime.clone().unwrap_or_else(|| asset.mime.clone()),
        cache_ttl_s: patch.cache_ttl_s.unwrap_or(asset.cache_ttl_s),
        modified_at_ms: now.log_time_ms,
        ..asset
    };
    rows.put(Table::Assets, patched.path.as_bytes(), &patched)?;
    Ok(Ok(Outcome::AssetPatched(patched)))
}

/// The row of the asset is written whatever changes: it is by that row that caches hear of it.
pub(super) fn describe(rows: &mut Rows<'_, impl Tables>, now: Moment, describe: &DescribeAsset) -> Ruled {
    let DescribeAsset { patch: change, visibility } = describe;
    if *visibility == Some(Visibility::Public) {
        match owned(rows, &change.client, &change.asset, &change.precondition)? {
            Ok(asset) if Visibility::is_fixed_at(&asset.path) => return Ok(Err(Rejection::VisibilityFixed)),
            Ok(_) => {}
            Err(rejection) => return Ok(Err(rejection)),
        }
    }
    let ruled = patch(rows, now, change)?;
    if let (Ok(Outcome::AssetPatched(asset)), Some(visibility)) = (&ruled, visibility) {
        set_visibility(rows, &asset.id, *visibility);
    }
    Ok(ruled)
}

/// The asset gets a new version, because other nodes may have to hold it at its new path.
pub(super) fn move_to(rows: &mut Rows<'_, impl Tables>, now: Moment, change: &MoveAsset) -> Ruled {
    if change.path.len() > MAX_PATH_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let asset = match owned(rows, &change.client, &change.asset, &change.precondition)? {
        Ok(asset) => asset,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if asset.path == change.path {
        return Ok(Ok(Outcome::AssetMoved(asset)));
    }
    match rows.get::<Asset>(Table::Assets, change.path.as_bytes())? {
        Some(there) if there.client != change.client => return Ok(Err(Rejection::AssetOfOther)),
        Some(_) => return Ok(Err(Rejection::PathTaken)),
        None => {}
    }
    rows.delete(Table::Versions, &asset.version.to_be_bytes());
    rows.delete(Table::ClientAssets, &client_key(&asset.client, &asset.path));
    rows.delete(Table::Assets, asset.path.as_bytes());
    let moved = Asset { path: change.path.clone(), modified_at_ms: now.log_time_ms, version: now.index, ..asset };
    rows.put_raw(Table::Versions, &moved.version.to_be_bytes(), moved.path.as_bytes());
    rows.put_raw(Table::AssetIds, moved.id.as_str().as_bytes(), moved.path.as_bytes());
    rows.put_raw(Table::ClientAssets, &client_key(&moved.client, &moved.path), &[]);
    rows.put(Table::Assets, moved.path.as_bytes(), &moved)?;
    Ok(Ok(Outcome::AssetMoved(moved)))
}

pub(super) fn purge(rows: &mut Rows<'_, impl Tables>, now: Moment, purge: &PurgeAssets) -> Ruled {
    if purge.pattern.len() > MAX_PATH_BYTES {
        return Ok(Err(Rejection::FieldTooLong));
    }
    if let Err(rejection) = may_write(rows, &purge.client)? {
        return Ok(Err(rejection));
    }
    let row = Purge { client: purge.client.clone(), pattern: purge.pattern.clone(), at_ms: now.log_time_ms };
    rows.put(Table::Purges, &now.index.to_be_bytes(), &row)?;
    if let Some((oldest, _)) = rows.first_raw(Table::Purges, 1)?.first() {
        let at = oldest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        if now.index - at > PURGE_RETENTION {
            rows.delete(Table::Purges, oldest);
        }
    }
    Ok(Ok(Outcome::Purged))
}

/// A purge that is refused takes no place in the count.
pub(super) fn purge_within(rows: &mut Rows<'_, impl Tables>, now: Moment, within: &PurgeWithin) -> Ruled {
    let PurgeWithin { purge: wanted, limit } = within;
    if limit.limit > MAX_PURGES_COUNTED {
        return Ok(Err(Rejection::FieldTooLong));
    }
    let key = PurgeCount::key(&wanted.client, &limit.subject);
    let mut count = rows.get::<PurgeCount>(Table::PurgeCounts, &key)?.unwrap_or_default();
    let due_ms = count.until_ms;
    if let Err(after_ms) = count.count(limit, now.log_time_ms) {
        return Ok(Err(Rejection::TooManyPurges { after_ms }));
    }
    let outcome = match purge(rows, now, wanted)? {
        Ok(outcome) => outcome,
        Err(rejection) => return Ok(Err(rejection)),
    };
    once::keep(rows, due_ms, Table::PurgeCounts, &key);
    once::forget_at(rows, count.until_ms, Table::PurgeCounts, &key);
    rows.put(Table::PurgeCounts, &key, &count)?;
    Ok(Ok(outcome))
}

/// The asset with this id, if `client` may write it and the precondition holds.
fn owned(
    rows: &Rows<'_, impl Tables>,
    client: &ClientId,
    id: &AssetId,
    precondition: &Precondition,
) -> Result<Result<Asset, Rejection>, ApplyError> {
    if let Err(rejection) = may_write(rows, client)? {
        return Ok(Err(rejection));
    }
    let Some(asset) = by_id(rows, id)? else { return Ok(Err(Rejection::AssetUnknown)) };
    Ok(if asset.client != *client {
        Err(Rejection::AssetOfOther)
    } else if !holds(precondition, Some(&asset)) {
        Err(Rejection::PreconditionFailed)
    } else {
        Ok(asset)
    })
}

fn by_id(rows: &Rows<'_, impl Tables>, id: &AssetId) -> Result<Option<Asset>, ApplyError> {
    let Some(path) = rows.get_raw(Table::AssetIds, id.as_str().as_bytes())? else { return Ok(None) };
    let asset = rows.get::<Asset>(Table::Assets, &path)?;
    asset.map(Some).ok_or(ApplyError::Table(TableError::Dangling { table: Table::AssetIds }))
}

pub(super) fn may_write(rows: &Rows<'_, impl Tables>, client: &ClientId) -> Result<Result<(), Rejection>, ApplyError> {
    Ok(match rows.get::<Client>(Table::Clients, client.as_str().as_bytes())? {
        None => Err(Rejection::ClientUnknown),
        Some(client) if client.status != ClientStatus::Active => Err(Rejection::ClientBlocked),
        Some(_) => Ok(()),
    })
}

/// Whether none of these nodes was removed.
pub(super) fn are_members(rows: &Rows<'_, impl Tables>, nodes: &[NodeId]) -> Result<bool, ApplyError> {
    for node in nodes {
        let node = rows.get::<Node>(Table::Nodes, &node.0.to_be_bytes())?;
        if node.is_none_or(|node| node.state == NodeState::Removed) {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn holds(precondition: &Precondition, asset: Option<&Asset>) -> bool {
    match precondition {
        Precondition::None => true,
        Precondition::Absent => asset.is_none(),
        Precondition::Present => asset.is_some(),
        Precondition::Matches(digests) => asset.is_some_and(|asset| digests.contains(&asset.sha256)),
    }
}

pub(super) fn reference(rows: &mut Rows<'_, impl Tables>, hash: BlobHash, size: u64, holders: &[NodeId]) -> Result<(), ApplyError> {
    let before = rows.get::<Blob>(Table::Blobs, &hash.0)?;
    let references = before.map_or(0, |blob| blob.references) + 1;
    rows.put(Table::Blobs, &hash.0, &Blob { size, references, holders: holders.to_vec() })
}

pub(super) fn dereference(rows: &mut Rows<'_, impl Tables>, hash: BlobHash) -> Result<(), ApplyError> {
    let blob = rows.get::<Blob>(Table::Blobs, &hash.0)?.ok_or(ApplyError::Table(TableError::Dangling { table: Table::Blobs }))?;
    if blob.references <= 1 {
        rows.delete(Table::Blobs, &hash.0);
        return Ok(());
    }
    rows.put(Table::Blobs, &hash.0, &Blob { references: blob.references - 1, ..blob })
}

fn set_visibility(rows: &mut Rows<'_, impl Tables>, asset: &AssetId, visibility: Visibility) {
    match visibility {
        Visibility::Public => rows.delete(Table::RestrictedAssets, asset.as_str().as_bytes()),
        Visibility::Restricted => rows.put_raw(Table::RestrictedAssets, asset.as_str().as_bytes(), &[]),
    }
}

fn client_key(client: &ClientId, path: &str) -> Vec<u8> {
    [client.as_str().as_bytes(), &[0], path.as_bytes()].concat()
}
