//! Why a change has no outcome, or not the one that was asked for.

use ncore_model::{Rejection, Revision};

use super::StateError;

/// A change that was not carried out, or of which that is not known.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It did not take place and will not. The cluster's fault; try again.
    #[error("the cluster cannot take changes now: {reason}")]
    Unavailable {
        /// What is in the way.
        reason: &'static str,
    },
    /// It may have taken place, or may yet. Try again with the same key to find out.
    #[error("whether the change took place is not known: {reason}")]
    Unknown {
        /// What was in the way of the answer.
        reason: &'static str,
    },
    /// The cluster decided against it, and nothing changed.
    #[error("the change was rejected")]
    Rejected {
        /// Why.
        #[source]
        rejection: Rejection,
        /// The state in which it was decided: later reads are not to show an older one.
        revision: Revision,
    },
    /// It was carried out, and this node could not read what to answer.
    #[error("the change took place, and the answer cannot be read")]
    Unreadable(#[source] StateError),
    /// It was carried out, and what the log answers is not an answer to it. A defect.
    #[error("the change took place, and its outcome is of another kind")]
    Unexpected,
}
