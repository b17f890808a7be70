//! A viewer over QUIC, whose streams are made by hand: there is no library for HTTP/3 here that would know better.

use super::Secure;
use anyhow::{Context as _, Result, ensure};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A connection over QUIC.
#[derive(Debug)]
pub struct Quic {
    /// It.
    pub connection: Connection,
    // The socket, which is gone with the last handle.
    _endpoint: Endpoint,
}

impl Quic {
    /// A new connection to the node, as a viewer of `host` who takes no more of a response at once than `window` bytes.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect(secure: &Secure, host: &str, window: u32) -> Result<Self> {
        let endpoint = endpoint(secure, window)?;
        let connecting = endpoint.connect(secure.address, host)?;
        let connection = timeout(PATIENCE, connecting).await.context("the handshake takes too long")??;
        Ok(Self { connection, _endpoint: endpoint })
    }

    /// The content of an answer, from a stream of its own.
    ///
    /// # Errors
    /// When none comes.
    pub async fn get(&self, host: &str, path: &str) -> Result<Vec<u8>> {
        let (mut send, mut receive) = self.connection.open_bi().await?;
        send.write_all(&request(host, path)).await?;
        send.finish()?;
        let read = timeout(PATIENCE, receive.read_to_end(1 << 20)).await.context("the answer takes too long")??;
        content(&read)
    }
}

/// The first datagram of a viewer who does not go on.
///
/// # Errors
/// When none can be made.
pub async fn first_datagram(secure: &Secure, host: &str) -> Result<Vec<u8>> {
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = endpoint(secure, 1 << 20)?;
    let _connecting = endpoint.connect(nobody.local_addr()?, host)?;
    let mut datagram = vec![0; 2_000];
    let (length, _) = timeout(PATIENCE, nobody.recv_from(&mut datagram)).await.context("no datagram comes")??;
    datagram.truncate(length);
    Ok(datagram)
}

/// A request as one frame.
#[must_use]
pub fn request(host: &str, path: &str) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path)] {
        // A name of which three bits of the length fit, and a value of which seven do (RFC 9204 §4.5.6).
        number(&mut section, 0x20, 0x07, name.len());
        section.extend(name.bytes());
        number(&mut section, 0, 0x7F, value.len());
        section.extend(value.bytes());
    }
    let length = (0x8000_0000 | u32::try_from(section.len()).unwrap_or(0)).to_be_bytes();
    [&[HEADERS][..], &length, &section].concat()
}

/// A number behind a few bits of something else (RFC 7541 §5.1).
fn number(bytes: &mut Vec<u8>, before: u8, most: u8, number: usize) {
    let Some(mut left) = number.checked_sub(most.into()) else { return bytes.push(before | u8::try_from(number).unwrap_or(0)) };
    bytes.push(before | most);
    while left >= 0x80 {
        bytes.push(u8::try_from(left % 0x80).unwrap_or(0) | 0x80);
        left /= 0x80;
    }
    bytes.push(u8::try_from(left).unwrap_or(0));
}

/// What is in the frames of content of a response that came whole.
fn content(mut read: &[u8]) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    while !read.is_empty() {
        let kind = integer(&mut read).context("no frame")?;
        let length = usize::try_from(integer(&mut read).context("no length of a frame")?)?;
        ensure!(length <= read.len(), "a frame of {length} bytes is cut off");
        let (payload, rest) = read.split_at(length);
        if kind == DATA {
            content.extend(payload);
        }
        read = rest;
    }
    Ok(content)
}

/// An integer of QUIC (RFC 9000 §16).
fn integer(read: &mut &[u8]) -> Option<u64> {
    let (first, rest) = read.split_first()?;
    let (more, rest) = rest.split_at_checked((1 << (first >> 6)) - 1)?;
    *read = rest;
    Some(more.iter().fold(u64::from(first & 0x3F), |integer, byte| integer << 8 | u64::from(*byte)))
}

fn endpoint(secure: &Secure, window: u32) -> Result<Endpoint> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(secure.client(b"h3")?)?));
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(window));
    config.transport_config(Arc::new(transport));
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).context("a socket for QUIC")?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

const DATA: u64 = 0;
const HEADERS: u8 = 1;
/// How long one waits for the node.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::{content, integer, request};

    #[test]
    fn as_in_the_book() {
        let request = request("a", "/");
        // The prefix, and the four fields of a request with their names.
        assert_eq!(request[..6], [1, 0x80, 0, 0, 2 + 13 + 15 + 14 + 8, 0]);
        assert_eq!(request[7..16], [0x27, 0, b':', b'm', b'e', b't', b'h', b'o', b'd']);
        // RFC 9000 §A.1.
        for (bytes, expected) in [(&[0x25][..], 37), (&[0x7b, 0xbd], 15_293), (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333)] {
            assert_eq!(integer(&mut &bytes[..]), Some(expected));
        }
        assert_eq!(integer(&mut &[0x7b][..]), None);
        assert_eq!(content(&[1, 2, 0, 0, 0, 2, b'h', b'i', 0, 1, b'!']).expect("whole"), b"hi!");
        content(&[0, 2, b'h']).expect_err("cut off");
    }
}
