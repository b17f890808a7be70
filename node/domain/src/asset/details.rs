//! An asset as a client sees it: the record, and what follows from the rest of the view.

use std::{collections::HashMap, sync::Arc};

use ncore_model::{Asset, NodeId, Query, ReadTables, Revision, Table, TableError, Visibility};
use ncore_replica::View;

use super::{address, holdings::Holdings};

/// An asset as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetDetails {
    /// The record.
    pub asset: Asset,
    /// Who may read it there.
    pub visibility: Visibility,
    /// Where viewers find it.
    pub url: String,
    /// The name of the node that accepted its content.
    pub node: String,
    /// Whether every node that must hold it does, verified.
    pub replicated: bool,
    /// How many nodes are known to hold it.
    pub copies: usize,
    /// The revision at which its content was put.
    pub revision: Revision,
}

/// Describes assets of one view. Members and reports are read once for all of them.
pub(crate) struct Describer<'a, V> {
    view: &'a V,
    lineage: u32,
    public_url: Arc<str>,
    holdings: Holdings,
    names: HashMap<NodeId, String>,
    /// Whether there are assets that are restricted for themselves. Where there are none, none is asked for.
    restricts: bool,
}

pub(crate) fn describer<'a, 'b>(view: &'a View<'b>, public_url: Arc<str>) -> Result<Describer<'a, View<'b>>, TableError> {
    let names = view.nodes()?.into_iter().map(|node| (node.id, node.name)).collect();
    let restricts = !view.scan(Table::RestrictedAssets, &[], &[], 1)?.is_empty();
    Ok(Describer { view, lineage: view.revision().lineage, public_url, holdings: Holdings::read(view)?, names, restricts })
}

/// Describes one asset.
pub(crate) fn describe(view: &View<'_>, public_url: Arc<str>, asset: Asset) -> Result<AssetDetails, TableError> {
    describer(view, public_url)?.describe(asset)
}

impl<V: ReadTables> Describer<'_, V> {
    pub(crate) fn describe(&mut self, asset: Asset) -> Result<AssetDetails, TableError> {
        let placed = self.holdings.placed(self.view, &asset)?;
        Ok(AssetDetails {
            visibility: self.visibility(&asset)?,
            url: address::of_asset(&self.public_url, &asset.path),
            node: self.names.get(&asset.node).cloned().unwrap_or_else(|| asset.node.to_string()),
            replicated: self.holdings.replicated(&placed, asset.version),
            copies: self.holdings.copies(self.view, &placed, &asset)?,
            revision: Revision { lineage: self.lineage, index: asset.version },
            asset,
        })
    }

    fn visibility(&self, asset: &Asset) -> Result<Visibility, TableError> {
        if self.restricts || Visibility::is_fixed_at(&asset.path) { self.view.visibility(asset) } else { Ok(Visibility::Public) }
    }
}
