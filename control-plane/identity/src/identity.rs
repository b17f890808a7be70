//! What a node is: its private key and certificate, the authorities it trusts, the cluster's key, and on voters the
//! authority itself.
//!
//! A `NodeIdentity` never changes; renewal makes a new one. It exists only if its parts fit together, whichever way it was
//! made: founded, joined, renewed or loaded. An expired one can exist (a machine may start after a long stop), it merely
//! convinces nobody.
//!
//! A node that holds the authority can sign its own renewal even when it is expired and alone: that is how a cluster comes
//! back that was switched off for longer than certificates last.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::authority::{ClusterAuthority, NODE_VALIDITY};
use crate::certificate::{PeerIdentity, peer_identity};
use crate::cluster_id::ClusterId;
use crate::cluster_key::ClusterKey;
use crate::error::{AuthorityError, IdentityError, InstallError, IssueError};
use crate::join::JoinTerms;
use crate::name::NodeName;
use crate::request::CertificateRequest;
use crate::signing_key::SigningKey;
use crate::trust::Trust;

/// The identity of this node. Cheap to clone.
#[derive(Clone)]
pub struct NodeIdentity {
    me: PeerIdentity,
    key: Arc<SigningKey>,
    authorities: Vec<CertificateDer<'static>>,
    cluster_key: ClusterKey,
    authority: Option<Arc<ClusterAuthority>>,
    certified: Arc<CertifiedKey>,
    trust: Arc<Trust>,
}

impl NodeIdentity {
    /// Makes a new cluster with this machine as its first node: cluster id, authority, cluster key, certificate.
    /// `now` in seconds since 1970.
    ///
    /// # Errors
    /// No randomness, or a clock beyond the year 9999.
    pub fn found(node_id: u64, now: u64) -> Result<Self, IssueError> {
        let cluster_id = ClusterId::random()?;
        let authority = ClusterAuthority::create(cluster_id, now)?;
        let request = CertificateRequest::generate()?;
        let name = NodeName { cluster_id, node_id };
        let certificate = authority.sign_csr(request.der(), &name, NODE_VALIDITY, now)?;
        let identity = Self::assemble(Parts {
            key: Arc::new(request.into_key()),
            chain: vec![certificate],
            authorities: vec![authority.certificate().clone()],
            cluster_key: ClusterKey::generate()?,
        })
        .map_err(IssueError::Unfit)?;
        Ok(Self { authority: Some(Arc::new(authority)), ..identity })
    }

    /// The identity of a machine that has just joined: `certificate` and `cluster_key` are the cluster's answer to
    /// `request`, `terms` those of the join token. `now` in seconds since 1970.
    ///
    /// # Errors
    /// The answer is not one for this key, or not from the token's cluster, or the clocks differ. Ask another node.
    pub fn from_join(
        request: CertificateRequest,
        certificate: CertificateDer<'static>,
        terms: &JoinTerms,
        cluster_key: ClusterKey,
        now: u64,
    ) -> Result<Self, InstallError> {
        let identity = Self::assemble(Parts {
            key: Arc::new(request.into_key()),
            chain: vec![certificate],
            authorities: vec![terms.ca_cert.clone()],
            cluster_key,
        })
        .map_err(InstallError::Unfit)?;
        identity.valid_at(now)
    }

    /// The same node with a renewed certificate: the answer to `request`, a [`NodeIdentity::new_csr`] of it. `now` in
    /// seconds since 1970. What is in use changes only by [`crate::IdentityStore::update`].
    ///
    /// # Errors
    /// The answer is for another key or node, or not from this cluster, or the clocks differ.
    pub fn install(&self, request: CertificateRequest, certificate: CertificateDer<'static>, now: u64) -> Result<Self, InstallError> {
        let identity = Self::assemble(Parts {
            key: Arc::new(request.into_key()),
            chain: vec![certificate],
            authorities: self.authorities.clone(),
            cluster_key: self.cluster_key.clone(),
        })
        .map_err(InstallError::Unfit)?;
        if identity.node_id() != self.node_id() {
            return Err(InstallError::OtherNode { ours: self.node_id(), found: identity.node_id() });
        }
        Self { authority: self.authority.clone(), ..identity }.valid_at(now)
    }

    /// A request for the next certificate, with a fresh key.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn new_csr(&self) -> Result<CertificateRequest, IssueError> {
        CertificateRequest::generate()
    }

    /// Whether two thirds of the certificate's life are over at `now` (seconds since 1970): time to renew, with a third
    /// left for trying again.
    #[must_use]
    pub fn needs_renewal(&self, now: u64) -> bool {
        now >= self.renew_at()
    }

    /// When [`NodeIdentity::needs_renewal`] begins, seconds since 1970.
    #[must_use]
    pub fn renew_at(&self) -> u64 {
        let life = self.me.not_after.saturating_sub(self.me.not_before);
        self.me.not_before + life / 3 * 2
    }

    /// The last second at which the certificate is valid, seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.me.not_after
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.me.node_id
    }

    /// The cluster.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.me.cluster_id
    }

    /// Cluster and node together.
    #[must_use]
    pub fn name(&self) -> NodeName {
        self.me.name()
    }

    /// This node as others see it.
    #[must_use]
    pub fn as_peer(&self) -> &PeerIdentity {
        &self.me
    }

    /// The certificate, and above it what leads to the authority (normally nothing).
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The authorities that this node trusts; the first goes into new join tokens.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The same node, trusting these authorities: both while one replaces the other, the new one when every node has its
    /// certificate from it. The node's own certificate must come from one of them.
    ///
    /// # Errors
    /// An authority of another cluster, or one under which this node's own certificate would not hold.
    pub fn trusting(&self, authorities: Vec<CertificateDer<'static>>) -> Result<Self, IdentityError> {
        let identity = Self::assemble(Parts {
            key: self.key.clone(),
            chain: self.chain().to_vec(),
            authorities,
            cluster_key: self.cluster_key.clone(),
        })?;
        Ok(Self { authority: self.authority.clone(), ..identity })
    }

    /// The key that all members share.
    #[must_use]
    pub fn cluster_key(&self) -> &ClusterKey {
        &self.cluster_key
    }

    /// The authority, on nodes that hold it.
    #[must_use]
    pub fn authority(&self) -> Option<&ClusterAuthority> {
        self.authority.as_deref()
    }

    /// The same node, holding the authority's key, sealed as [`ClusterAuthority::seal`] gives it.
    ///
    /// # Errors
    /// It does not open under this cluster's key, or is not of an authority that this node trusts.
    pub fn with_authority(&self, sealed: &[u8]) -> Result<Self, AuthorityError> {
        let authority = ClusterAuthority::open(sealed, &self.cluster_key, &self.authorities)?;
        Ok(Self { authority: Some(Arc::new(authority)), ..self.clone() })
    }

    /// The same node without the authority's key, for one that is no voter any more.
    #[must_use]
    pub fn without_authority(&self) -> Self {
        Self { authority: None, ..self.clone() }
    }

    /// Puts the parts together if they fit: the chain leads to an authority of its cluster, and the key is the
    /// certificate's.
    pub(crate) fn assemble(parts: Parts) -> Result<Self, IdentityError> {
        let (end_entity, intermediates) = match parts.chain.split_first() {
            Some((first, rest)) if rest.len() < MAX_CHAIN => (first, rest),
            _ => {
                return Err(IdentityError::ChainLength { found: parts.chain.len(), most: MAX_CHAIN });
            }
        };
        let me = peer_identity(&parts.chain).map_err(IdentityError::Certificate)?;
        let trust = Trust::new(me.cluster_id, &parts.authorities)?;
        // As of the certificate's first second: whether it is still valid is another question than whether it fits.
        let then = UnixTime::since_unix_epoch(Duration::from_secs(me.not_before));
        trust
            .verify_server(Some(me.node_id), end_entity, intermediates, then)
            .and_then(|_| trust.verify_client(end_entity, intermediates, then))
            .map_err(IdentityError::Certificate)?;

        let unusable = |reason| IdentityError::KeyUnusable { reason };
        let certified = CertifiedKey::new(parts.chain, parts.key.for_tls().map_err(unusable)?);
        certified.keys_match().map_err(|_| IdentityError::KeyMismatch)?;
        Ok(Self {
            me,
            key: parts.key,
            authorities: parts.authorities,
            cluster_key: parts.cluster_key,
            authority: None,
            certified: Arc::new(certified),
            trust: Arc::new(trust),
        })
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    pub(crate) fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    fn valid_at(self, now: u64) -> Result<Self, InstallError> {
        let PeerIdentity { not_before, not_after, .. } = self.me;
        if (not_before..=not_after).contains(&now) {
            return Ok(self);
        }
        Err(InstallError::NotValidNow { not_before, not_after, now })
    }
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeIdentity").field("me", &self.me).field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// What an identity is made of, before it is known whether it fits.
pub(crate) struct Parts {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) cluster_key: ClusterKey,
}

/// The node's own certificate and room for one that links two authorities.
const MAX_CHAIN: usize = 3;
