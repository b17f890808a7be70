//! Who may do what: clients with their secrets, the access tokens that they get for them, and the addresses that they sign.

mod clients;
mod gate;
mod principal;
mod secret;
mod signed_url;
mod signer;
mod signing;
mod tokens;

pub(crate) use gate::Gate;

pub use clients::{Clients, NewClient};
pub use gate::Fenced;
pub use principal::Principal;
pub use signed_url::{Reach, SignedUrlError, is_signed, parse_network};
pub use signer::{SIGNED_LIFETIME_MAX_S, SignedAddress, Signer};
pub use tokens::{IssuedToken, Revoked, TOKEN_LIFETIME_S, Tokens};
