//! What a set of origins is made from. Values that cannot be meant are refused when the set is made ([`SettingsError`]), and so is
//! whatever would make a wait or a queue unbounded.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::url::{OriginUrl, OriginUrlError, parse_name};

/// Origins of one set at most.
const MOST_ORIGINS: usize = 32;

/// The longest time-out of any kind.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a set of origins is made from.
#[derive(Debug, Clone)]
pub struct SetSettings {
    /// The origins, at least one, each once.
    pub origins: Vec<OriginSettings>,
    /// What origins are told as `Host`, and whom their certificate is to name.
    pub host: HostField,
    /// How TLS is spoken.
    pub tls: TlsSettings,
    /// How long what may take.
    pub timeouts: Timeouts,
    /// How much may be under way, for each origin.
    pub limits: Limits,
    /// How often requests are sent again.
    pub retries: Retries,
    /// When an origin is left out.
    pub health: HealthSettings,
}

impl SetSettings {
    /// One origin, and everything else by default.
    #[must_use]
    pub fn of(url: OriginUrl) -> Self {
        Self {
            origins: vec![OriginSettings::new(url)],
            host: HostField::default(),
            tls: TlsSettings::default(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retries: Retries::default(),
            health: HealthSettings::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if self.origins.is_empty() || self.origins.len() > MOST_ORIGINS {
            return Err(SettingsError::Origins);
        }
        for (index, origin) in self.origins.iter().enumerate() {
            if self.origins[..index].iter().any(|other| other.url == origin.url) {
                return Err(SettingsError::Twice);
            }
        }
        if self.origins.iter().any(|origin| origin.weight == 0 || origin.weight > 1000) {
            return Err(SettingsError::Weight);
        }
        let Timeouts { connect, tls, head, idle, queue, keep } = self.timeouts;
        let HealthSettings { ejection, ejection_most, .. } = self.health;
        let mut times = vec![connect, tls, head, idle, queue, keep, ejection, ejection_most];
        if let Some(check) = &self.health.check {
            times.extend([check.interval, check.timeout]);
            if !check.path.starts_with('/') || check.path.parse::<http::uri::PathAndQuery>().is_err() {
                return Err(SettingsError::CheckPath);
            }
        }
        if times.iter().any(|time| time.is_zero() || *time > LONGEST) {
            return Err(SettingsError::Time);
        }
        let Limits { connections, requests, .. } = self.limits;
        if connections == 0 || requests == 0 || connections > 10_000 || requests > 100_000 || self.health.failures == 0 {
            return Err(SettingsError::Limit);
        }
        Ok(())
    }
}

/// One origin of a set.
#[derive(Debug, Clone)]
pub struct OriginSettings {
    /// Where it is.
    pub url: OriginUrl,
    /// Its share of requests, beside the weights of the others: 1 to 1000.
    pub weight: u32,
    /// Whether it is asked only when every origin that is no backup is ejected.
    pub backup: bool,
}

impl OriginSettings {
    /// An origin of weight 1 that is no backup.
    #[must_use]
    pub const fn new(url: OriginUrl) -> Self {
        Self { url, weight: 1, backup: false }
    }
}

/// What origins are told as `Host`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum HostField {
    /// Their own name, from their URL.
    #[default]
    Origin,
    /// What the viewer said. Certificates are to name the origin, as with [`Origin`](Self::Origin).
    Viewer,
    /// This. Over TLS it is the name in the handshake as well, and certificates are to name it.
    Fixed(FixedHost),
}

/// A host, and a port perhaps, that origins are told whatever theirs is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FixedHost {
    name: Arc<str>,
    field: Arc<str>,
}

impl FixedHost {
    /// Of a name such as `www.example.com`, or with a port, `www.example.com:8443`.
    ///
    /// # Errors
    /// The text is no name.
    pub fn new(text: &str) -> Result<Self, OriginUrlError> {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| OriginUrlError::Port)?)),
            None => (text, None),
        };
        let name = parse_name(host)?;
        let field = port.map_or_else(|| Arc::clone(&name), |port| format!("{name}:{port}").into());
        Ok(Self { name, field })
    }

    /// The name that certificates are to have.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of the field.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}

/// How TLS is spoken with the origins of a set.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The authorities that sign for these origins, in place of those of the system. Empty: those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { authorities: Vec::new(), http2: true }
    }
}

/// How long what may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Finding the address and connecting to it, all addresses together.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From the end of the request, or its last progress, until the head of the response is there.
    pub head: Duration,
    /// How long the body of a response may stand still.
    pub idle: Duration,
    /// How long a request may wait for its turn.
    pub queue: Duration,
    /// How long a connection is kept that nobody uses. Should be less than the origin keeps it.
    pub keep: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(5),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            queue: Duration::from_secs(5),
            keep: Duration::from_secs(45),
        }
    }
}

/// How much may be under way, for each origin of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Connections, used or kept.
    pub connections: usize,
    /// Requests that were sent and are not answered in full.
    pub requests: usize,
    /// Requests that wait for their turn. One more is refused at once.
    pub waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 128, requests: 512, waiting: 1024 }
    }
}

/// How often requests are sent again. Only those are that can be: see [`Retry`](crate::Retry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retries {
    /// How often one request is sent again at most. More than 2 counts as 2.
    pub most: u32,
    /// How many requests of a hundred may be sent again, over time; so an origin that is down is not asked thrice as often.
    pub percent: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 2, percent: 20 }
    }
}

/// When an origin is left out, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthSettings {
    /// After how many failures, one after the other.
    pub failures: u32,
    /// For how long at first. Doubled each time it fails again.
    pub ejection: Duration,
    /// For how long at most.
    pub ejection_most: Duration,
    /// Whether answers 502, 503 and 504 of an origin are failures.
    pub gateway_errors: bool,
    /// A request that is made again and again to see whether the origin is well.
    pub check: Option<ActiveCheck>,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { failures: 5, ejection: Duration::from_secs(5), ejection_most: Duration::from_secs(120), gateway_errors: true, check: None }
    }
}

/// A request that is made again and again to see whether an origin is well: it is if it answers with a status from 200 to 399.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActiveCheck {
    /// What is asked for, from its first slash.
    pub path: String,
    /// How long after one request the next follows.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Why no set is made of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Too few or too many origins.
    #[error("a set has 1 to {MOST_ORIGINS} origins")]
    Origins,
    /// An origin is named twice.
    #[error("an origin is named twice in a set")]
    Twice,
    /// A weight is out of range.
    #[error("weights of origins are from 1 to 1000")]
    Weight,
    /// A time is zero or too long.
    #[error("times are more than nothing, and at most an hour")]
    Time,
    /// A limit is zero or too large.
    #[error("1 to 10,000 connections and 1 to 100,000 requests to an origin, and at least one failure before it is left out")]
    Limit,
    /// The path of the check is none.
    #[error("the path of a health check begins with a slash and has no spaces")]
    CheckPath,
    /// An authority is no certificate.
    #[error("an authority of the origins is no certificate that can be used")]
    Authority,
    /// A name is none that certificates can have.
    #[error("the host of an origin is no name that a certificate can have")]
    Name,
    /// There is no TLS at all.
    #[error("TLS cannot be spoken here")]
    Tls,
}
