//! The one thread that calls fsync for the log.
//!
//! It takes everything that is queued, syncs once, and completes all of it: while the disk works on one sync, the next
//! group gathers. That is what carries tens of thousands of writes a second over a disk that does a few hundred syncs.
//!
//! After a failed sync nothing is ever synced again. What the kernel threw away is unknown, and a second fsync that
//! succeeds would prove nothing, so every request from then on fails and the node stops.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc as blocking,
    },
    thread,
    time::Duration,
};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::{
    fatal::{FatalCell, FatalReason},
    types::TypeConfig,
};

/// Makes durable what was written before the call. The seam at which tests let a disk fail.
pub(crate) trait DiskSync: Send + 'static {
    /// Blocking.
    fn sync(&self) -> io::Result<()>;
}

/// The sending half of the flusher's queue. The thread ends when the last half is dropped, and that waits until it has let go of the
/// disk: a database that a thread of its own still closes while the process ends brings the process down.
#[derive(Debug, Clone)]
pub(crate) struct Flusher {
    thread: Arc<FlusherThread>,
    syncs: Arc<AtomicU64>,
}

#[derive(Debug)]
struct FlusherThread {
    /// Always there but while the thread is told to end.
    queue: Option<mpsc::Sender<Request>>,
    /// Its other half is dropped last of all.
    ended: Mutex<blocking::Receiver<()>>,
}

enum Request {
    /// Entries were written; openraft wants to know when they are durable.
    Appended(IOFlushed<TypeConfig>),
    /// Somebody waits for all that was written so far.
    Barrier(oneshot::Sender<io::Result<()>>),
}

impl Flusher {
    /// Starts the thread.
    pub(crate) fn start(disk: impl DiskSync, fatal: FatalCell) -> io::Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let syncs = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&syncs);
        let (ending, ended) = blocking::channel::<()>();
        thread::Builder::new().name("raft-log-sync".to_owned()).spawn(move || {
            run(&disk, requests, &fatal, &counter);
            drop(disk);
            drop(ending);
        })?;
        Ok(Self { thread: Arc::new(FlusherThread { queue: Some(queue), ended: Mutex::new(ended) }), syncs })
    }

    /// How often the disk was told to sync.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Has `flushed` completed once everything written before is durable. Waits only while the queue is full.
    pub(crate) async fn appended(&self, flushed: IOFlushed<TypeConfig>) -> io::Result<()> {
        self.thread.send(Request::Appended(flushed)).await
    }

    /// Returns once everything written before is durable.
    pub(crate) async fn barrier(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.thread.send(Request::Barrier(done)).await?;
        wait.await.map_err(|_| stopped())?
    }
}

impl FlusherThread {
    async fn send(&self, request: Request) -> io::Result<()> {
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(request).await.map_err(|_| stopped())
    }
}

impl Drop for FlusherThread {
    fn drop(&mut self) {
        self.queue = None;
        // Nothing is ever sent. A disk that hangs is left alone.
        let _ = self.ended.lock().recv_timeout(LETS_GO_WITHIN);
    }
}

fn run(disk: &impl DiskSync, mut requests: mpsc::Receiver<Request>, fatal: &FatalCell, syncs: &AtomicU64) {
    let mut group = Vec::with_capacity(GROUP);
    let mut healthy = true;
    while requests.blocking_recv_many(&mut group, GROUP) > 0 {
        if healthy {
            syncs.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = disk.sync() {
                healthy = false;
                fatal.raise(FatalReason::LogSync(Arc::new(error)));
            }
        }
        for request in group.drain(..) {
            let result = if healthy { Ok(()) } else { Err(not_durable()) };
            match request {
                Request::Appended(flushed) => flushed.io_completed(result),
                Request::Barrier(done) => {
                    // Nobody waits any more: the caller was cancelled.
                    let _ = done.send(result);
                }
            }
        }
    }
}

fn not_durable() -> io::Error {
    io::Error::other("the log could not be made durable")
}

fn stopped() -> io::Error {
    io::Error::other("the log's flusher has stopped")
}

/// How long the last user waits for the thread to end.
const LETS_GO_WITHIN: Duration = Duration::from_secs(5);
/// Requests waiting at most. openraft has fewer appends under way.
const QUEUE: usize = 8192;
/// Requests completed by one sync at most.
const GROUP: usize = 4096;
