//! The name of a node as its certificate carries it, in both of its spellings.
//!
//! The URI is the one that says everything (cluster and node). The DNS name exists because TLS libraries check a server
//! by DNS name; it resolves nowhere and is never looked up.

use crate::cluster_id::ClusterId;

const SCHEME: &str = "ncore://";
const DOMAIN: &str = "ncore.internal";

/// Which node of which cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeName {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The node within it; never used again for another machine.
    pub node_id: u64,
}

impl NodeName {
    /// `node-<id>.ncore.internal`, what a TLS client checks a server for.
    #[must_use]
    pub fn dns(&self) -> String {
        node_dns(self.node_id)
    }

    /// `ncore://<cluster id>/node/<id>`, the full identity.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/node/{}", self.cluster_id, self.node_id)
    }

    /// Reads [`NodeName::uri`]. Only the exact spelling counts, so that two texts never mean one node.
    pub(crate) fn from_uri(uri: &str) -> Option<Self> {
        let (cluster, node) = uri.strip_prefix(SCHEME)?.split_once("/node/")?;
        let name = Self { cluster_id: cluster.parse().ok()?, node_id: node.parse().ok()? };
        (name.uri() == uri).then_some(name)
    }
}

/// The DNS name of a node, the same in every cluster.
pub(crate) fn node_dns(node_id: u64) -> String {
    format!("node-{node_id}.{DOMAIN}")
}

/// Whether a URI of a certificate belongs to us at all.
pub(crate) fn is_ours(uri: &str) -> bool {
    uri.starts_with(SCHEME)
}

/// `ncore://<cluster id>`, the name of the cluster's authority.
pub(crate) fn authority_uri(cluster_id: ClusterId) -> String {
    format!("{SCHEME}{cluster_id}")
}

/// Reads [`authority_uri`], the exact spelling only.
pub(crate) fn authority_from_uri(uri: &str) -> Option<ClusterId> {
    let cluster_id = uri.strip_prefix(SCHEME)?.parse().ok()?;
    (authority_uri(cluster_id) == uri).then_some(cluster_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_reads_back() {
        for node_id in [0, 1, 42, u64::MAX] {
            let name = NodeName { cluster_id: ClusterId([7; 16]), node_id };
            assert_eq!(NodeName::from_uri(&name.uri()), Some(name));
        }
    }

    #[test]
    fn only_the_exact_spelling_is_a_name() {
        let cluster = "ab".repeat(16);
        let refused = [
            format!("ncore://{cluster}/node/+1"),
            format!("ncore://{cluster}/node/01"),
            format!("ncore://{cluster}/node/"),
            format!("ncore://{cluster}/node/1/"),
            format!("ncore://{cluster}/node/18446744073709551616"),
            format!("ncore://{}/node/1", cluster.to_uppercase()),
            format!("NCORE://{cluster}/node/1"),
            format!("ncore://{cluster}"),
            format!("https://{cluster}/node/1"),
            String::new(),
        ];
        for uri in refused {
            assert_eq!(NodeName::from_uri(&uri), None, "{uri}");
        }
    }
}
