//! Why a request for a zone would be answered as it would, at each node: each says it of itself, and whoever is asked asks the others.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream};
use ncore_model::{NodeId, ZoneId};
use serde_json::Value;
use tokio::time::timeout;

use crate::logs::LogNode;

/// How long a node has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many nodes are asked at once.
const ASKED_AT_ONCE: usize = 16;
/// The most fields of a request.
const FIELDS_MAX: usize = 100;
/// The most bytes of an address, and of all fields of a request.
const BYTES_MAX: usize = 32 << 10;

/// A GET that nobody sends.
#[derive(Clone, PartialEq, Eq)]
pub struct ZoneQuestion {
    /// The zone that it is for: at a node where its host is another one's it is not answered.
    pub zone: ZoneId,
    /// The host that it names, without a port.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// Its other fields.
    pub fields: Vec<(String, String)>,
}

/// An address is none that a request for a zone can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// It is no URL of HTTP.
    #[error("the URL begins with http:// or https:// and a host, or with a slash")]
    Url,
    /// A field is not `Name: value`.
    #[error("a field of a request is written Name: value")]
    Field,
    /// There is too much of it.
    #[error("a request has at most {FIELDS_MAX} fields, and {BYTES_MAX} bytes")]
    TooLong,
}

/// Why a node does not explain a request.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// It knows no zone of that host, or it is another one's.
    #[error("the node has no such zone")]
    Unknown,
    /// The request is none that could be made.
    #[error("no request can have this: {0}")]
    Malformed(String),
    /// It runs a release that explains nothing.
    #[error("the node runs a release that explains nothing")]
    Older,
    /// It did not answer in time.
    #[error("the node did not answer in time")]
    Late,
    /// It cannot be asked.
    #[error("the node cannot be asked")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The nodes of the cluster, as far as they explain requests.
pub trait ExplainNodes: Send + Sync {
    /// All nodes, this one too.
    fn nodes(&self) -> Vec<LogNode>;

    /// This node.
    fn own(&self) -> NodeId;

    /// What a node says, as a document.
    fn ask<'a>(&'a self, node: NodeId, question: &'a ZoneQuestion) -> BoxFuture<'a, Result<Value, ExplainError>>;
}

/// Which nodes are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedNodes {
    /// This one.
    Own,
    /// The one with this name or id.
    Named(String),
    /// All of them.
    All,
}

/// What a node says.
#[derive(Debug)]
pub struct ZoneExplained {
    /// Which node.
    pub node: LogNode,
    /// The document, or why there is none.
    pub said: Result<Value, ExplainError>,
}

/// Explains requests for zones.
#[derive(Clone)]
pub struct Explains {
    nodes: Arc<dyn ExplainNodes>,
}

impl Explains {
    /// By these nodes.
    #[must_use]
    pub fn new(nodes: Arc<dyn ExplainNodes>) -> Self {
        Self { nodes }
    }

    /// What the nodes that are asked say, in the order of their ids; nothing if there is none of that name.
    pub async fn ask(&self, question: &ZoneQuestion, asked: &AskedNodes) -> Vec<ZoneExplained> {
        let is_asked = |node: &LogNode| match asked {
            AskedNodes::Own => node.id == self.nodes.own(),
            AskedNodes::Named(name) => *node.name == **name || node.id.to_string() == *name,
            AskedNodes::All => true,
        };
        let asks = self.nodes.nodes().into_iter().filter(is_asked).map(|node| async {
            let said = timeout(PATIENCE, self.nodes.ask(node.id, question)).await.unwrap_or(Err(ExplainError::Late));
            ZoneExplained { node, said }
        });
        let mut explained: Vec<_> = stream::iter(asks).buffer_unordered(ASKED_AT_ONCE).collect().await;
        explained.sort_by_key(|explained| explained.node.id);
        explained
    }
}

impl ExplainError {
    /// It with its cause, in a line.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        match self {
            Self::Away(source) => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }
}

impl ZoneQuestion {
    /// The host and the rest of an address: `None` for the host of one that begins with a slash.
    ///
    /// # Errors
    /// [`BadQuestion`].
    pub fn split(url: &str) -> Result<(Option<String>, String), BadQuestion> {
        if url.len() > BYTES_MAX {
            return Err(BadQuestion::TooLong);
        }
        // What is behind # never leaves the browser.
        let url = url.split('#').next().unwrap_or_default();
        if url.starts_with('/') {
            return Ok((None, url.to_owned()));
        }
        let (scheme, rest) = url.split_once("://").ok_or(BadQuestion::Url)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(BadQuestion::Url);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let host = without_port(authority).ok_or(BadQuestion::Url)?.trim_end_matches('.');
        if host.is_empty() || host.contains('@') {
            return Err(BadQuestion::Url);
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok((Some(host.to_ascii_lowercase()), target))
    }

    /// The fields in lines `Name: value`.
    ///
    /// # Errors
    /// [`BadQuestion`].
    pub fn fields<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Vec<(String, String)>, BadQuestion> {
        let mut fields = Vec::new();
        let mut bytes = 0;
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(BadQuestion::Field)?;
            bytes += line.len();
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            if fields.len() > FIELDS_MAX || bytes > BYTES_MAX {
                return Err(BadQuestion::TooLong);
            }
        }
        Ok(fields)
    }
}

/// The host of an authority; `None` if what follows it is no port.
fn without_port(authority: &str) -> Option<&str> {
    // The colons of an IPv6 address are its own.
    let end = if authority.starts_with('[') { authority.find(']')? + 1 } else { authority.find(':').unwrap_or(authority.len()) };
    let (host, port) = authority.split_at(end);
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    is_port.then_some(host)
}

impl fmt::Debug for ZoneQuestion {
    /// Without a query and without the values of fields: they may prove who asks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        let names: Vec<_> = self.fields.iter().map(|(name, _)| name).collect();
        let mut debug = f.debug_struct("ZoneQuestion");
        debug.field("zone", &self.zone).field("host", &self.host).field("path", &path).field("fields", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, BadQuestion, ZoneQuestion};
    use ncore_model::ZoneId;

    #[test]
    fn addresses() {
        let url = Err(BadQuestion::Url);
        let of = |host: Option<&str>, target: &str| Ok((host.map(str::to_owned), target.to_owned()));
        for (address, expected) in [
            ("https://A.test:8443/x?y=1#z", of(Some("a.test"), "/x?y=1")),
            ("http://a.test.", of(Some("a.test"), "/")),
            ("HTTP://a.test?q", of(Some("a.test"), "/?q")),
            ("http://[2001:DB8::1]:80/x", of(Some("[2001:db8::1]"), "/x")),
            ("http://[::1]", of(Some("[::1]"), "/")),
            ("http://a.test:/", of(Some("a.test"), "/")),
            ("/x?y", of(None, "/x?y")),
            ("https://a.test:443:80/", url.clone()),
            ("https://a.test:http/", url.clone()),
            ("https://[::1/", url.clone()),
            ("a.test/x", url.clone()),
            ("ftp://a.test/", url.clone()),
            ("https:///x", url.clone()),
            ("https://user@a.test/", url.clone()),
            ("", url),
        ] {
            assert_eq!(ZoneQuestion::split(address), expected, "{address}");
        }
        assert_eq!(ZoneQuestion::split(&"/".repeat(BYTES_MAX + 1)), Err(BadQuestion::TooLong));
    }

    #[test]
    fn fields_are_split_and_never_shown() {
        let fields = ZoneQuestion::fields(["Cookie: a=secret:1", "x-empty:"]).expect("fields");
        assert_eq!(fields, [("cookie".to_owned(), "a=secret:1".to_owned()), ("x-empty".to_owned(), String::new())]);
        assert_eq!(ZoneQuestion::fields(["none"]), Err(BadQuestion::Field));
        assert_eq!(ZoneQuestion::fields(vec!["a: b"; 101]), Err(BadQuestion::TooLong));
        let question = ZoneQuestion { zone: ZoneId([0; 16]), host: "a".to_owned(), target: "/b?secret".to_owned(), fields };
        let shown = format!("{question:?}");
        assert!(shown.contains("cookie") && !shown.contains("secret"), "{shown}");
    }
}
