//! One accept loop: takes connections from one socket, and owns the tasks that serve them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{connection::Connections, tls::TlsIdentity};
use crate::metrics::add;

/// A loop, ready to run.
pub(super) struct AcceptLoop {
    pub(super) listener: TcpListener,
    pub(super) identity: Option<Arc<TlsIdentity>>,
    pub(super) connections: Arc<Connections>,
    /// One permit for each connection of the whole listener.
    pub(super) permits: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
}

impl AcceptLoop {
    /// Accepts until shutdown, then waits for the connections to end and cuts off the ones that do not in time. Returns
    /// how many those were.
    pub(super) async fn run(self) -> usize {
        let mut tasks = JoinSet::new();
        let shutdown = self.shutdown.clone();
        // Not the tasks but only the waiting is dropped at shutdown.
        shutdown.run_until_cancelled(self.accept_all(&mut tasks)).await;
        let deadline = self.connections.settings().drain_deadline;
        // From here on the kernel refuses connections to this socket.
        drop(self);
        drain(tasks, deadline).await
    }

    async fn accept_all(&self, tasks: &mut JoinSet<()>) {
        let mut pause = PAUSE_MIN;
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(ended) = tasks.join_next() => {
                    report(ended);
                    continue;
                }
            };
            match accepted {
                Ok((socket, remote)) => {
                    pause = PAUSE_MIN;
                    self.admit(socket, remote, tasks).await;
                }
                Err(error) if concerns_one_connection(&error) => {}
                // No descriptors or no memory: the connection stays in the backlog, and trying again at once would
                // only burn the processor.
                Err(error) => {
                    tracing::warn!(%error, ?pause, "cannot accept connections");
                    add(&self.connections.metrics().accept_errors, 1);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Serves the connection, or closes it if there are as many as may be and none of them ends in time. Meanwhile this
    /// loop accepts no other: the kernel's backlog is where connections wait.
    async fn admit(&self, socket: TcpStream, remote: SocketAddr, tasks: &mut JoinSet<()>) {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let deadline = self.connections.settings().admission_deadline;
        let Ok(Ok(permit)) = timeout(deadline, permit).await else {
            tracing::debug!(%remote, "connection refused: the cap is reached");
            add(&self.connections.metrics().connections_refused, 1);
            return;
        };
        tasks.spawn(serve(
            Arc::clone(&self.connections),
            socket,
            remote,
            self.identity.clone(),
            // A child has a lock of its own, so connections do not contend for the parent's each time they wake.
            self.shutdown.child_token(),
            permit,
        ));
    }
}

async fn serve(
    connections: Arc<Connections>,
    socket: TcpStream,
    remote: SocketAddr,
    identity: Option<Arc<TlsIdentity>>,
    shutdown: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    connections.serve(socket, remote, identity, shutdown).await;
}

pub(super) async fn drain(mut tasks: JoinSet<()>, deadline: Duration) -> usize {
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if timeout(deadline, all_ended).await.is_ok() {
        return 0;
    }
    let cut_off = tasks.len();
    tasks.shutdown().await;
    cut_off
}

/// A panic that no request caught ends its connection and nothing else.
pub(super) fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of a connection died");
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}

const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
