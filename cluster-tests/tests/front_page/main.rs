//! The page of a node: what anybody sees of it, and what administrators see of the whole cluster.

mod browser;
mod cluster;
mod public;
