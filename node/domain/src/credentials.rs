//! Who may do what: clients with their secrets, and the access tokens that they get for them.

mod clients;
mod gate;
mod principal;
mod secret;
mod signing;
mod tokens;

pub(crate) use gate::Gate;

pub use clients::{Clients, NewClient};
pub use gate::Fenced;
pub use principal::Principal;
pub use tokens::{IssuedToken, Revoked, TOKEN_LIFETIME_S, Tokens};
