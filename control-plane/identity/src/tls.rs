//! TLS between nodes: version 1.3 only, both sides known by their certificates, nothing remembered between connections.
//!
//! A resumed TLS session skips the check of certificates, so there are no tickets and no session caches on either side:
//! each connection proves anew who is there. Node names are not sent in the clear (no SNI); the server needs none.

mod config;
mod handle;
mod verifier;

pub use config::{client_config, join_client_config, server_config};
pub use handle::IdentityHandle;
pub use verifier::ExpectedPeer;
