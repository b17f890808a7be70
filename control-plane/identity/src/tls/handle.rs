//! The identity in use. Connections that begin after a change use the new one, with the TLS configurations they already
//! have; connections that exist keep the old one until they end.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::identity::NodeIdentity;

/// Where everybody on this node finds its identity. Clones are the same handle. Changed only by
/// [`crate::IdentityStore::update`], so that what is in use is also on disk.
#[derive(Clone)]
pub struct IdentityHandle(Arc<ArcSwap<NodeIdentity>>);

impl IdentityHandle {
    /// A handle that begins with this identity.
    #[must_use]
    pub fn new(identity: NodeIdentity) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(identity)))
    }

    /// The identity in use now.
    #[must_use]
    pub fn current(&self) -> Arc<NodeIdentity> {
        self.0.load_full()
    }

    pub(crate) fn set(&self, identity: Arc<NodeIdentity>) {
        self.0.store(identity);
    }
}

impl ResolvesServerCert for IdentityHandle {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified().clone())
    }
}

impl ResolvesClientCert for IdentityHandle {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified().clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for IdentityHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdentityHandle").field(&*self.0.load()).finish()
    }
}
