//! One connection over QUIC, after its handshake.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use h3::{
    error::{Code, ConnectionError},
    server,
};
use quinn::VarInt;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    quic::{self, Newest},
    request::{Answerer, Head},
};
use crate::{
    listener::{
        accept,
        connection::Connections,
        resets::Resets,
        settings::{Http2Settings, Http3Settings},
    },
    metrics::add,
    router::PeerInfo,
};

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has closed it, or broken the protocol.
    Theirs,
    /// There is nothing more to be done.
    Done,
    /// The client gives up one request after the other.
    Resetting,
}

/// A connection that is served.
struct Serving {
    quic: quinn::Connection,
    http3: server::Connection<quic::Connection, Bytes>,
    newest: Newest,
    answerer: Answerer,
    requests: JoinSet<Head>,
    /// Those that ended before their heads were read.
    headless: usize,
    /// When it was said that no more requests are taken.
    leaving: Option<Instant>,
    idle_max: Duration,
    streams_max: usize,
}

/// Serves `connection` until it closes, or until what is under way when `shutdown` comes has ended.
pub(super) async fn serve(connections: &Arc<Connections>, connection: quinn::Connection, shutdown: CancellationToken) {
    let remote = connection.remote_address();
    let Some(Http3Settings { idle_max, streams_max, resets_max, .. }) = connections.settings().http3 else { return };
    add(&connections.metrics().http3_accepted, 1);
    let head_bytes_max = connections.settings().head_bytes_max.min(FIELD_SECTION_MAX);
    let (adapted, newest) = quic::Connection::new(connection.clone(), head_bytes_max);
    let resets = Resets::new(resets_max, Http2Settings::RESETS_WINDOW);
    let built = server::builder().max_field_section_size(head_bytes_max.into()).send_grease(false).build(adapted).await;
    let http3 = match built {
        Ok(http3) => http3,
        Err(error) => return failed(remote, &error),
    };
    let peer = PeerInfo { remote, secure: true };
    let answerer = Answerer { connections: Arc::clone(connections), peer, resets: Arc::clone(&resets) };
    let streams_max = usize::try_from(streams_max).unwrap_or(usize::MAX);
    let (quic, requests) = (connection.clone(), JoinSet::new());
    let mut serving = Serving { quic, http3, newest, answerer, requests, headless: 0, leaving: None, idle_max, streams_max };
    let end = tokio::select! {
        end = serving.run(&shutdown) => end,
        () = resets.exceeded() => End::Resetting,
    };
    let code = match end {
        End::Theirs | End::Done => Code::H3_NO_ERROR,
        End::Resetting => {
            tracing::debug!(%remote, "connection closed: the client gives up one request after the other");
            add(&connections.metrics().connections_resetting, 1);
            Code::H3_EXCESSIVE_LOAD
        }
    };
    connection.close(VarInt::from_u64(code.value()).unwrap_or_default(), b"");
}

impl Serving {
    async fn run(&mut self, shutdown: &CancellationToken) -> End {
        let mut last = Instant::now();
        loop {
            let over = match self.leaving {
                // Requests that were sent before the client knew are answered.
                Some(since) => since + self.quic.rtt() * 2 + GRACE,
                None => last + self.idle_max,
            };
            let leaves = tokio::select! {
                biased;
                Some(ended) = self.requests.join_next() => {
                    last = Instant::now();
                    self.headless += usize::from(matches!(ended, Ok(Head::Unread)));
                    accept::report(ended.map(drop));
                    self.headless >= HEADLESS_MAX
                }
                accepted = self.http3.accept() => match accepted {
                    Ok(Some(resolver)) => {
                        let accepted = self.newest.lock().unwrap_or_else(PoisonError::into_inner).take();
                        let Some(accepted) = accepted else { continue };
                        self.requests.spawn(self.answerer.clone().answer(resolver, accepted));
                        false
                    }
                    Ok(None) => return End::Done,
                    Err(error) => {
                        failed(self.answerer.peer.remote, &error);
                        return End::Theirs;
                    }
                },
                () = shutdown.cancelled(), if self.leaving.is_none() => true,
                () = sleep_until(over), if self.requests.is_empty() => match self.leaving {
                    Some(_) => return End::Done,
                    None => true,
                },
            };
            if leaves && self.leaving.is_none() {
                self.leaving = Some(Instant::now());
                if let Err(error) = self.http3.shutdown(self.streams_max).await {
                    failed(self.answerer.peer.remote, &error);
                    return End::Theirs;
                }
            }
        }
    }
}

fn failed(remote: SocketAddr, error: &ConnectionError) {
    tracing::debug!(%remote, error = error as &dyn std::error::Error, "connection over HTTP/3 ended");
}

/// What a client gets, beside two round trips, to learn that no more requests are taken.
const GRACE: Duration = Duration::from_millis(50);
/// The longest head that is read, whatever is set: `h3` makes room for as many fields as it counts, and there is a most of that.
const FIELD_SECTION_MAX: u32 = 512 << 10;
/// Requests that may end before their heads are read: `h3` remembers each of these streams for as long as the connection lasts, so that it may
/// not last for ever.
const HEADLESS_MAX: usize = 4_096;
