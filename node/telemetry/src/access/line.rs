//! A record as JSON: the same in files, in answers of the API, and in streams.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{record::AccessRecord, zone::ZoneLine};

/// A record, for people and their tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AccessLine {
    /// When the answer ended (RFC 3339, UTC).
    pub time: String,
    /// The same in Unix seconds.
    pub ts: u64,
    /// The name of the node that answered.
    pub node: String,
    /// Whose request it is: of the client that has the asset, or whose token was shown.
    pub client_id: Option<String>,
    /// The method.
    pub method: String,
    /// The host that was named.
    pub host: String,
    /// The path, as sent, without a query.
    pub path: String,
    /// The status.
    pub status: u16,
    /// Bytes of the body that were sent.
    pub bytes: u64,
    /// From the head of the request to the end of the answer, in microseconds.
    pub duration_us: u64,
    /// Of assets `HIT` or `MISS`; of zones also `STALE`, `REVALIDATED`, `BYPASS` and `ERROR`.
    pub cache: Option<String>,
    /// The address of who asked.
    pub remote: String,
    /// The `X-Request-Id` of the answer.
    pub request_id: String,
    /// The `User-Agent`.
    pub user_agent: String,
    /// How it was answered, if it was for a zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneLine>,
}

impl AccessLine {
    /// The line for a record of the node called `node`.
    #[must_use]
    pub fn new(record: &AccessRecord, node: &str) -> Self {
        let micros = i64::try_from(record.ended_us).unwrap_or(i64::MAX);
        let time = Timestamp::from_microsecond(micros).unwrap_or_default();
        Self {
            time: format!("{time:.6}"),
            ts: record.ended_us / 1_000_000,
            node: node.to_owned(),
            client_id: record.client.as_deref().map(str::to_owned),
            method: record.method().to_owned(),
            host: record.host().to_owned(),
            path: record.path().to_owned(),
            status: record.status,
            bytes: record.bytes,
            duration_us: record.took_us,
            cache: record.cache.as_str().map(str::to_owned),
            remote: record.remote.to_string(),
            request_id: record.request_id().to_owned(),
            user_agent: record.agent().to_owned(),
            zone: record.zone.as_deref().map(ZoneLine::from),
        }
    }
}
