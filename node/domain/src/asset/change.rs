//! Changing assets that are there: delete, patch, move, purge.

use std::sync::Arc;

use ncore_model::{
    Asset, AssetGlob, AssetId, AssetPath, AssetRef, ClientId, Command, DeleteAsset, DeleteAssets, Deletion, DescribeAsset, MoveAsset,
    Outcome, PatchAsset, Precondition, PurgeAssets, PurgeLimit, ReadTables, Revision, Table, TableError, Visibility,
};

use super::{
    Assets,
    details::{AssetDetails, describe},
};
use crate::{
    acknowledge::{AckLevel, Acknowledged},
    cluster::Seen,
    error::ChangeError,
    once::{OnceKey, Payload},
    upload::MediaType,
};

/// What is to change of the description of an asset: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct AssetChanges {
    /// Its MIME type.
    pub mime: Option<MediaType>,
    /// How long others may cache it, in seconds.
    pub cache_ttl_s: Option<u32>,
    /// Who may read it.
    pub visibility: Option<Visibility>,
}

/// A purge that has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purged {
    /// How many assets it is about.
    pub assets: u64,
    /// Where it stands in the log.
    pub revision: Revision,
    /// What is known of the other nodes.
    pub acknowledged: Acknowledged,
}

/// Several assets that were to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedAssets {
    /// What became of each, in the order in which they were named.
    pub deletions: Vec<Deletion>,
    /// Where that stands in the log.
    pub revision: Revision,
    /// What is known of the other nodes.
    pub acknowledged: Acknowledged,
}

impl Assets {
    /// Deletes assets of `client`, in one change. One that cannot be deleted keeps none of the others from it. Needs schema level 6.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn delete_all(
        &self,
        client: &ClientId,
        assets: Vec<AssetRef>,
        once: Option<&OnceKey>,
        level: AckLevel,
    ) -> Result<DeletedAssets, ChangeError> {
        let once = once.map(|key| {
            let mut payload = Payload::new();
            for asset in &assets {
                let (kind, name) = match asset {
                    AssetRef::Id(id) => (b"id".as_slice(), id.as_str()),
                    AssetRef::Path(path) => (b"path".as_slice(), path.as_str()),
                };
                payload.add(kind);
                payload.add(name.as_bytes());
            }
            key.within(client, "delete_assets", &payload)
        });
        let committed = self.cluster.change(Command::DeleteAssets(DeleteAssets { client: client.clone(), assets }), once).await?;
        match committed.outcome {
            Outcome::AssetsDeleted(deletions) => {
                let acknowledged = self.cluster.acknowledge(committed.revision, level, self.fence_policy()).await;
                Ok(DeletedAssets { deletions, revision: committed.revision, acknowledged })
            }
            _ => Err(ChangeError::Unexpected),
        }
    }

    /// Deletes an asset of `client`. Gives the revision from which on it is gone, and what is known of the other nodes.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn delete(
        &self,
        client: &ClientId,
        asset: &AssetId,
        precondition: Precondition,
        once: Option<&OnceKey>,
        level: AckLevel,
    ) -> Result<(Revision, Acknowledged), ChangeError> {
        let once = once.map(|key| {
            let mut payload = Payload::new();
            payload.add(asset.as_str().as_bytes());
            payload.add_precondition(&precondition);
            key.within(client, "delete_asset", &payload)
        });
        let delete = DeleteAsset { client: client.clone(), asset: asset.clone(), precondition };
        let committed = self.cluster.change(Command::DeleteAsset(delete), once).await?;
        match committed.outcome {
            Outcome::AssetDeleted(_) => {
                let acknowledged = self.cluster.acknowledge(committed.revision, level, self.fence_policy()).await;
                Ok((committed.revision, acknowledged))
            }
            _ => Err(ChangeError::Unexpected),
        }
    }

    /// Changes the description of an asset of `client`. Needs schema level 2, and level 5 for its visibility.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::SchemaTooLow`](ncore_model::Rejection::SchemaTooLow) while a node of the cluster is too old.
    pub async fn patch(
        &self,
        client: &ClientId,
        asset: &AssetId,
        changes: AssetChanges,
        precondition: Precondition,
        once: Option<&OnceKey>,
    ) -> Result<Seen<AssetDetails>, ChangeError> {
        let AssetChanges { mime, cache_ttl_s, visibility } = changes;
        let once = once.map(|key| {
            let mut payload = Payload::new();
            payload.add(asset.as_str().as_bytes());
            payload.add_optional(mime.as_ref().map(|mime| mime.as_str().as_bytes()));
            payload.add_optional(cache_ttl_s.map(u32::to_le_bytes).as_ref().map(<[u8; 4]>::as_slice));
            payload.add_precondition(&precondition);
            // As before where it is not asked for: a retry may reach a node of the release before.
            if let Some(visibility) = visibility {
                payload.add(visibility.as_str().as_bytes());
            }
            key.within(client, "patch_asset", &payload)
        });
        let mime = mime.map(MediaType::into_string);
        let patch = PatchAsset { client: client.clone(), asset: asset.clone(), mime, cache_ttl_s, precondition };
        let command = match visibility {
            None => Command::PatchAsset(patch),
            Some(_) => Command::DescribeAsset(DescribeAsset { patch, visibility }),
        };
        let committed = self.cluster.change(command, once).await?;
        let Outcome::AssetPatched(asset) = committed.outcome else {
            return Err(ChangeError::Unexpected);
        };
        self.described(asset).await
    }

    /// Gives an asset of `client` another path, at which nothing stands. Its id, its content and who may read it stay. Needs schema
    /// level 5.
    ///
    /// # Errors
    /// [`ChangeError`]; [`Rejection::PathTaken`](ncore_model::Rejection::PathTaken) if the client has another asset there.
    pub async fn move_to(
        &self,
        client: &ClientId,
        asset: &AssetId,
        path: &AssetPath,
        precondition: Precondition,
        once: Option<&OnceKey>,
    ) -> Result<Seen<AssetDetails>, ChangeError> {
        let once = once.map(|key| {
            let mut payload = Payload::new();
            payload.add(asset.as_str().as_bytes());
            payload.add(path.as_str().as_bytes());
            payload.add_precondition(&precondition);
            key.within(client, "move_asset", &payload)
        });
        let path = path.as_str().to_owned();
        let change = MoveAsset { client: client.clone(), asset: asset.clone(), path, precondition };
        let committed = self.cluster.change(Command::MoveAsset(change), once).await?;
        match committed.outcome {
            Outcome::AssetMoved(asset) => self.described(asset).await,
            _ => Err(ChangeError::Unexpected),
        }
    }

    async fn described(&self, asset: Asset) -> Result<Seen<AssetDetails>, ChangeError> {
        let public_url = Arc::clone(&self.public_url);
        let details = self.cluster.read(move |view| describe(view, public_url, asset));
        details.await.map_err(ChangeError::Unreadable)
    }

    /// Has whatever is cached of the assets of `client` that match `pattern` dropped on every node. The assets stay. They are
    /// counted in a view that includes the purge. The log holds it to the limit, from schema level 7 on.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn purge(
        &self,
        client: &ClientId,
        pattern: &str,
        glob: AssetGlob,
        once: Option<&OnceKey>,
        level: AckLevel,
        limit: Option<PurgeLimit>,
    ) -> Result<Purged, ChangeError> {
        let once = once.map(|key| {
            let mut payload = Payload::new();
            payload.add(pattern.as_bytes());
            key.within(client, "purge_assets", &payload)
        });
        let purge = PurgeAssets { client: client.clone(), pattern: pattern.to_owned() };
        let committed = self.purge_within(purge, once, limit).await?;
        if committed.outcome != Outcome::Purged {
            return Err(ChangeError::Unexpected);
        }
        let client = client.clone();
        let count = self.cluster.read(move |view| count(view, &client, &glob));
        let assets = count.await.map_err(ChangeError::Unreadable)?.value;
        let acknowledged = self.cluster.acknowledge(committed.revision, level, self.fence_policy()).await;
        Ok(Purged { assets, revision: committed.revision, acknowledged })
    }
}

/// How many assets of `client` match. Only keys are read, some at a time.
fn count(tables: &impl ReadTables, client: &ClientId, glob: &AssetGlob) -> Result<u64, TableError> {
    // The key of this table is the client, a zero byte, and the path.
    let base = [client.as_str().as_bytes(), &[0]].concat();
    let prefix = [&base, glob.literal_prefix().as_bytes()].concat();
    let mut from = prefix.clone();
    let mut matching = 0;
    loop {
        let rows = tables.scan(Table::ClientAssets, &prefix, &from, KEYS_AT_ONCE)?;
        let paths = rows.iter().filter_map(|(key, _)| str::from_utf8(key.get(base.len()..)?).ok());
        matching += paths.filter(|path| glob.matches(path)).count() as u64;
        match rows.last() {
            Some((last, _)) if rows.len() == KEYS_AT_ONCE => from = [last, [0].as_slice()].concat(),
            _ => return Ok(matching),
        }
    }
}

/// Keys that are in memory at a time while matches are counted.
const KEYS_AT_ONCE: usize = 1_024;
