//! What can be asked of zones. Each is what a command carries, hence never changed.

use serde::{Deserialize, Serialize};

use super::{ZoneBypass, ZoneFence, ZoneOrigin, ZonePurgeTarget, ZoneSettings};
use crate::id::{ClientId, ZoneId};

/// See [`Command::CreateZone`](crate::Command::CreateZone). Its id and its host name follow from the request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateZone {
    /// Whose it is to be.
    pub client: ClientId,
    /// What to call it.
    pub name: String,
    /// Where its content comes from.
    pub origins: Vec<ZoneOrigin>,
    /// What origins are asked for as `Host`.
    pub host_header: Option<String>,
    /// What follows the first part of the host name that it gets.
    pub cdn_suffix: String,
    /// Its custom domains.
    pub domains: Vec<String>,
    /// What it keeps.
    pub settings: ZoneSettings,
}

/// See [`Command::UpdateZone`](crate::Command::UpdateZone). What is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateZone {
    /// Who changes it.
    pub client: ClientId,
    /// Which zone.
    pub zone: ZoneId,
    /// The versions of which it must have one; whatever it has, if `None`.
    pub versions: Option<Vec<u64>>,
    /// What to call it.
    pub name: Option<String>,
    /// Where its content comes from.
    pub origins: Option<Vec<ZoneOrigin>>,
    /// What origins are asked for as `Host`.
    pub host_header: Option<Option<String>>,
    /// Its custom domains.
    pub domains: Option<Vec<String>>,
    /// What it keeps.
    pub settings: ZoneSettingsPatch,
}

impl UpdateZone {
    /// One that changes nothing.
    #[must_use]
    pub fn nothing(client: ClientId, zone: ZoneId) -> Self {
        let settings = ZoneSettingsPatch::default();
        Self { client, zone, versions: None, name: None, origins: None, host_header: None, domains: None, settings }
    }
}

/// See [`Command::CreateShieldedZone`](crate::Command::CreateShieldedZone).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateShieldedZone {
    /// What it is to be.
    pub zone: CreateZone,
    /// Where its shield is to be.
    pub region: String,
}

/// See [`Command::ShieldZone`](crate::Command::ShieldZone).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShieldZone {
    /// What else changes.
    pub update: UpdateZone,
    /// Where its shield is to be; just anywhere, if `None`.
    pub region: Option<String>,
}

/// Some of the settings of a zone. What is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ZoneSettingsPatch {
    /// See [`ZoneSettings::cache_ttl_s`].
    pub cache_ttl_s: Option<Option<u32>>,
    /// See [`ZoneSettings::cache_query_strings`].
    pub cache_query_strings: Option<bool>,
    /// See [`ZoneSettings::bypass`].
    pub bypass: Option<ZoneBypass>,
    /// See [`ZoneSettings::negative_ttl_s`].
    pub negative_ttl_s: Option<Option<u32>>,
    /// See [`ZoneSettings::stale_on_error_s`].
    pub stale_on_error_s: Option<Option<u32>>,
    /// See [`ZoneSettings::stale_while_revalidate_s`].
    pub stale_while_revalidate_s: Option<Option<u32>>,
    /// See [`ZoneSettings::fence`].
    pub fence: Option<ZoneFence>,
    /// See [`ZoneSettings::tiers`].
    pub tiers: Option<bool>,
    /// See [`ZoneSettings::cache_set_cookie`].
    pub cache_set_cookie: Option<bool>,
    /// See [`ZoneSettings::cache_authorization`].
    pub cache_authorization: Option<bool>,
    /// See [`ZoneSettings::cors`].
    pub cors: Option<bool>,
}

/// See [`Command::RemoveZone`](crate::Command::RemoveZone).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveZone {
    /// Who removes it.
    pub client: ClientId,
    /// Which zone.
    pub zone: ZoneId,
    /// The versions of which it must have one; whatever it has, if `None`.
    pub versions: Option<Vec<u64>>,
}

/// See [`Command::PurgeZone`](crate::Command::PurgeZone).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeZone {
    /// Who purges it.
    pub client: ClientId,
    /// Which zone.
    pub zone: ZoneId,
    /// What of it.
    pub targets: Vec<ZonePurgeTarget>,
}
