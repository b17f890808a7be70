//! Tiers of zones between nodes: the service that answers other nodes, and the way to them. It joins the data plane, which knows no wire and no
//! cluster, and the cluster port.

mod link;
mod service;
mod wire;

pub(super) use self::{link::OtherTiers, service::TierService};
