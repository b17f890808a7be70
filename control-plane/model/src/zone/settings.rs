//! What a zone keeps of its content.

use serde::{Deserialize, Serialize};

use super::{ZoneField, change::ZoneSettingsPatch, host::is_token};

/// The most paths, and the most cookies, that go past the cache of a zone.
pub const MAX_ZONE_RULES: usize = 100;
/// The longest path of such a rule, in bytes.
const MAX_RULE_BYTES: usize = 1_024;
/// The longest time that content is fresh by a setting, in seconds.
const MAX_TTL_S: u32 = 365 * 24 * 3_600;
/// The longest time that an error is kept by a setting, in seconds.
const MAX_NEGATIVE_TTL_S: u32 = 24 * 3_600;
/// The longest time that content is given out after its own, in seconds.
const MAX_STALE_S: u32 = 7 * 24 * 3_600;

/// The settings of a zone. What comes out of [`Default`] is what the book says, and nothing beyond it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSettings {
    /// How long content is fresh of which the origin does not say how long, in seconds. `None`: by the book alone.
    pub cache_ttl_s: Option<u32>,
    /// Whether the query is part of the key.
    pub cache_query_strings: bool,
    /// What goes past the cache.
    pub bypass: ZoneBypass,
    /// How long errors are kept of which the origin does not say how long, in seconds. `None`: by the book alone.
    pub negative_ttl_s: Option<u32>,
    /// How long content is given out after its time when its origin cannot be reached or fails, in seconds, where no header says how long.
    /// `None`: as headers have it.
    pub stale_on_error_s: Option<u32>,
    /// How long content is given out after its time while it is asked for anew, in seconds, where no header says how long. `None`: as headers
    /// have it.
    pub stale_while_revalidate_s: Option<u32>,
    /// What a node does with content of the zone while its view of the cluster may be too old.
    pub fence: ZoneFence,
    /// Whether a miss asks other nodes before the origin.
    pub tiers: bool,
    /// Whether responses with `Set-Cookie` may be kept.
    pub cache_set_cookie: bool,
    /// Whether responses to requests with `Authorization` may be kept without the origin saying so.
    pub cache_authorization: bool,
    /// Whether every site may read it (CORS).
    pub cors: bool,
}

impl Default for ZoneSettings {
    fn default() -> Self {
        Self {
            cache_ttl_s: None,
            cache_query_strings: true,
            bypass: ZoneBypass::default(),
            negative_ttl_s: None,
            stale_on_error_s: None,
            stale_while_revalidate_s: None,
            fence: ZoneFence::Revalidate,
            tiers: true,
            cache_set_cookie: false,
            cache_authorization: false,
            cors: false,
        }
    }
}

/// What goes past the cache of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ZoneBypass {
    /// Everything.
    pub everything: bool,
    /// Requests whose paths begin with one of these.
    pub prefixes: Vec<String>,
    /// Requests that show a cookie of one of these names.
    pub cookies: Vec<String>,
}

/// What a node does with content of a zone while its view of the cluster may be too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneFence {
    /// It asks the origin, each time.
    Revalidate,
    /// It gives out what it has, marked as stale.
    Serve,
    /// It refuses.
    Refuse,
}

impl ZoneFence {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Revalidate, Self::Serve, Self::Refuse];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revalidate => "revalidate",
            Self::Serve => "serve",
            Self::Refuse => "refuse",
        }
    }
}

impl std::str::FromStr for ZoneFence {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|fence| fence.as_str() == text).ok_or(())
    }
}

impl ZoneSettings {
    /// These settings with some of them changed.
    #[must_use]
    pub fn patched(&self, patch: &ZoneSettingsPatch) -> Self {
        Self {
            cache_ttl_s: patch.cache_ttl_s.unwrap_or(self.cache_ttl_s),
            cache_query_strings: patch.cache_query_strings.unwrap_or(self.cache_query_strings),
            bypass: patch.bypass.clone().unwrap_or_else(|| self.bypass.clone()),
            negative_ttl_s: patch.negative_ttl_s.unwrap_or(self.negative_ttl_s),
            stale_on_error_s: patch.stale_on_error_s.unwrap_or(self.stale_on_error_s),
            stale_while_revalidate_s: patch.stale_while_revalidate_s.unwrap_or(self.stale_while_revalidate_s),
            fence: patch.fence.unwrap_or(self.fence),
            tiers: patch.tiers.unwrap_or(self.tiers),
            cache_set_cookie: patch.cache_set_cookie.unwrap_or(self.cache_set_cookie),
            cache_authorization: patch.cache_authorization.unwrap_or(self.cache_authorization),
            cors: patch.cors.unwrap_or(self.cors),
        }
    }

    /// The first of them that no zone may have.
    pub(super) fn fault(&self) -> Option<ZoneField> {
        let ZoneBypass { prefixes, cookies, .. } = &self.bypass;
        let is_prefix = |path: &String| path.starts_with('/') && path.len() <= MAX_RULE_BYTES && !path.chars().any(char::is_control);
        let is_bypass = prefixes.len().max(cookies.len()) <= MAX_ZONE_RULES
            && prefixes.iter().all(is_prefix)
            && cookies.iter().all(|name| is_token(name));
        if self.cache_ttl_s.is_some_and(|ttl| ttl > MAX_TTL_S) {
            Some(ZoneField::CacheTtl)
        } else if self.negative_ttl_s.is_some_and(|ttl| ttl > MAX_NEGATIVE_TTL_S) {
            Some(ZoneField::NegativeTtl)
        } else if self.stale_on_error_s.is_some_and(|seconds| seconds > MAX_STALE_S) {
            Some(ZoneField::StaleOnError)
        } else if self.stale_while_revalidate_s.is_some_and(|seconds| seconds > MAX_STALE_S) {
            Some(ZoneField::StaleWhileRevalidate)
        } else if !is_bypass {
            Some(ZoneField::Bypass)
        } else {
            None
        }
    }
}
