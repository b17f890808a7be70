//! The control plane of a node.

mod plane;

pub use plane::{Change, Committed, ControlPlane, ProposeError, ReadError};
