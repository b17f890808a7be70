//! A path of the asset store: put, delete by id, and get.
//!
//! A put answers with the asset's id. Whether a second put to the same path gives a new id or keeps the old one is the
//! product's affair; the model takes it as it comes. What it insists on: a get sees the content of the latest put, under
//! the id that this put answered with, or nothing after a delete; a delete removes the asset that its id names if that is
//! what the path holds, says "not found" if it is not, and never touches another.

use super::Model;
use serde::{Deserialize, Serialize};

/// Paths that hold an asset, at first none.
#[derive(Debug, Clone, Copy)]
pub struct AssetPath;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathOp {
    /// Upload content to `path`.
    Put {
        /// The path.
        path: String,
        /// The content, by its digest.
        sha256: String,
    },
    /// Delete the asset `id`, which was seen at `path`.
    Delete {
        /// The path.
        path: String,
        /// The asset.
        id: String,
    },
    /// Look `path` up.
    Get {
        /// The path.
        path: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathOutcome {
    /// The asset has this id now.
    Put {
        /// The id.
        id: String,
    },
    /// It was deleted.
    Deleted,
    /// No asset has this id.
    NotFound,
    /// What the path holds.
    Holds(Option<Held>),
}

/// An asset, as far as the model knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Held {
    /// Its id, unless it came by a put without an answer and was not seen since.
    pub id: Option<String>,
    /// Its content.
    pub sha256: String,
}

/// What a path holds.
pub type PathState = Option<Held>;

impl Model for AssetPath {
    type Op = PathOp;
    type Outcome = PathOutcome;
    type State = PathState;
    type Key = String;

    fn key(op: &PathOp) -> String {
        match op {
            PathOp::Put { path, .. } | PathOp::Delete { path, .. } | PathOp::Get { path } => path.clone(),
        }
    }

    fn initial() -> PathState {
        None
    }

    fn step(state: &PathState, op: &PathOp, outcome: Option<&PathOutcome>) -> Option<PathState> {
        match (op, outcome) {
            (PathOp::Put { sha256, .. }, None) => Some(Some(Held { id: None, sha256: sha256.clone() })),
            (PathOp::Put { sha256, .. }, Some(PathOutcome::Put { id })) => {
                Some(Some(Held { id: Some(id.clone()), sha256: sha256.clone() }))
            }
            (PathOp::Delete { id, .. }, None) => Some(if may_be(state, id) { None } else { state.clone() }),
            (PathOp::Delete { id, .. }, Some(PathOutcome::Deleted)) => may_be(state, id).then_some(None),
            (PathOp::Delete { id, .. }, Some(PathOutcome::NotFound)) => (!is(state, id)).then(|| state.clone()),
            (PathOp::Get { .. }, None) => Some(state.clone()),
            (PathOp::Get { .. }, Some(PathOutcome::Holds(seen))) => see(state, seen.as_ref()),
            _ => None,
        }
    }

    fn is_read(op: &PathOp, outcome: Option<&PathOutcome>) -> bool {
        matches!(op, PathOp::Get { .. }) || outcome == Some(&PathOutcome::NotFound)
    }
}

/// Whether the path holds the asset `id` for certain.
fn is(state: &PathState, id: &str) -> bool {
    state.as_ref().is_some_and(|held| held.id.as_deref() == Some(id))
}

/// Whether the path may hold the asset `id`: it does, or it holds one whose id is not known.
fn may_be(state: &PathState, id: &str) -> bool {
    state.as_ref().is_some_and(|held| held.id.as_deref().is_none_or(|known| known == id))
}

/// What is known after a look: an id not known before is known now.
fn see(state: &PathState, seen: Option<&Held>) -> Option<PathState> {
    match (state, seen) {
        (None, None) => Some(None),
        (Some(held), Some(seen)) => {
            let same_id = held.id.is_none() || held.id == seen.id;
            (same_id && held.sha256 == seen.sha256).then(|| Some(seen.clone()))
        }
        _ => None,
    }
}
