//! Zones: content that is pulled from origins, and kept as RFC 9111 says.

mod origin;
mod table;
mod zone;

pub use self::{
    origin::{BadOrigin, OriginBody, OriginError, OriginSet, Origins},
    table::{ZoneTable, Zones},
    zone::{Authorised, Bypass, FencedZone, KeySettings, QueryKey, TtlSettings, Zone},
};
