//! Why something was not done with a zone.

use super::{ChangeError, StateError};

/// A zone that was not shown, made, changed, removed or purged.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// The client has none with this id, in the view that was read. The caller's fault, or the view is older than the zone.
    #[error("no such zone")]
    Unknown,
    /// The cluster gives out the names below its suffix itself. The caller's fault.
    #[error("the host name {host} is the cluster's to give")]
    Reserved {
        /// Which name.
        host: String,
    },
    /// The state cannot be read.
    #[error("the zone cannot be read")]
    State(#[source] StateError),
    /// The change did not go through.
    #[error("the zone was not changed")]
    Change(#[source] ChangeError),
}
