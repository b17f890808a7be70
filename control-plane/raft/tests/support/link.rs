//! A TCP link that can be cut: one proxy for each direction in which nodes dial each other.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinHandle,
};

pub(crate) struct Link {
    pub(crate) port: u16,
    state: Arc<State>,
    /// `None` while the port is closed.
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    /// Where the far end listens; 0 while it does not.
    target: AtomicU16,
    up: AtomicBool,
    /// Bytes towards the dialling end after which the link is cut once; 0 for never.
    cut_after: AtomicU64,
    carried: AtomicU64,
    /// Bytes towards the dialled end.
    sent: AtomicU64,
    /// Counts the cuts; connections end when it changes.
    cuts: watch::Sender<u64>,
}

impl Link {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            target: AtomicU16::new(0),
            up: AtomicBool::new(true),
            cut_after: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            cuts: watch::Sender::new(0),
        });
        let accepting = Mutex::new(Some(tokio::spawn(accept(listener, Arc::clone(&state)))));
        Self { port, state, accepting }
    }

    /// Ends all connections and closes the port: who dials is refused until [`Self::reopen`].
    pub(crate) async fn close(&self) {
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Aborted, so the listener is gone.
            let _ = accepting.await;
        }
        self.cut();
    }

    pub(crate) async fn reopen(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        *self.accepting.lock() = Some(tokio::spawn(accept(listener, Arc::clone(&self.state))));
    }

    pub(crate) fn set_target(&self, port: u16) {
        self.state.target.store(port, Ordering::SeqCst);
    }

    /// Ends all connections; new ones pass.
    pub(crate) fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends all connections and lets none pass until [`Self::heal`].
    pub(crate) fn block(&self) {
        self.state.up.store(false, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn heal(&self) {
        self.state.up.store(true, Ordering::SeqCst);
    }

    /// Cuts the link once, after so many more bytes towards the dialling end.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.state.carried.store(0, Ordering::SeqCst);
        self.state.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Bytes that were sent to the dialled end so far.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// How often the link was cut.
    pub(crate) fn cuts(&self) -> u64 {
        *self.state.cuts.borrow()
    }
}

impl State {
    /// Counts bytes towards the dialling end, and cuts the link when there were enough.
    fn carry(&self, read: u64) {
        let carried = self.carried.fetch_add(read, Ordering::SeqCst) + read;
        let limit = self.cut_after.load(Ordering::SeqCst);
        if limit > 0 && carried > limit && self.cut_after.compare_exchange(limit, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.get_mut() {
            accepting.abort();
        }
        self.cut();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((near, _)) = listener.accept().await {
        let target = state.target.load(Ordering::SeqCst);
        if target == 0 || !state.up.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(carry(near, SocketAddr::from(([127, 0, 0, 1], target)), Arc::clone(&state)));
    }
}

async fn carry(near: TcpStream, target: SocketAddr, state: Arc<State>) {
    let mut cuts = state.cuts.subscribe();
    let Ok(far) = TcpStream::connect(target).await else { return };
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = copy(near_in, far_out, |read| _ = state.sent.fetch_add(read, Ordering::SeqCst)) => {}
        () = copy(far_in, near_out, |read| state.carry(read)) => {}
        _ = cuts.changed() => {}
    }
}

async fn copy(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, count: impl Fn(u64)) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut buffer).await
        && read > 0
        && to.write_all(&buffer[..read]).await.is_ok()
    {
        count(read as u64);
    }
}
