//! What the operator decides about uploads and answers.

use std::time::Duration;

/// The settings of a [`Domain`](crate::Domain). They come from the configuration file; what is connected comes as
/// [`DomainParts`](crate::DomainParts).
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the operator calls this node.
    pub node_name: String,
    /// Where viewers reach this node: the base of the URLs of assets.
    pub public_url: String,
    /// Who tokens say issued them: a URL, the same at every node. `None`: [`public_url`](Self::public_url) of the node that does.
    pub issuer: Option<String>,
    /// The version of the software, for people.
    pub software: String,
    /// On how many nodes the content of an upload is durable before it is acknowledged. A cluster with fewer members than that
    /// asks for all of them.
    pub write_copies: usize,
    /// Whether an upload is acknowledged with fewer copies when no more can be had. The answer then says how many there are.
    pub allow_single_copy: bool,
    /// The most bytes of one asset.
    pub max_upload_bytes: u64,
    /// The most uploads at a time. Each takes about a megabyte of memory here, and as much on each node that gets a copy.
    pub uploads_at_once: usize,
    /// How long others may cache an asset whose upload does not say, in seconds.
    pub default_cache_ttl_s: u32,
    /// How long an upload that comes in pieces stays open without one. At most a week.
    pub upload_lifetime: Duration,
    /// What the host names end with that zones get.
    pub zone_suffix: String,
    /// How long to wait for the outcome of a change, and for a revision that a caller has seen elsewhere.
    pub request_deadline: Duration,
}

impl Settings {
    /// The settings of a node with this name and public address, everything else as it is by default.
    #[must_use]
    pub fn new(node_name: impl Into<String>, public_url: impl Into<String>) -> Self {
        Self { node_name: node_name.into(), public_url: public_url.into(), zone_suffix: "cdn.localhost".to_owned(), ..DEFAULTS }
    }
}

const DEFAULTS: Settings = Settings {
    node_name: String::new(),
    public_url: String::new(),
    issuer: None,
    software: String::new(),
    write_copies: 2,
    allow_single_copy: false,
    max_upload_bytes: 500 << 20,
    uploads_at_once: 256,
    default_cache_ttl_s: 3_600,
    upload_lifetime: Duration::from_secs(24 * 60 * 60),
    zone_suffix: String::new(),
    request_deadline: Duration::from_secs(10),
};
