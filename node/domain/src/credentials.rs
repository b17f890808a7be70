//! Who may do what: clients with their secrets, the access tokens that they get for them, and the addresses that they sign.

mod administrators;
mod called_from;
mod clients;
mod denials;
mod gate;
mod guesses;
mod principal;
mod refresh;
mod roster;
mod secret;
mod sessions;
mod signed_url;
mod signer;
mod signing;
mod tokens;

pub(crate) use gate::Gate;

pub use administrators::Administrators;
pub use called_from::CalledFrom;
pub use clients::{ClientDetails, Clients, NewClient, NewSecret, Registration};
pub use denials::{DenialReason, Denials};
pub use gate::Fenced;
pub use principal::Principal;
pub use refresh::Refreshed;
pub use roster::{Roster, RosterRow};
pub use sessions::{NewSession, Sessions, SignedIn};
pub use signed_url::{Reach, SignedUrlError, is_signed, parse_network};
pub use signer::{SIGNED_LIFETIME_MAX_S, SignedAddress, Signer};
pub use signing::{KeyUse, SIGNING_KEYS_TENDED_EVERY, SigningKeys};
pub use tokens::{IssuedToken, Revoked, TOKEN_LIFETIME_S, TokenFacts, Tokens};
