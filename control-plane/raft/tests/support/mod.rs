//! What the cluster tests are built from.

pub(crate) mod cluster;
pub(crate) mod link;
pub(crate) mod machine;
