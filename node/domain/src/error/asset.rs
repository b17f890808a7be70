//! Why an asset cannot be shown.

use super::StateError;

/// An asset that cannot be shown to this client.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// There is none with this id in the view that was read. The caller's fault, or the view is older than the asset: present
    /// the revision of the upload.
    #[error("no such asset")]
    Unknown,
    /// It belongs to another client. The caller's fault.
    #[error("the asset belongs to another client")]
    OfOther,
    /// The state cannot be read.
    #[error("the asset cannot be read")]
    State(#[source] StateError),
}
