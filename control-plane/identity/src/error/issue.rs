//! Why the authority did not issue a certificate, or could not be made.

use crate::cluster_id::ClusterId;
use crate::entropy::EntropyError;
use crate::error::IdentityError;

/// No certificate came out. What is wrong with the request is the fault of the machine that sent it and not worth a
/// retry of the same request; the rest is the fault of the machine that signs.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The signing machine has no randomness.
    #[error("no certificate could be made")]
    Entropy(#[from] EntropyError),
    /// The request is longer than any that this software makes.
    #[error("the certificate request has {bytes} bytes, and at most {most} are read")]
    RequestTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The request cannot be parsed, or its signature does not prove possession of the key.
    #[error("the certificate request is malformed or not signed by its own key; make a new one")]
    RequestMalformed(#[source] rcgen::Error),
    /// Only P-256 keys get certificates.
    #[error("the certificate request is for another kind of key than P-256; make a new one")]
    RequestKey,
    /// The name belongs to another cluster than the authority. A fault of the caller on this machine.
    #[error("the authority of cluster {ours} was asked to name a node of cluster {asked}")]
    OtherCluster {
        /// The authority's cluster.
        ours: ClusterId,
        /// The cluster in the name.
        asked: ClusterId,
    },
    /// No time to be valid for. A fault of the caller on this machine.
    #[error("a certificate must be valid for at least a second")]
    NoValidity,
    /// The clock of the signing machine shows a time that a certificate cannot hold: correct it.
    #[error("the clock of this machine says {now} s since 1970, which no certificate can carry; correct the clock")]
    Clock {
        /// The time that was given.
        now: u64,
    },
    /// The authority itself has expired; it must be replaced by a new one on the nodes that hold it.
    #[error(
        "the cluster's authority expired at {not_after} s since 1970 and can sign nothing more; replace it, or \
             correct the clock of this machine"
    )]
    AuthorityExpired {
        /// When, in seconds since 1970.
        not_after: u64,
    },
    /// The crypto library could not write what it was asked to. A defect; report it.
    #[error("the crypto library could not write the certificate or request")]
    Encode(#[source] rcgen::Error),
    /// What was just made does not hold together. A defect; report it.
    #[error("the new identity does not hold together")]
    Unfit(#[source] IdentityError),
}
