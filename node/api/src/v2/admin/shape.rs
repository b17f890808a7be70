//! The documents about clients.

use ncore_domain::{ClientDetails, Registration};
use ncore_model::{ClientId, ClientStatus, IpRange, Plan, Scope, UpdateClient};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    problem::{Kind, Problem},
    v2::written,
};

/// A client, as administrators see it, and as it sees itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::v2) struct Client {
    #[schemars(with = "String")]
    client_id: ClientId,
    name: String,
    status: &'static str,
    scopes: Vec<&'static str>,
    domains: Vec<String>,
    ip_ranges: Vec<String>,
    plan: PlanDocument,
    usage: Option<Usage>,
    /// Unix seconds, as every time.
    since: u64,
    created_at: u64,
}

/// How much a client has stored.
#[derive(Debug, Serialize, JsonSchema)]
struct Usage {
    assets: u64,
    storage_bytes: u64,
}

/// A plan, both ways. A quota that is left out or `null` is no limit.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::v2) struct PlanDocument {
    #[schemars(length(max = FIELD_MAX))]
    name: String,
    #[schemars(range(min = 0, max = u64::MAX))]
    storage_bytes: Option<u64>,
    #[schemars(range(min = 0, max = u64::MAX))]
    bandwidth_bytes: Option<u64>,
    #[schemars(range(min = 0, max = u32::MAX))]
    zones: Option<u32>,
}

/// A client with what is shown once: `null` if it was shown before, for the same `Idempotency-Key`. `Debug` is left out: it has secrets.
#[derive(Serialize, JsonSchema)]
pub(in crate::v2) struct NewClient {
    #[serde(flatten)]
    client: Client,
    secret: Option<String>,
    refresh_token: Option<String>,
}

impl NewClient {
    pub(super) fn new(details: ClientDetails, secret: Option<&SecretString>, refresh_token: Option<&SecretString>) -> Self {
        let shown = |secret: &SecretString| secret.expose_secret().to_owned();
        Self { client: details.into(), secret: secret.map(shown), refresh_token: refresh_token.map(shown) }
    }
}

/// A further refresh token, shown once. `Debug` is left out: it is a secret.
#[derive(Serialize, JsonSchema)]
pub(in crate::v2) struct GivenToken {
    pub(super) client_id: String,
    pub(super) refresh_token: Option<String>,
}

/// A page of clients.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::v2) struct ClientPage {
    pub(super) clients: Vec<Client>,
    pub(super) next_cursor: Option<String>,
    pub(super) has_more: bool,
}

impl From<ClientDetails> for Client {
    fn from(details: ClientDetails) -> Self {
        let ClientDetails { client, account, stored } = details;
        let since_ms = account.as_ref().map_or(client.created_at_ms, |account| account.since_ms);
        let account = account.unwrap_or_default();
        let Plan { name, storage_bytes, bandwidth_bytes, zones } = account.plan;
        Self {
            client_id: client.id,
            name: client.name,
            status: client.status.as_str(),
            scopes: client.scopes.into_iter().map(Scope::as_str).collect(),
            domains: client.domains,
            ip_ranges: account.ip_ranges.iter().map(ToString::to_string).collect(),
            plan: PlanDocument { name, storage_bytes, bandwidth_bytes, zones },
            usage: stored.map(|stored| Usage { assets: stored.assets, storage_bytes: stored.bytes }),
            since: since_ms / 1_000,
            created_at: client.created_at_ms / 1_000,
        }
    }
}

/// What is wanted of a new client.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::v2) struct Wanted {
    #[schemars(regex(pattern = written::NOT_BLANK), length(max = FIELD_MAX))]
    name: String,
    #[schemars(length(max = LIST_MAX), extend("items" = { "type": "string", "enum": ["assets:read", "assets:write", "cache:purge", "metrics:read", "zones:read", "zones:write"] }))]
    scopes: Option<Vec<String>>,
    #[schemars(length(max = LIST_MAX), inner(regex(pattern = written::HOST), length(max = 253)))]
    domains: Option<Vec<String>>,
    #[schemars(extend("enum" = ["active", "review", "suspended", null]))]
    status: Option<String>,
    plan: Option<PlanDocument>,
    #[schemars(length(max = RANGES_MAX), extend("items" = { "type": "string", "format": "ip-range" }))]
    ip_ranges: Option<Vec<String>>,
    /// Since when it is a client, in Unix seconds; since now if it is left out.
    #[schemars(range(min = 0, max = u64::MAX))]
    since: Option<u64>,
}

/// What is to be changed of a client.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::v2) struct Changes {
    #[schemars(regex(pattern = written::NOT_BLANK), length(max = FIELD_MAX))]
    name: Option<String>,
    #[schemars(length(max = LIST_MAX), extend("items" = { "type": "string", "enum": ["assets:read", "assets:write", "cache:purge", "metrics:read", "zones:read", "zones:write"] }))]
    scopes: Option<Vec<String>>,
    #[schemars(length(max = LIST_MAX), inner(regex(pattern = written::HOST), length(max = 253)))]
    domains: Option<Vec<String>>,
    #[schemars(extend("enum" = ["active", "review", "suspended", null]))]
    status: Option<String>,
    plan: Option<PlanDocument>,
    #[schemars(length(max = RANGES_MAX), extend("items" = { "type": "string", "format": "ip-range" }))]
    ip_ranges: Option<Vec<String>>,
}

/// The longest text and the longest lists that a client may have.
const FIELD_MAX: usize = 256;
const LIST_MAX: usize = 1_000;
const RANGES_MAX: usize = 100;

impl Wanted {
    pub(super) fn registration(self) -> Result<Registration, Problem> {
        let Self { name, scopes, domains, status, plan, ip_ranges, since } = self;
        let bare = Registration::named(name.clone());
        let update = Changes { name: Some(name), scopes, domains, status, plan, ip_ranges }.update(ClientId::from_text(""))?;
        Ok(Registration {
            scopes: update.scopes.unwrap_or(bare.scopes),
            domains: update.domains.unwrap_or(bare.domains),
            status: update.status.unwrap_or(bare.status),
            plan: update.plan.unwrap_or(bare.plan),
            ip_ranges: update.ip_ranges.unwrap_or(bare.ip_ranges),
            since_ms: since.map(|since| since.saturating_mul(1_000)),
            name: bare.name,
        })
    }
}

impl Changes {
    pub(super) fn update(self, client: ClientId) -> Result<UpdateClient, Problem> {
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(invalid("name is empty"));
        }
        let scope = |text: &String| text.parse::<Scope>().map_err(|()| invalid(&format!("there is no scope {text:?}")));
        let range = |text: &String| text.parse::<IpRange>().map_err(|error| invalid(&format!("ip_ranges: {text:?}: {error}")));
        let status = |text: &String| text.parse::<ClientStatus>().map_err(|()| invalid("status is active, review or suspended"));
        let domain = |text: &String| match is_domain(text) {
            true => Ok(text.to_ascii_lowercase()),
            false => Err(invalid(&format!("domains: {text:?} is no host name"))),
        };
        Ok(UpdateClient {
            client,
            name: self.name,
            scopes: self.scopes.map(|scopes| scopes.iter().map(scope).collect()).transpose()?,
            domains: self.domains.map(|domains| domains.iter().map(domain).collect()).transpose()?,
            status: self.status.as_ref().map(status).transpose()?,
            plan: self.plan.map(|PlanDocument { name, storage_bytes, bandwidth_bytes, zones }| Plan {
                name,
                storage_bytes,
                bandwidth_bytes,
                zones,
            }),
            ip_ranges: self.ip_ranges.map(|ranges| ranges.iter().map(range).collect()).transpose()?,
        })
    }
}

/// A host name, perhaps with `*.` before it.
fn is_domain(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !label.starts_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Kind::InvalidField, detail)
}
