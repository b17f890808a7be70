//! The client that speaks to origins.
//!
//! ```text
//!   Origins::send(set, request)
//!      │ choose an origin: weight, backup, health                          ◄─────────────┐
//!      ▼                                                                                 │
//!   a turn  ──► a connection: kept, shared, or new: name → addresses → allowed? → TLS    │ again, where that is safe
//!      │                                                                                 │ and the budget has it
//!      ▼                                                                                 │
//!   the request, without what is for one hop ──► the head of a response, checked ──error─┘
//!                                                      │
//!                                                      ▼
//!                                                 OriginBody: streamed; a stall, a break, a wrong length are errors
//! ```
//!
//! # What holds
//!
//! 1. **The address that is checked is the one that is dialled.** Names are resolved first, then each address is held against
//!    [`AddressPolicy`], then it is connected to; nothing resolves again in between. Redirects are not followed.
//! 2. **Nothing is sent twice that may not be.** Sent again is what certainly was not taken in, or what may be repeated (RFC 9110 §9.2.2), has
//!    no body or a short one, and went over a connection that was used before and broke before any byte of a response.
//! 3. **Everything is bounded.** Connections (of an origin, of the node), requests under way, requests that wait and for how long, heads,
//!    informational responses, how long a body may stand still, retries of a request and of all requests.
//! 4. **A response that ends early is never taken for a whole one.**
//! 5. **A request holds its connection and turn until the last byte**, and no longer: dropping a response frees both.
//! 6. **Who asked is said by the caller** ([`ViewerInfo`]) and not by the request.
//!
//! # What is not here
//! Caching, `Via` and `CDN-Loop`, which fields of a viewer's request an origin gets beyond those for one hop: all the caller's.

mod address;
mod body;
mod budget;
mod check;
mod choose;
mod classify;
mod dial;
mod error;
mod exchange;
mod fields;
mod figures;
mod frames;
mod gate;
mod head;
mod health;
mod link;
mod node;
mod origin;
mod origins;
mod pool;
mod replay;
mod request;
mod resolve;
mod set;
mod settings;
mod tls;
mod tunnel;
mod url;
mod viewer;
mod wire;

pub use address::{AddressClass, AddressPolicy, RefusedAddress};
pub use body::OriginBody;
pub use error::{BoxError, ErrorKind, Fault, OriginError, Retry};
pub use exchange::Answered;
pub use figures::Figures;
pub use origins::{Origins, OriginsSettings};
pub use request::RequestBody;
pub use resolve::{Resolve, ResolveError, SystemResolver};
pub use set::{OriginSet, OriginState};
pub use settings::{
    ActiveCheck, FixedHost, HealthSettings, HostField, Limits, OriginSettings, Retries, SetSettings, SettingsError, Timeouts, TlsSettings,
};
pub use tls::system_authorities;
pub use tunnel::{Switched, Tunnel, UpgradeAnswer};
pub use url::{OriginHost, OriginUrl, OriginUrlError, Scheme};
pub use viewer::{Chain, OnInformational, TakesInformational, ViewerInfo};
