//! Why a certificate that was received is not taken.

use crate::error::IdentityError;

/// The answer to a join or renewal was not taken; what was there before stays in use. Ask again, another node if there is
/// one; if it happens again, the fault is named by the variant.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The certificate does not fit the key, the authority or the cluster. The fault of the node that answered.
    #[error("the certificate received cannot be used; ask another node")]
    Unfit(#[source] IdentityError),
    /// A renewal came back for another node. The fault of the node that answered.
    #[error("this is node {ours}, and the certificate received is for node {found}; ask another node")]
    OtherNode {
        /// This node.
        ours: u64,
        /// The node in the certificate.
        found: u64,
    },
    /// By the clock of this machine the certificate is not valid now: the two clocks differ by more than minutes, or the
    /// answer is days old.
    #[error(
        "the certificate received is valid from {not_before} to {not_after}, and the clock of this machine says {now} \
         (seconds since 1970); compare the clocks of the two machines"
    )]
    NotValidNow {
        /// Start of validity, seconds since 1970.
        not_before: u64,
        /// End of validity, seconds since 1970.
        not_after: u64,
        /// This machine's time, seconds since 1970.
        now: u64,
    },
}
