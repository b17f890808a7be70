//! A viewer over bare TCP: what it sends may be anything, and what it gets it takes as it comes.

use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection of a viewer.
#[derive(Debug)]
pub struct Viewer {
    socket: TcpStream,
    unread: Vec<u8>,
}

/// A response, as far as it came.
#[derive(Debug, Clone)]
pub struct Got {
    /// Its status.
    pub status: u16,
    /// Its fields in order, the names in lower case.
    pub fields: Vec<(String, String)>,
    /// Its content, with the framing off.
    pub body: Vec<u8>,
    /// Whether that is all of it, by its framing.
    pub whole: bool,
}

impl Viewer {
    /// Connects.
    ///
    /// # Errors
    /// When nobody is there.
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(to).await.with_context(|| format!("connect to {to}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, unread: Vec::new() })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.socket.write_all(bytes.as_ref()).await.context("send to the node")
    }

    /// The next response, but for informational ones; `None` if the connection ends before one begins.
    ///
    /// # Errors
    /// When nothing comes for too long, or what comes is no HTTP.
    pub async fn answer(&mut self) -> Result<Option<Got>> {
        self.answer_to("GET").await
    }

    /// The next response to a request of a method.
    ///
    /// # Errors
    /// As with [`answer`](Self::answer).
    pub async fn answer_to(&mut self, method: &str) -> Result<Option<Got>> {
        loop {
            let Some(mut got) = self.head().await? else { return Ok(None) };
            if got.status == 100 || got.status == 103 {
                continue;
            }
            if method == "HEAD" || matches!(got.status, 204 | 304) {
                got.whole = true;
                return Ok(Some(got));
            }
            if got.field("transfer-encoding").eq_ignore_ascii_case("chunked") {
                got.whole = self.chunks(&mut got.body).await?;
            } else if let Ok(length) = got.field("content-length").parse::<usize>() {
                while self.unread.len() < length && self.more().await? {}
                got.body = self.unread.drain(..length.min(self.unread.len())).collect();
                got.whole = got.body.len() == length;
            } else {
                while self.more().await? {}
                (got.body, got.whole) = (std::mem::take(&mut self.unread), true);
            }
            return Ok(Some(got));
        }
    }

    /// Whether the other side ends the connection, and what came before that.
    ///
    /// # Errors
    /// When it does not within a while.
    pub async fn rest(&mut self) -> Result<Vec<u8>> {
        while self.more().await? {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// The bare connection, for those who read by themselves.
    #[must_use]
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    async fn head(&mut self) -> Result<Option<Got>> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if !self.more().await? {
                if self.unread.is_empty() {
                    return Ok(None);
                }
                bail!("the connection ended within a head: {:?}", String::from_utf8_lossy(&self.unread));
            }
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).with_context(|| format!("no HTTP: {first:?}"))?;
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Ok(Some(Got { status, fields, body: Vec::new(), whole: false }))
    }

    /// Takes chunks off; whether the last one was there.
    async fn chunks(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        loop {
            let end = loop {
                if let Some(end) = self.unread.windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                if !self.more().await? {
                    return Ok(false);
                }
            };
            let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            let length = usize::from_str_radix(&line, 16).with_context(|| format!("the line {line:?} before a chunk"))?;
            while self.unread.len() < length + 2 {
                if !self.more().await? {
                    body.append(&mut self.unread);
                    return Ok(false);
                }
            }
            body.extend(self.unread.drain(..length));
            self.unread.drain(..2);
            if length == 0 {
                return Ok(true);
            }
        }
    }

    async fn more(&mut self) -> Result<bool> {
        match timeout(PATIENCE, self.socket.read_buf(&mut self.unread)).await {
            Ok(Ok(bytes)) => Ok(bytes > 0),
            // Broken off.
            Ok(Err(_)) => Ok(false),
            Err(_) => bail!("nothing came for {PATIENCE:?}"),
        }
    }
}

impl Got {
    /// The first value of a field; empty if it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The content as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How long a viewer waits for the next byte.
const PATIENCE: Duration = Duration::from_secs(60);
