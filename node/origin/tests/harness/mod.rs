//! Origins that say exactly what a test has them say, byte by byte, and what is asked of them.

#![expect(dead_code, reason = "each test file uses some of it")]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use ncore_origin::{
    AddressPolicy, OriginBody, OriginError, OriginUrl, Origins, OriginsSettings, RequestBody, Resolve, ResolveError, SetSettings, Timeouts,
};
use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Longer than anything takes that is meant to happen, on a machine that is busy.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long what is meant to time out is given.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// An origin that speaks by a script.
pub(crate) struct RawOrigin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// The heads of the requests that it read by [`read_head`], if its script notes them.
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl RawOrigin {
    /// An origin that does this with each connection, counted from 0.
    pub(crate) async fn start<F, S>(script: F) -> Self
    where
        F: Fn(usize, TcpStream, Arc<Mutex<Vec<String>>>) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (accepted, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, noted) = (Arc::clone(&accepted), Arc::clone(&heads));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let index = counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(index, stream, Arc::clone(&noted)));
            }
        });
        Self { address, accepted, heads, task: task.abort_handle() }
    }

    /// An origin that answers each request with these bytes, and keeps the connection.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |_, mut stream, heads| {
            let answer = Arc::clone(&answer);
            async move {
                while let Some(head) = read_head(&mut stream).await {
                    heads.lock().push(head);
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// An origin that answers the first request of each connection with these bytes, then stands still and keeps it open.
    pub(crate) async fn stalling_after(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |_, mut stream, _| {
            let answer = Arc::clone(&answer);
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                read_to_end(&mut stream).await;
            }
        })
        .await
    }

    /// An origin that answers the first request of each connection with these bytes, and ends the connection.
    pub(crate) async fn closing_after(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |_, mut stream, _| {
            let answer = Arc::clone(&answer);
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// How many connections came so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> OriginUrl {
        format!("http://{}", self.address).parse().expect("a URL")
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of the next request, or nothing if the connection ends before.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).expect("a head of text"))
}

/// Reads until the other side ends the connection.
pub(crate) async fn read_to_end<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut sink = Vec::new();
    let _ = stream.read_to_end(&mut sink).await;
}

/// Ends a connection with a reset rather than an orderly end.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("the option");
    drop(stream);
}

/// Names and their addresses, as a test has them.
#[derive(Default)]
pub(crate) struct Names(pub(crate) Mutex<HashMap<String, Vec<IpAddr>>>);

impl Names {
    /// From now on a name has these addresses.
    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        self.0.lock().insert(name.to_owned(), addresses);
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        let found = self.0.lock().get(name).cloned();
        Box::pin(async move { found.ok_or_else(|| ResolveError::Failed("no such name".into())) })
    }
}

/// Settings of this machine: nothing but loopback may be dialled beside the internet, and no authority is trusted.
pub(crate) fn settings(names: &Arc<Names>) -> OriginsSettings {
    OriginsSettings {
        connections: 64,
        addresses: AddressPolicy::allowing(["127.0.0.1/32".parse().expect("a network")]),
        resolver: Arc::<Names>::clone(names),
        authorities: RootCertStore::empty(),
        timeouts: Timeouts::default(),
    }
}

/// Origins with no names.
pub(crate) fn origins() -> Origins {
    Origins::new(settings(&Arc::default()))
}

/// Settings of a set in which nothing times out by itself.
pub(crate) fn patient(url: OriginUrl) -> SetSettings {
    let mut settings = SetSettings::of(url);
    settings.timeouts = Timeouts { connect: LONG, tls: LONG, head: LONG, idle: LONG, queue: LONG, keep: LONG };
    settings
}

/// A request for a path.
pub(crate) fn get(path: &str) -> Request<RequestBody> {
    Request::builder().uri(path).body(RequestBody::empty()).expect("a request")
}

/// The whole body of a response.
pub(crate) async fn whole(response: Response<OriginBody>) -> Result<Bytes, OriginError> {
    response.into_body().collect().await.map(http_body_util::Collected::to_bytes)
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(LONG, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "it never came about that {what}");
}

/// How many tasks there are.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
