//! Dialling a node: TCP without delays, then TLS that knows whom it expects.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use ncore_identity::ExpectedPeer;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::ClientConfig};

/// No connection was made, so nothing was sent. Stands in the chain of sources of whatever was tried over it.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {address}")]
pub struct ConnectFailed {
    address: String,
    #[source]
    source: io::Error,
}

impl ConnectFailed {
    /// Whether `error` came about because no connection was made.
    #[must_use]
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Makes connections for one peer.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    expected: ExpectedPeer,
}

impl Connector {
    pub(super) fn new(config: Arc<ClientConfig>, expected: ExpectedPeer) -> Self {
        Self { tls: TlsConnector::from(config), expected }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = ConnectFailed;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { tls, expected } = self.clone();
        Box::pin(async move {
            let address = uri.authority().map(ToString::to_string).unwrap_or_default();
            let connect = async {
                let tcp = TcpStream::connect(&address).await?;
                // Without it, each small message waits for the acknowledgement of the last: 40 ms a write.
                tcp.set_nodelay(true)?;
                tls.connect(expected.server_name(), tcp).await
            };
            match connect.await {
                Ok(stream) => Ok(TokioIo::new(stream)),
                Err(source) => Err(ConnectFailed { address, source }),
            }
        })
    }
}
