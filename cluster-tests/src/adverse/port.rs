//! A port that takes connections, whatever is spoken over them, and knows how many are open.

use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A free port of this machine. It is gone, with its connections, when this is dropped.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    connections: Count,
    accepting: AbortHandle,
}

/// How many there are of something.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(Arc<AtomicUsize>);

/// One of them. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Count);

impl Port {
    /// Listens. `serve` is a connection from its beginning to its end.
    pub(super) async fn open<S>(serve: impl Fn(TcpStream) -> S + Send + 'static) -> Result<Self>
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen as an origin")?;
        let (address, connections) = (listener.local_addr()?, Count::default());
        let counted = connections.clone();
        let accepting = tokio::spawn(async move {
            // Aborted with this task: a set aborts what is in it when it is dropped.
            let mut serving = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                        let (one, connection) = (counted.one_more(), serve(socket));
                        serving.spawn(async move {
                            connection.await;
                            drop(one);
                        });
                    },
                    Some(_) = serving.join_next() => {}
                }
            }
        });
        Ok(Self { address, connections, accepting: accepting.abort_handle() })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open.
    pub(super) fn connections(&self) -> usize {
        self.connections.now()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Count {
    pub(super) fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn one_more(&self) -> Counted {
        self.0.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
