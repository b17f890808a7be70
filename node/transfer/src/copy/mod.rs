//! Copies on other nodes: of an upload while it comes in, or of a blob that is here.

mod existing;
mod fan;
mod greet;
mod lane;
mod pieces;

pub(crate) use existing::ExistingCopy;
pub use fan::CopyFan;
