//! The TLS side of a node: a certificate that a test makes, and a viewer who speaks HTTP/2 by hand.

use super::frames::{Frame, Kind, frame};
use crate::cluster::Builder;
use anyhow::{Context as _, Result, bail};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate for a node, and where the node shows it.
pub struct Secure {
    /// Where the node listens for TLS.
    pub address: SocketAddr,
    certificate: CertificateDer<'static>,
    dir: TempDir,
}

/// A connection of HTTP/2 whose frames are made by hand.
pub struct Http2 {
    stream: TlsStream<TcpStream>,
    unread: Vec<u8>,
}

impl Secure {
    /// A certificate for these names, and a port that is free.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn new(names: &[&str]) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        let dir = tempfile::Builder::new().prefix("ncore-tls-").tempdir()?;
        std::fs::write(dir.path().join("tls.crt"), made.cert.pem())?;
        std::fs::write(dir.path().join("tls.key"), made.signing_key.serialize_pem())?;
        // Free now; whoever takes it before the node does makes the node fail to start.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { address, certificate: made.cert.der().clone(), dir })
    }

    /// Has the node listen there.
    #[must_use]
    pub fn listening(&self, builder: Builder) -> Builder {
        builder
            .setting("listen", "https", self.address.to_string())
            .setting("listen", "tls_cert", self.dir.path().join("tls.crt").as_path())
            .setting("listen", "tls_key", self.dir.path().join("tls.key").as_path())
    }

    /// A new connection to the node, as a viewer of `host`: settings were sent, and nothing was read.
    ///
    /// # Errors
    /// When there is no TLS, or no HTTP/2 with it.
    pub async fn http2(&self, host: &str) -> Result<Http2> {
        let config = self.client(b"h2")?;
        let socket = TcpStream::connect(self.address).await.context("connect to the TLS port")?;
        socket.set_nodelay(true)?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host.to_owned())?, socket);
        let stream = timeout(PATIENCE, connecting).await.context("the handshake takes too long")??;
        let mut connection = Http2 { stream, unread: Vec::new() };
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        connection.send(&frame(Kind::Settings, 0, 0, &[])).await?;
        Ok(connection)
    }

    /// What a viewer says in the handshake who speaks this protocol.
    pub(super) fn client(&self, protocol: &[u8]) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }
}

impl Http2 {
    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next frame; `None` at the end of the connection. Settings are acknowledged.
    ///
    /// # Errors
    /// When none comes for too long.
    pub async fn frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let [a, b, c, kind, flags, stream @ ..] = &self.unread[..]
                && let Some(stream) = stream.first_chunk::<4>()
            {
                let (length, kind, flags, stream) =
                    (u32::from_be_bytes([0, *a, *b, *c]) as usize, *kind, *flags, u32::from_be_bytes(*stream));
                if self.unread.len() >= 9 + length {
                    let payload = self.unread.drain(..9 + length).skip(9).collect();
                    let frame = Frame { kind, flags, stream, payload };
                    if frame.is(Kind::Settings) && flags == 0 {
                        // The other side may be gone by now.
                        let _ = self.send(&super::frames::frame(Kind::Settings, 1, 0, &[])).await;
                        continue;
                    }
                    return Ok(Some(frame));
                }
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await {
                Ok(Ok(0) | Err(_)) => return Ok(None),
                Ok(Ok(_)) => {}
                Err(_) => bail!("no frame came for {PATIENCE:?}"),
            }
        }
    }

    /// What becomes of a stream, or of the connection: a status, a reset, the end.
    ///
    /// # Errors
    /// When nothing becomes of it in time.
    pub async fn outcome(&mut self, stream: u32) -> Result<String> {
        loop {
            match self.frame().await? {
                None => return Ok("closed".to_owned()),
                Some(frame) if frame.is(Kind::GoAway) => {
                    let code = frame.payload.get(4..8).and_then(|code| code.try_into().ok()).map_or(u32::MAX, u32::from_be_bytes);
                    return Ok(format!("GOAWAY {code}"));
                }
                Some(frame) if frame.is(Kind::Reset) && frame.stream == stream => {
                    let code = frame.payload.first_chunk().map_or(u32::MAX, |code| u32::from_be_bytes(*code));
                    return Ok(format!("RST_STREAM {code}"));
                }
                Some(frame) if frame.is(Kind::Headers) && frame.stream == stream => {
                    return Ok(frame.status().map_or_else(|| format!("fields {:02x?}", frame.payload), |status| status.to_string()));
                }
                Some(_) => {}
            }
        }
    }
}

/// How long one waits for the node.
const PATIENCE: Duration = Duration::from_secs(20);
