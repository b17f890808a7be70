//! A TCP proxy in user space: one listener, one target, two flows.
//!
//! It treats connections the way a network between the ends would. What one end sends reaches the other when its flow
//! lets it, the end of the stream and a reset included: an end that is cut off does not learn that the other one
//! died. TLS and HTTP are opaque to it.

use super::door::Door;
use super::flow::Flow;
use bytes::{Buf as _, BytesMut};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// A running proxy; dropping it closes the listener and leaves connections to the runtime.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    task: AbortHandle,
}

/// Where a proxy leads, and what governs it on the way.
#[derive(Debug, Clone)]
pub struct Route {
    /// The address that is dialled for each connection accepted.
    pub target: SocketAddr,
    /// From the end that connects to the target.
    pub forth: Arc<Flow>,
    /// From the target to the end that connects.
    pub back: Arc<Flow>,
    /// Whether there can be connections.
    pub door: Arc<Door>,
    /// Whether a connection is opened only once the way back is open, as a handshake of TCP demands. Without that,
    /// requests get through while answers are held.
    pub handshake: bool,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and serves it on `runtime`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn open(runtime: &Handle, route: Route) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let task = runtime.spawn(accept(listener, route)).abort_handle();
        Ok(Self { addr, task })
    }

    /// Where to connect.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, route: Route) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                tokio::spawn(serve(near, route.clone()));
            }
            // Out of descriptors, or the peer gave up: the next one may do better.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(near: TcpStream, route: Route) {
    let mut watch = route.door.watch();
    let mut ends = Ends { near, far: None, settled: false };
    if !route.door.is_open() {
        return;
    }
    tokio::select! {
        settled = connect_and_carry(&mut ends, &route) => ends.settled = settled.unwrap_or(false),
        () = watch.shut() => {}
    }
}

/// Both connections of one passage. They are reset, and not closed, unless both ends finished in peace.
struct Ends {
    near: TcpStream,
    far: Option<TcpStream>,
    settled: bool,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if !self.settled {
            // Closing then sends RST. Where that fails the end sees an ordinary close, which breaks it as well.
            let _ = self.near.set_zero_linger();
            let _ = self.far.as_ref().map(TcpStream::set_zero_linger);
        }
    }
}

/// Carries one connection until both ends have closed it (true) or one has broken it (false).
async fn connect_and_carry(ends: &mut Ends, route: &Route) -> io::Result<bool> {
    route.forth.opened().await;
    tokio::time::sleep(route.forth.settings().delay).await;
    if route.handshake {
        route.back.opened().await;
    }
    let connected = TcpStream::connect(route.target).await;
    tokio::time::sleep(route.back.settings().delay).await;
    if connected.is_err() {
        route.back.opened().await;
    }
    let far = ends.far.insert(connected?);
    // Fails where an end is gone already. Who learns of that, and when, is decided below.
    let _ = (ends.near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = ends.near.split();
    let (far_read, far_write) = far.split();
    let carried =
        tokio::try_join!(carry(near_read, far_write, &route.forth, &route.back), carry(far_read, near_write, &route.back, &route.forth),);
    Ok(carried.is_ok())
}

/// Moves bytes in one direction until the sender finished. `reverse` is the flow by which the sender would learn
/// that the receiver is gone.
async fn carry(read: ReadHalf<'_>, write: WriteHalf<'_>, flow: &Flow, reverse: &Flow) -> Result<(), Broken> {
    let (send, receive) = mpsc::channel(IN_FLIGHT);
    let departing = async {
        depart(read, send, flow).await;
        std::future::pending::<()>().await;
    };
    let delivered = tokio::select! {
        delivered = deliver(receive, write, flow) => delivered,
        () = departing => Ok(()),
    };
    if let Err(Broken::ReceiverGone) = delivered {
        reverse.opened().await;
    }
    delivered
}

/// Why a connection broke.
#[derive(Debug)]
enum Broken {
    /// The sender's end broke, and the news has arrived.
    BySender,
    /// What was sent cannot be handed over.
    ReceiverGone,
}

/// What travels through a flow.
enum Parcel<'a> {
    Bytes(Load<'a>),
    /// The sender has finished.
    End,
    /// The sender's connection broke.
    Break,
}

/// Bytes that have departed and not arrived. The flow counts them as held until they arrive or are dropped.
struct Load<'a> {
    bytes: BytesMut,
    flow: &'a Flow,
}

impl<'a> Load<'a> {
    fn new(bytes: BytesMut, flow: &'a Flow) -> Self {
        flow.departed(bytes.len());
        Self { bytes, flow }
    }

    fn arrived(&mut self, length: usize) {
        self.bytes.advance(length);
        self.flow.arrived(length);
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.flow.lost(self.bytes.len());
    }
}

/// Takes what the sender sends.
async fn depart<'a>(mut read: ReadHalf<'_>, send: mpsc::Sender<(Instant, Parcel<'a>)>, flow: &'a Flow) {
    loop {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let parcel = match read.read_buf(&mut buffer).await {
            Ok(0) => Parcel::End,
            Ok(_) => Parcel::Bytes(Load::new(buffer, flow)),
            Err(_) => Parcel::Break,
        };
        let last = !matches!(parcel, Parcel::Bytes(_));
        let due = Instant::now() + flow.settings().delay;
        if send.send((due, parcel)).await.is_err() || last {
            return;
        }
    }
}

/// Hands over what has arrived.
async fn deliver(mut receive: mpsc::Receiver<(Instant, Parcel<'_>)>, mut write: WriteHalf<'_>, flow: &Flow) -> Result<(), Broken> {
    while let Some((due, parcel)) = receive.recv().await {
        tokio::time::sleep_until(due).await;
        flow.opened().await;
        match parcel {
            Parcel::Bytes(load) => hand_over(load, &mut write).await?,
            Parcel::End => return write.shutdown().await.map_err(|_| Broken::ReceiverGone),
            Parcel::Break => return Err(Broken::BySender),
        }
    }
    Ok(())
}

async fn hand_over(mut load: Load<'_>, write: &mut WriteHalf<'_>) -> Result<(), Broken> {
    let flow = load.flow;
    flow.damage(&mut load.bytes);
    while !load.bytes.is_empty() {
        let mut length = load.bytes.len();
        if let Some(rate) = flow.settings().rate {
            // About twenty pieces a second.
            length = length.min(usize::try_from(rate.get() / 20 + 1).unwrap_or(CHUNK));
            tokio::time::sleep(Duration::from_secs_f64(length as f64 / rate.get() as f64)).await;
        }
        write.write_all(&load.bytes[..length]).await.map_err(|_| Broken::ReceiverGone)?;
        load.arrived(length);
    }
    Ok(())
}

const CHUNK: usize = 64 << 10;
/// Chunks under way in one direction of a connection: 4 MiB, then the sender has to wait.
const IN_FLIGHT: usize = 64;
