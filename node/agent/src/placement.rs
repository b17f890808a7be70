//! What this node must hold.

use ncore_model::Asset;

/// Whether this node must hold the content of `asset`. Every node holds every asset; a policy by client or path would stand here.
pub(crate) fn must_hold(_asset: &Asset) -> bool {
    true
}
