//! The public address of an asset.

use crate::percent;

/// The URL at which viewers find the asset at `path`.
pub(crate) fn of_asset(public_url: &str, path: &str) -> String {
    format!("{public_url}/assets/{}", percent::path(path))
}
