//! Which addresses a name has.
//!
//! Names are asked for by a resolver within this process (hickory) rather than by the C library: it keeps answers for as long as
//! their TTL says, so that an origin that moves is followed in time and one that does not is not asked for at each connection, and it
//! takes no thread for each name that stands still. It reads the system's settings (`/etc/resolv.conf`, `/etc/hosts`) when it is made.

use std::net::IpAddr;

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;

use crate::error::BoxError;

/// Addresses of one name that are looked at, at most.
pub(crate) const MOST_ADDRESSES: usize = 16;

/// Says which addresses a name has.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, in the order in which they are to be tried.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// This machine says nothing of name servers.
    #[error("this machine has no name servers")]
    NoServers,
    /// The name servers gave none.
    #[error("the name has no address")]
    Failed(#[source] BoxError),
}

/// The name servers of the system.
pub struct SystemResolver {
    resolver: Option<TokioResolver>,
}

impl SystemResolver {
    /// By the system's settings. A machine that has none, or none that can be read, resolves nothing.
    #[must_use]
    pub fn new() -> Self {
        let made = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.cache_size = 4096;
            // A name that does not exist today may tomorrow, and a fault of its servers is over sooner than its records say.
            options.negative_max_ttl = Some(std::time::Duration::from_secs(30));
            builder.build()
        });
        match made {
            Ok(resolver) => Self { resolver: Some(resolver) },
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "origins by name cannot be found: no name servers");
                Self { resolver: None }
            }
        }
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            let resolver = self.resolver.as_ref().ok_or(ResolveError::NoServers)?;
            let found = resolver.lookup_ip(name).await.map_err(|error| ResolveError::Failed(error.into()))?;
            Ok(found.iter().take(MOST_ADDRESSES).collect())
        })
    }
}
