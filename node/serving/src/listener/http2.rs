//! HTTP/2: a driver of our own on the framing of `h2`. What is at hand is answered where it is read, without a task.
//!
//! ```text
//!   read ──► frames ──► requests, each begun at once ──┬─► answered: head and body into the wire ──┐
//!              ▲                                       └─► has to wait: a task of its own ─────────┤
//!              │ (pings, windows, resets)                                                          ▼
//!            client ◄────────── whole records of TLS, when all that is at hand has been answered ── wire
//! ```
//!
//! # Why it is so
//! Most requests are for what is in memory, and what they cost is what is around them: a task that is made, woken and freed, and a write
//! for each answer. So an [`exchange`](exchange::exchange) is a future that is polled once where its request was read, and becomes a
//! task only if it has to wait; then it holds up nobody else. And what answers put into the [`Wire`](wire::Wire) leaves together.
//!
//! # What bounds it
//! Requests at once are the client's streams ([`Http2Settings`]), so tasks are no more than those; what one of them may have in memory to be sent is `send_buffer_bytes`. A
//! client that takes nothing of a response loses the stream, one that takes nothing at all the connection ([`guard`](super::guard)),
//! one that gives no sign of life ([`pulse`]) or asks for nothing as well, and so does one that gives up all the time
//! ([`resets`](super::resets)).

mod driver;
mod exchange;
mod pulse;
mod reply;
mod upload;
mod wire;

use std::{future::poll_fn, io, pin::pin, sync::Arc, task::Poll};

use bytes::Bytes;
use h2::server::{Builder, Handshake};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{driver::Driver, exchange::Exchanges, wire::Wire};
use super::{connection::Connections, resets::Resets, settings::Http2Settings};
use crate::{metrics::add, router::PeerInfo};

pub(super) use self::reply::Reply;
pub(crate) use self::upload::Upload;

/// Why a connection ended otherwise than by being closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Http2Error {
    #[error("the client did not begin in time")]
    NotBegun,
    #[error("the protocol failed")]
    Protocol(#[from] h2::Error),
    #[error("the connection cannot be written to")]
    Write(#[source] io::Error),
    #[error("the client gave no sign of life")]
    Silent,
}

/// Serves a connection over which the client is about to speak HTTP/2, until it closes, or until what is under way when `shutdown` comes
/// has ended.
pub(super) async fn serve<S>(connections: &Connections, stream: S, peer: PeerInfo, shutdown: CancellationToken) -> Result<(), Http2Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let settings = connections.settings();
    let resets = Resets::new(settings.http2.resets_max, Http2Settings::RESETS_WINDOW);
    let wire = Wire::new(stream);
    let begun = begin(builder(&settings.http2, settings.head_bytes_max).handshake(wire.clone()), &wire);
    let connection = tokio::select! {
        begun = timeout(settings.handshake_deadline, begun) => begun.map_err(|_| Http2Error::NotBegun)??,
        () = shutdown.cancelled() => return Ok(()),
    };
    let exchanges = Arc::new(Exchanges::new(connections, peer, Arc::clone(&resets)));
    let mut driver = Driver::new(connection, wire, exchanges, &settings.http2);
    let mut leaving = pin!(shutdown.cancelled());
    let mut is_leaving = false;
    let driven = poll_fn(|cx| {
        if !is_leaving && leaving.as_mut().poll(cx).is_ready() {
            is_leaving = true;
            driver.leave();
        }
        driver.poll(cx)
    });
    tokio::select! {
        ended = driven => ended,
        () = resets.exceeded() => {
            tracing::debug!(remote = %peer.remote, "connection closed: the client gives up one request after the other");
            add(&connections.metrics().connections_resetting, 1);
            Ok(())
        }
    }
}

/// Waits for what a client begins with, when it has been told the settings.
async fn begin<S>(handshake: Handshake<Wire<S>, Bytes>, wire: &Wire<S>) -> Result<h2::server::Connection<Wire<S>, Bytes>, Http2Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut handshake = pin!(handshake);
    poll_fn(|cx| {
        let polled = handshake.as_mut().poll(cx);
        if let Poll::Ready(Err(error)) = wire.poll_send(cx) {
            return Poll::Ready(Err(Http2Error::Write(error)));
        }
        polled.map_err(Http2Error::Protocol)
    })
    .await
}

fn builder(limits: &Http2Settings, head_bytes_max: u32) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(limits.pending_resets_max)
        .max_local_error_reset_streams(Some(limits.error_resets_max))
        .max_header_list_size(head_bytes_max)
        .max_frame_size(FRAME_BYTES)
        .initial_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_send_buffer_size(limits.send_buffer_bytes);
    builder
}

/// The most that a client may put into one frame: the least that the protocol has.
const FRAME_BYTES: u32 = 16 << 10;
