//! The check that everything else stands on: does this certificate prove that its holder is that node of our cluster?
//!
//! webpki checks the signatures up to the cluster's authority, the dates, and what the certificate may be used for. On top
//! of that the `ncore://` name must be of our cluster and, where a certain node is expected, of that node. webpki never
//! looks at the dates of the authority itself; that is wanted, the authority stops signing by its own check.

use std::sync::{Arc, LazyLock};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{PeerIdentity, peer_identity, read_authority};
use crate::cluster_id::ClusterId;
use crate::error::{IdentityError, VerifyError};
use crate::name::node_dns;

/// What a cluster's members accept from each other.
#[derive(Debug)]
pub(crate) struct Trust {
    cluster_id: ClusterId,
    server: Arc<WebPkiServerVerifier>,
    client: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    /// Trusts these authorities, all of which must be of this cluster. There are two of them while one replaces the other.
    pub(crate) fn new(cluster_id: ClusterId, authorities: &[CertificateDer<'static>]) -> Result<Self, IdentityError> {
        if authorities.is_empty() || authorities.len() > MAX_AUTHORITIES {
            return Err(IdentityError::AuthorityCount { found: authorities.len(), most: MAX_AUTHORITIES });
        }
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            let found = read_authority(authority)?.cluster_id;
            if found != cluster_id {
                return Err(IdentityError::AuthorityOfOtherCluster { expected: cluster_id, found });
            }
            roots.add(authority.clone()).map_err(|_| IdentityError::NotAnAuthority)?;
        }
        let roots = Arc::new(roots);
        Ok(Self {
            cluster_id,
            server: WebPkiServerVerifier::builder_with_provider(roots.clone(), provider())
                .build()
                .map_err(|_| IdentityError::NotAnAuthority)?,
            client: WebPkiClientVerifier::builder_with_provider(roots, provider()).build().map_err(|_| IdentityError::NotAnAuthority)?,
        })
    }

    /// Checks a server's certificate: a member of our cluster, and that node if one is named.
    pub(crate) fn verify_server(
        &self,
        expected: Option<u64>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, VerifyError> {
        let peer = self.claim(end_entity)?;
        if let Some(expected) = expected
            && peer.node_id != expected
        {
            return Err(VerifyError::OtherNode { expected, found: peer.node_id });
        }
        // Checked for the DNS name of the node that the URI names, so the two names cannot tell different stories.
        let server_name = server_name(peer.node_id);
        self.server
            .verify_server_cert(end_entity, intermediates, &server_name, &[], now)
            .map_err(|reason| VerifyError::Untrusted { reason })?;
        Ok(peer)
    }

    /// Checks a client's certificate: a member of our cluster.
    pub(crate) fn verify_client(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, VerifyError> {
        let peer = self.claim(end_entity)?;
        self.client.verify_client_cert(end_entity, intermediates, now).map_err(|reason| VerifyError::Untrusted { reason })?;
        Ok(peer)
    }

    /// Who the certificate says it is, unproved so far, refused when it is of another cluster.
    fn claim(&self, end_entity: &CertificateDer<'_>) -> Result<PeerIdentity, VerifyError> {
        let peer = peer_identity(std::slice::from_ref(end_entity))?;
        if peer.cluster_id != self.cluster_id {
            return Err(VerifyError::OtherCluster { expected: self.cluster_id, found: peer.cluster_id });
        }
        Ok(peer)
    }
}

/// The DNS name of a node as rustls wants it.
pub(crate) fn server_name(node_id: u64) -> ServerName<'static> {
    ServerName::try_from(node_dns(node_id)).expect("a node's name is letters, digits, dots and a hyphen")
}

/// aws-lc-rs, always passed explicitly: no crate decides for another what the default of the process is.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// Two during a rotation; more is a mistake.
const MAX_AUTHORITIES: usize = 4;
