//! Who is who between the nodes of a cluster: the cluster's certificate authority, the certificate of each node, the
//! join tokens that let a machine in, the key that seals secrets, and the TLS settings made of them.
//!
//! It does not know Raft, HTTP or gRPC, opens no sockets and reads no clock: `now` (seconds since 1970) is always an
//! argument. The one exception is the TLS handshake, where rustls asks the system's clock whether a certificate is
//! valid. File access blocks and is documented where it happens.
//!
//! # The parts
//!
//! ```text
//!   ncore init ──► NodeIdentity::found ──► ClusterAuthority, ClusterKey, first certificate
//!                        │
//!   join token ──► CertificateRequest + JoinProof ──► sign_csr ──► NodeIdentity::from_join
//!                        │                                              │
//!                        ▼                                              ▼
//!               IdentityStore (disk, old or new)  ◄──────────  IdentityHandle (what connections use)
//!                                                                       │
//!                                                  server_config, client_config, join_client_config
//! ```
//!
//! # What holds
//!
//! * A certificate says `ncore://<cluster id>/node/<node id>`, and the authority writes that name itself; what a request
//!   asks for is ignored.
//! * Both ends of a connection check the chain, the dates, the cluster and (when dialling a node) the node id. Addresses
//!   and DNS prove nothing here.
//! * Removal of a node is not in here: a certificate stays valid until it ends. Whoever serves a connection asks
//!   [`peer_identity`] who it is and the replicated state whether that node is still a member.
//! * No secret has a `Debug` form, and every secret that this crate holds is wiped when it is dropped.

mod authority;
mod certificate;
mod cluster_id;
mod cluster_key;
mod entropy;
mod error;
mod identity;
mod join;
mod name;
mod request;
mod signing_key;
mod store;
mod tls;
mod trust;

pub use authority::{AUTHORITY_VALIDITY, ClusterAuthority, NODE_VALIDITY};
pub use certificate::{PeerIdentity, peer_identity};
pub use cluster_id::{ClusterId, ClusterIdError};
pub use cluster_key::ClusterKey;
pub use entropy::EntropyError;
pub use error::{
    AuthorityError, IdentityError, InstallError, IssueError, LoadError, ProofError, SaveError, SealError, TokenError, UpdateError,
    VerifyError,
};
pub use identity::NodeIdentity;
pub use join::{JoinProof, JoinTerms, JoinToken, TokenId};
pub use name::NodeName;
pub use request::CertificateRequest;
pub use rustls_pki_types::CertificateDer;
pub use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
pub use store::IdentityStore;
pub use tls::{ExpectedPeer, IdentityHandle, client_config, join_client_config, server_config};
