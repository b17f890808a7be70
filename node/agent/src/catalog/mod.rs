//! What serving asks: which asset a path names, with what a response says about it rendered beforehand.

mod asset_catalog;
mod cache;
mod hosts;
mod watcher;

pub use asset_catalog::AssetCatalog;
pub(crate) use {cache::EntryCache, hosts::Hosts, watcher::Watcher};
