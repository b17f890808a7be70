//! Fetching: one slice for a viewer, or a whole blob for the store.

mod blob;
mod frames;
mod slice;

pub(crate) use blob::fetch_blob;
pub(crate) use slice::fetch_slice;
