//! One origin: its connections, the turns of requests, and how well it is.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::dial::Dialer;
use crate::error::ErrorKind;
use crate::figures::{Figures, add};
use crate::gate::Gate;
use crate::health::{Change, Health, Standing};
use crate::node::Node;
use crate::pool::Pool;
use crate::settings::{HealthSettings, HostField, Limits, SetSettings, SettingsError, Timeouts, TlsSettings};
use crate::tls::Tls;
use crate::url::{OriginUrl, Scheme};

/// All that makes one origin another than the next: sets that agree on it share its connections and what is known of its health.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OriginKey {
    url: OriginUrl,
    host: HostField,
    authorities: Vec<Vec<u8>>,
    http2: bool,
    timeouts: Timeouts,
    limits: Limits,
    health: HealthSettings,
}

impl OriginKey {
    pub(crate) fn new(url: &OriginUrl, settings: &SetSettings) -> Self {
        Self {
            url: url.clone(),
            host: settings.host.clone(),
            authorities: settings.tls.authorities.iter().map(|authority| authority.to_vec()).collect(),
            http2: settings.tls.http2,
            timeouts: settings.timeouts,
            limits: settings.limits,
            health: settings.health.clone(),
        }
    }
}

/// One origin.
pub(crate) struct Origin {
    name: Arc<str>,
    key: OriginKey,
    own_host: HeaderValue,
    pool: Arc<Pool>,
    gate: Gate,
    health: Mutex<Health>,
    node: Arc<Node>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Origin {
    pub(crate) fn new(key: OriginKey, tls: &TlsSettings, node: &Arc<Node>) -> Result<Arc<Self>, SettingsError> {
        let authority = key.url.authority();
        let told = if let HostField::Fixed(fixed) = &key.host { fixed.field() } else { &authority };
        let own_host = HeaderValue::try_from(told).map_err(|_| SettingsError::Name)?;
        let spoken = match key.url.scheme() {
            Scheme::Http => None,
            Scheme::Https => Some(Tls::new(&key.url, &key.host, tls, &node.authorities)?),
        };
        let shares = if spoken.is_some() && key.http2 { None } else { Some(false) };
        let dialer = Dialer::new(key.url.clone(), key.timeouts, spoken, Arc::clone(&node.resolver), Arc::clone(&node.policy));
        Ok(Arc::new(Self {
            name: authority.into(),
            own_host,
            pool: Pool::new(dialer, key.timeouts.keep, key.limits.connections, shares, Arc::clone(node)),
            gate: Gate::new(key.limits),
            health: Mutex::new(Health::new(&key.health)),
            node: Arc::clone(node),
            key,
        }))
    }

    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) const fn timeouts(&self) -> &Timeouts {
        &self.key.timeouts
    }

    pub(crate) const fn scheme(&self) -> Scheme {
        self.key.url.scheme()
    }

    pub(crate) const fn health_settings(&self) -> &HealthSettings {
        &self.key.health
    }

    /// What it is told as `Host`.
    pub(crate) fn host(&self, of_viewer: Option<&HeaderValue>) -> HeaderValue {
        match (&self.key.host, of_viewer) {
            (HostField::Viewer, Some(host)) => host.clone(),
            _ => self.own_host.clone(),
        }
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.node.figures
    }

    pub(crate) fn shared_figures(&self) -> Arc<Figures> {
        Arc::clone(&self.node.figures)
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.standing(Instant::now()) != Standing::Well
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        self.health.lock().standing(now)
    }

    /// What a health check found.
    pub(crate) fn checked(&self, passed: bool) {
        let change = {
            let mut health = self.health.lock();
            if passed { health.check_passed(Instant::now()) } else { health.check_failed() }
        };
        add(if passed { &self.figures().checks_passed } else { &self.figures().checks_failed });
        self.tell(change);
    }

    fn tell(&self, change: Change) {
        match change {
            Change::None => {}
            Change::Ejected => {
                add(&self.figures().ejections);
                tracing::warn!(origin = &*self.name, "an origin fails and is left out");
            }
            Change::Recovered => tracing::info!(origin = &*self.name, "an origin that was left out is asked again"),
        }
    }
}

/// A request's part in what is known of an origin's health.
#[derive(Debug)]
pub(crate) struct Ticket {
    origin: Arc<Origin>,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What becomes of it counts.
    Counts,
    /// It tries an origin that was left out.
    Probes,
    /// It says nothing, or has said it.
    Silent,
}

impl Ticket {
    /// Of a request that is sent to an origin that stands like this.
    pub(crate) fn new(origin: &Arc<Origin>) -> Self {
        let mut health = origin.health.lock();
        let part = if health.standing(Instant::now()) == Standing::Probe {
            health.probe();
            Part::Probes
        } else {
            Part::Counts
        };
        drop(health);
        Self { origin: Arc::clone(origin), part }
    }

    /// Of a health check, which says what it found otherwise.
    pub(crate) fn silent(origin: &Arc<Origin>) -> Self {
        Self { origin: Arc::clone(origin), part: Part::Silent }
    }

    /// The head of a response came.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let gateway_error = matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        if gateway_error && self.origin.key.health.gateway_errors {
            self.count_failure();
        } else if self.part != Part::Silent {
            self.part = Part::Counts;
            let change = self.origin.health.lock().answered(Instant::now());
            self.origin.tell(change);
        }
    }

    /// The whole response came.
    pub(crate) fn completed(&mut self) {
        if self.part == Part::Counts {
            self.origin.health.lock().completed(Instant::now());
        }
        self.part = Part::Silent;
    }

    /// There is an error.
    pub(crate) fn failed(&mut self, kind: ErrorKind) {
        if kind.is_failure_of_origin() {
            self.count_failure();
        } else {
            self.settle();
        }
    }

    fn count_failure(&mut self) {
        if self.part != Part::Silent {
            let change = self.origin.health.lock().failed(Instant::now(), self.part == Part::Probes);
            self.part = Part::Silent;
            self.origin.tell(change);
        }
    }

    fn settle(&mut self) {
        if self.part == Part::Probes {
            self.origin.health.lock().probe_dropped();
        }
        self.part = Part::Silent;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle();
    }
}
