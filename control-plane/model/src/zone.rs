//! A zone: an origin, or several, with a cache in front of them.
//!
//! ```text
//!   Zone ──► ZoneOrigin…   where content comes from
//!     │  └─► ZoneSettings  what is kept of it, and for how long
//!     ├────► ZoneShield    where the node is that asks its origins for all others
//!     ├────► hosts         the names that viewers ask for it by: its own, and custom domains
//!     └────► purges        what is kept no longer, since which index
//! ```
//!
//! Every node decides by the same rules what a zone may be: the checks here are part of `apply`, and whoever asks for a change can make
//! them before.

mod change;
mod field;
mod host;
mod origin;
mod purge;
mod settings;
mod shield;

use serde::{Deserialize, Serialize};

pub use change::{CreateShieldedZone, CreateZone, PurgeZone, RemoveZone, ShieldZone, UpdateZone, ZoneSettingsPatch};
pub use field::ZoneField;
pub use host::is_host_name;
pub use origin::{MAX_ORIGIN_WEIGHT, MAX_ZONE_ORIGINS, ZoneOrigin};
pub use purge::{MAX_PURGE_TARGETS, MAX_ZONE_PURGE_WEIGHT, ZonePurge, ZonePurgeMark, ZonePurgeTarget};
pub use settings::{MAX_ZONE_RULES, ZoneBypass, ZoneFence, ZoneSettings};
pub use shield::ZoneShield;

use crate::{
    codec::Record,
    id::{ClientId, ZoneId},
};

/// The most zones of a client, whatever its plan says.
pub const MAX_ZONES: usize = 1_000;
/// The most custom domains of a zone.
pub const MAX_ZONE_DOMAINS: usize = 100;
/// The longest name of a zone, in bytes.
pub const MAX_ZONE_NAME_BYTES: usize = 256;

/// A zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// Its number: the index at which it was made. What nodes keep of it goes by that.
    pub number: u64,
    /// Whose it is.
    pub client: ClientId,
    /// What its owner calls it.
    pub name: String,
    /// Where its content comes from: at least one that is no backup.
    pub origins: Vec<ZoneOrigin>,
    /// What origins are asked for as `Host`, in place of the host of their URLs.
    pub host_header: Option<String>,
    /// The host name that it has from the cluster.
    pub cdn_hostname: String,
    /// Host names of its owner's.
    pub domains: Vec<String>,
    /// What is kept of its content.
    pub settings: ZoneSettings,
    /// When it was made, in Unix milliseconds of log time.
    pub created_at_ms: u64,
    /// When it was last changed, in Unix milliseconds of log time.
    pub updated_at_ms: u64,
    /// The index of its last change.
    pub version: u64,
}

impl Record for Zone {
    const KIND: u16 = 0x49;
    const VERSION: u16 = 1;
}

impl Zone {
    /// Every host name that it is asked for by.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.cdn_hostname.as_str()).chain(self.domains.iter().map(String::as_str))
    }

    /// The first part of it that no zone may have.
    #[must_use]
    pub fn fault(&self) -> Option<ZoneField> {
        let is_name = !self.name.trim().is_empty() && self.name.len() <= MAX_ZONE_NAME_BYTES && !self.name.chars().any(char::is_control);
        let has_origins = (1..=MAX_ZONE_ORIGINS).contains(&self.origins.len())
            && self.origins.iter().all(ZoneOrigin::is_valid)
            && self.origins.iter().all(|origin| origin.path() == self.origins[0].path())
            && self.origins.iter().any(|origin| !origin.backup);
        let is_own = |domain: &String| is_host_name(domain) && *domain != self.cdn_hostname;
        let mut sorted: Vec<&String> = self.domains.iter().collect();
        sorted.sort_unstable();
        let has_domains =
            self.domains.len() <= MAX_ZONE_DOMAINS && self.domains.iter().all(is_own) && sorted.windows(2).all(|pair| pair[0] != pair[1]);
        if !is_name {
            Some(ZoneField::Name)
        } else if !has_origins {
            Some(ZoneField::Origins)
        } else if self.host_header.as_deref().is_some_and(|host| !origin::is_authority(host)) {
            Some(ZoneField::HostHeader)
        } else if !is_host_name(&self.cdn_hostname) {
            Some(ZoneField::CdnHostname)
        } else if !has_domains {
            Some(ZoneField::Domains)
        } else {
            self.settings.fault()
        }
    }
}
