//! Copies on other nodes: of an upload while it comes in, or of a blob that is here.

mod existing;
mod fan;
mod lane;
mod pieces;

pub(crate) use existing::copy_existing;
pub use fan::CopyFan;
