//! A connection that was handed over to another protocol, such as WebSocket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Response};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::{Lease, OriginBody};
use crate::error::{ErrorKind, OriginError};
use crate::fields::strip_hop_by_hop;
use crate::request::Purpose;

/// How an origin answers a request to change the protocol.
#[derive(Debug)]
pub enum UpgradeAnswer {
    /// It changes it.
    Switched(Switched),
    /// It does not, and answers like any other request.
    Refused(Response<OriginBody>),
}

/// An origin that changed the protocol.
#[derive(Debug)]
pub struct Switched {
    /// The head of its response, 101, with the fields `Connection` and `Upgrade` for the viewer.
    pub head: Response<()>,
    /// The connection: what is written goes to the origin, what is read is from it. To be joined with the viewer's, for example with
    /// `tokio::io::copy_bidirectional`; how long it may stand still is up to the caller.
    pub tunnel: Tunnel,
}

/// A connection that is no longer HTTP. It counts as a request that is under way, and as a connection, until it is dropped.
#[derive(Debug)]
pub struct Tunnel {
    io: TokioIo<Upgraded>,
    _lease: Lease,
}

/// Takes the connection over, if the response changes to what was asked for.
pub(crate) async fn switch(mut response: Response<Incoming>, purpose: &Purpose, lease: Lease) -> Result<Switched, OriginError> {
    let chosen = response.headers().get(UPGRADE).cloned();
    let (Purpose::Upgrade(asked), Some(chosen)) = (purpose, chosen) else {
        return Err(OriginError::new(ErrorKind::Malformed));
    };
    if !offers(asked, &chosen) {
        return Err(OriginError::new(ErrorKind::Malformed));
    }
    let upgraded = hyper::upgrade::on(&mut response).await.map_err(|error| OriginError::because(ErrorKind::Reset, error))?;
    let mut head = response.map(|_| ());
    strip(head.headers_mut(), chosen);
    Ok(Switched { head, tunnel: Tunnel { io: TokioIo::new(upgraded), _lease: lease } })
}

fn strip(headers: &mut HeaderMap, chosen: HeaderValue) {
    strip_hop_by_hop(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, chosen);
}

/// Whether the protocol that an origin chose is one of those that were asked for.
fn offers(asked: &HeaderValue, chosen: &HeaderValue) -> bool {
    let chosen = chosen.as_bytes().trim_ascii();
    asked.as_bytes().split(|byte| *byte == b',').any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(chosen))
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
