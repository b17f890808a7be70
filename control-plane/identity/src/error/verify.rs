//! Why a certificate does not prove what it should.
//!
//! None of these is worth a retry with the same certificate.

use crate::cluster_id::ClusterId;

/// A certificate that does not say, or does not prove, who the other side is.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The other side showed no certificate. Normal for a machine that joins; otherwise its fault.
    #[error("the peer showed no certificate; only a machine that joins may do without one")]
    NoCertificate,
    /// The bytes are not an X.509 certificate that this crate could have made. The fault of whoever sent them.
    #[error("the certificate cannot be read; it was not made by a cluster authority of this software")]
    Unreadable,
    /// The certificate names no node of any cluster, or more than one. The fault of whoever signed it.
    #[error("the certificate carries no single ncore:// name; it was not made by a cluster authority")]
    Nameless,
    /// A node of another cluster. Usually an address that now belongs to another cluster: check the addresses.
    #[error("the peer belongs to cluster {found}, and this is cluster {expected}; check the address that was dialled")]
    OtherCluster {
        /// This side's cluster.
        expected: ClusterId,
        /// The cluster in the certificate.
        found: ClusterId,
    },
    /// Another node than the one that was dialled. Usually an address that moved: look the node's address up again.
    #[error("node {expected} was dialled and node {found} answered; the address of node {expected} is out of date")]
    OtherNode {
        /// The node that was wanted.
        expected: u64,
        /// The node in the certificate.
        found: u64,
    },
    /// The chain does not lead to the cluster's authority, or is not valid today. `reason` is the TLS library's.
    #[error(
        "the certificate is not vouched for by this cluster's authority or not valid now ({reason}); \
             if it has expired, check both clocks and why the node did not renew"
    )]
    Untrusted {
        /// What the chain check found.
        reason: rustls::Error,
    },
}

/// Parts of an identity (key, certificate, authorities) that do not belong together.
///
/// From disk this means damage or a mixture of two nodes' files; from the wire, a fault of the node that answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate, or more than a chain can have.
    #[error("there are {found} certificates in the chain, and there must be 1 to {most}")]
    ChainLength {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// No authority, or more than the two of a rotation and some room.
    #[error("there are {found} authority certificates, and there must be 1 to {most}")]
    AuthorityCount {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// The authority's certificate is not one of a cluster authority.
    #[error("a certificate in the place of the cluster's authority is not one")]
    NotAnAuthority,
    /// The authority is of another cluster than the rest.
    #[error("the authority is of cluster {found}, and the rest of cluster {expected}")]
    AuthorityOfOtherCluster {
        /// The cluster of the rest.
        expected: ClusterId,
        /// The cluster of the authority.
        found: ClusterId,
    },
    /// The certificate was made for another key.
    #[error("the certificate does not fit the private key; the two come from different nodes or renewals")]
    KeyMismatch,
    /// The crypto library does not take the private key.
    #[error("the private key cannot be used ({reason})")]
    KeyUnusable {
        /// What the library said.
        reason: rustls::Error,
    },
    /// The node's own certificate proves nothing.
    #[error("this node's certificate does not hold")]
    Certificate(#[source] VerifyError),
}
