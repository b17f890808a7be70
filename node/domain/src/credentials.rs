//! Who may do what: clients with their secrets, and the access tokens that they get for them.

mod clients;
mod principal;
mod secret;
mod signing;
mod tokens;

pub use clients::{Clients, NewClient};
pub use principal::Principal;
pub use tokens::{IssuedToken, TOKEN_LIFETIME_S, Tokens};
