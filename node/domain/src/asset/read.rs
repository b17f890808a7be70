//! Reading assets: one, or a page of them.

use std::sync::Arc;

use ncore_model::{Asset, AssetFilter, AssetId, ClientId, Query};

use super::{
    Assets,
    details::{AssetDetails, describe, describer},
};
use crate::{
    cluster::Seen,
    error::{AssetError, StateError},
};

/// Which assets a list is to have.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// What their paths start with.
    pub prefix: String,
    /// Their MIME type: `type/subtype`, `type/*` or `type`.
    pub mime: Option<String>,
    /// Whether what is below a slash behind the prefix is given as a folder. `mime` does not count then.
    pub folders: bool,
    /// The path, or folder, after which the page begins.
    pub after: Option<String>,
    /// The most assets of the page.
    pub limit: usize,
}

/// A page of assets, in the order of their paths.
#[derive(Debug, Clone)]
pub struct AssetList {
    /// The assets.
    pub assets: Vec<AssetDetails>,
    /// The folders, each with a slash at its end.
    pub folders: Vec<String>,
    /// Whether there are more after the last.
    pub has_more: bool,
}

impl AssetList {
    /// After what the next page begins.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        let asset = self.assets.last().map(|details| details.asset.path.as_str());
        asset.max(self.folders.last().map(String::as_str))
    }
}

impl Assets {
    /// A page of the assets of `client`. Later pages go on after the last path, so what is added or deleted meanwhile moves
    /// nothing that stays.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn list(&self, client: &ClientId, request: ListRequest) -> Result<Seen<AssetList>, StateError> {
        let (client, public_url) = (client.clone(), Arc::clone(&self.public_url));
        let list = self.cluster.read(move |view| {
            if request.folders {
                let page = view.folder_of(&client, &request.prefix, request.after.as_deref(), request.limit)?;
                let mut describer = describer(view, public_url)?;
                let assets = page.assets.into_iter().map(|asset| describer.describe(asset));
                return Ok(AssetList { assets: assets.collect::<Result<_, _>>()?, folders: page.folders, has_more: page.has_more });
            }
            let filter = AssetFilter { prefix: &request.prefix, mime: request.mime.as_deref() };
            let page = view.assets_of(&client, &filter, request.after.as_deref(), request.limit)?;
            let mut describer = describer(view, public_url)?;
            let assets = page.assets.into_iter().map(|asset| describer.describe(asset));
            Ok(AssetList { assets: assets.collect::<Result<_, _>>()?, folders: Vec::new(), has_more: page.has_more })
        });
        list.await
    }

    /// An asset of `client`.
    ///
    /// # Errors
    /// [`AssetError`].
    pub async fn get(&self, client: &ClientId, id: &AssetId) -> Result<Seen<AssetDetails>, AssetError> {
        let (client, id, public_url) = (client.clone(), id.clone(), Arc::clone(&self.public_url));
        let seen = self.cluster.read(move |view| {
            let asset = match owned(view.asset(&id)?, &client) {
                Ok(asset) => asset,
                Err(error) => return Ok(Err(error)),
            };
            describe(view, public_url, asset).map(Ok)
        });
        let Seen { revision, value } = seen.await.map_err(AssetError::State)?;
        Ok(Seen { revision, value: value? })
    }
}

/// The asset, if it is there and belongs to `client`.
pub(super) fn owned(asset: Option<Asset>, client: &ClientId) -> Result<Asset, AssetError> {
    match asset {
        None => Err(AssetError::Unknown),
        Some(asset) if asset.client != *client => Err(AssetError::OfOther),
        Some(asset) => Ok(asset),
    }
}
