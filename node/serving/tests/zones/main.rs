//! Zones as a viewer sees them: a real listener, a real origin that does what it is told, and what the cache makes of both.

mod collapse;
mod explain;
mod grpc;
mod interim;
mod large;
mod origin;
mod parts;
mod purged;
mod rules;
mod secure;
mod site;
mod tiers;
mod told;
mod upgrade;
mod writes;
