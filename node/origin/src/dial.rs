//! Connecting to an origin: its name to addresses, each address checked, the checked ones dialled, TLS spoken.
//!
//! Addresses are tried one after the other, each a moment after the one before if that one does not answer (RFC 8305), so an origin whose
//! IPv6 leads nowhere costs a quarter of a second.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::address::{AddressPolicy, RefusedAddress};
use crate::error::{ErrorKind, OriginError};
use crate::link::{Fresh, Slot, speak_http1, speak_http2};
use crate::resolve::{MOST_ADDRESSES, Resolve};
use crate::settings::Timeouts;
use crate::tls::{ALPN_HTTP2, Tls};
use crate::url::{OriginHost, OriginUrl};
use crate::wire::Wire;

/// How long the next address waits for the one before.
const STAGGER: Duration = Duration::from_millis(250);

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Requests, over the best protocol that the origin has.
    Pool,
    /// One request that changes the protocol, which is of HTTP/1.1.
    Upgrade,
}

/// Connects to one origin.
pub(crate) struct Dialer {
    url: OriginUrl,
    timeouts: Timeouts,
    tls: Option<Tls>,
    resolver: Arc<dyn Resolve>,
    policy: Arc<AddressPolicy>,
}

impl Dialer {
    pub(crate) fn new(
        url: OriginUrl,
        timeouts: Timeouts,
        tls: Option<Tls>,
        resolver: Arc<dyn Resolve>,
        policy: Arc<AddressPolicy>,
    ) -> Self {
        Self { url, timeouts, tls, resolver, policy }
    }

    /// A new connection, which takes this place.
    pub(crate) async fn dial(&self, purpose: Use, slot: Slot) -> Result<Fresh, OriginError> {
        let stream = match timeout(self.timeouts.connect, self.connect()).await {
            Ok(stream) => stream?,
            Err(elapsed) => return Err(OriginError::because(ErrorKind::ConnectTimeout, elapsed)),
        };
        // Heads and bodies are written whole: waiting for more would only hold them up.
        stream.set_nodelay(true).map_err(|error| OriginError::because(ErrorKind::Unreachable, error))?;
        let Some(tls) = &self.tls else {
            return speak_http1(Wire::plain(stream), slot).await;
        };
        let config = match purpose {
            Use::Pool => &tls.pooled,
            Use::Upgrade => &tls.http1,
        };
        let handshake = TlsConnector::from(Arc::clone(config)).connect(tls.name.clone(), stream);
        let stream = match timeout(self.timeouts.tls, handshake).await {
            Ok(stream) => stream.map_err(|error| OriginError::because(ErrorKind::Tls, error))?,
            Err(elapsed) => return Err(OriginError::because(ErrorKind::TlsTimeout, elapsed)),
        };
        if stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2) {
            speak_http2(Wire::tls(stream), slot).await
        } else {
            speak_http1(Wire::tls(stream), slot).await
        }
    }

    async fn connect(&self) -> Result<TcpStream, OriginError> {
        let addresses = self.addresses().await?;
        let mut left = addresses.into_iter();
        let mut attempts = FuturesUnordered::new();
        let mut failed = OriginError::new(ErrorKind::Unresolved);
        loop {
            let next = left.next();
            let more = left.len() > 0;
            attempts.extend(next.map(TcpStream::connect));
            // Until one answers, fails, or has had its moment: then the next is tried beside it.
            let pause = sleep(STAGGER);
            tokio::pin!(pause);
            let paused = loop {
                tokio::select! {
                    connected = attempts.next() => match connected {
                        Some(Ok(stream)) => return Ok(stream),
                        Some(Err(error)) => {
                            failed = OriginError::because(ErrorKind::Unreachable, error);
                            if more { break true }
                        }
                        None => break false,
                    },
                    () = &mut pause, if more => break true,
                }
            };
            if !paused {
                return Err(failed);
            }
        }
    }

    /// The addresses to dial: those of the name that may be.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, OriginError> {
        let found = match self.url.host() {
            OriginHost::Address(address) => vec![*address],
            OriginHost::Name(name) => {
                self.resolver.resolve(name).await.map_err(|error| OriginError::because(ErrorKind::Unresolved, error))?
            }
        };
        allowed(&self.policy, found, self.url.port())
    }
}

/// Those of a name's addresses that may be dialled, the families in turn.
fn allowed(policy: &AddressPolicy, found: Vec<IpAddr>, port: u16) -> Result<Vec<SocketAddr>, OriginError> {
    let mut refused: Option<RefusedAddress> = None;
    let mut of_family: [Vec<IpAddr>; 2] = [Vec::new(), Vec::new()];
    let first_is_v6 = found.first().is_some_and(IpAddr::is_ipv6);
    for address in found.into_iter().take(MOST_ADDRESSES) {
        match policy.check(address) {
            Ok(()) => of_family[usize::from(address.is_ipv6() != first_is_v6)].push(address),
            Err(error) => refused = Some(error),
        }
    }
    let [first, second] = of_family;
    let mut addresses = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = addresses.len();
        addresses.extend(first.next().into_iter().chain(second.next()).map(|address| SocketAddr::new(address, port)));
        if addresses.len() == before {
            break;
        }
    }
    match refused {
        Some(refused) if addresses.is_empty() => Err(OriginError::because(ErrorKind::Refused, refused)),
        _ if addresses.is_empty() => Err(OriginError::new(ErrorKind::Unresolved)),
        _ => Ok(addresses),
    }
}
