//! A node of the data plane alone: a catalog in a map, slices from known bytes, and an API that does what its path says.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Response;
use http_body_util::{BodyExt, Full};
use ncore_cache::content_coding::Coding;
use ncore_serving::{
    Absent, AcceptLoopDied, Admission, ApiRequest, ApiResponse, ApiService, AssetEntry, AssetFacts, AssetServer, BlobHash, BoxError,
    Catalog, CodedContent, Drained, Endpoints, HttpsEndpoint, Listener, ListenerSettings, LoadedSlice, Lookup, PeerInfo, Readers, Refused,
    RefusedReason, RequestBodyError, RequestId, Router, SLICE_BYTES, ServingMetrics, SliceError, SliceSource, Slices, TlsIdentity,
    Variants, ViewAge, Visit,
};
use ncore_telemetry::{AccessLog, Usage};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const MODIFIED_S: u64 = 784_111_777;

/// The longest that any condition is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of which no two slices are alike.
pub(crate) fn bytes(length: usize) -> Bytes {
    (0..length as u64).map(|at| at.wrapping_mul(0x9e37_79b9).to_le_bytes()[2]).collect()
}

/// How the slices of an asset behave.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    /// In memory.
    Memory,
    /// On this node's disk.
    Disk,
    /// On a peer.
    Peer,
    /// Nowhere, from this slice on.
    LostFrom(u64),
    /// Corrupt everywhere.
    Corrupt,
    /// On disk; slices from this one on wait for [`World::open_gate`].
    GatedFrom(u64),
    /// The same slice again and again, in memory: for assets that are too large to be kept.
    Repeated,
}

struct Content {
    bytes: Bytes,
    kept: Kept,
}

/// All that the node's traits see.
#[derive(Default)]
pub(crate) struct World {
    assets: Mutex<HashMap<String, Arc<AssetEntry>>>,
    contents: Mutex<HashMap<BlobHash, Arc<Content>>>,
    unavailable: Mutex<bool>,
    fence: Mutex<Option<Fence>>,
    loads: AtomicU64,
    gate: Arc<Gate>,
    /// What the client `cl_a` uses, whose assets these are.
    pub(crate) usage: Usage,
    variants: Mutex<HashMap<(BlobHash, Coding), Arc<AssetEntry>>>,
    wishes: Mutex<Vec<Coding>>,
}

/// What a node does that has lost touch with the cluster.
#[derive(Clone, Copy)]
pub(crate) enum Fence {
    Serves,
    Refuses,
}

struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl World {
    pub(crate) fn put(&self, path: &str, bytes: &Bytes, kept: Kept) -> Arc<AssetEntry> {
        self.put_sized(path, bytes, bytes.len() as u64, kept)
    }

    /// `size` differs from the length of `bytes` for [`Kept::Repeated`] only.
    pub(crate) fn put_sized(&self, path: &str, bytes: &Bytes, size: u64, kept: Kept) -> Arc<AssetEntry> {
        let mut contents = self.contents.lock().expect("no panic");
        let mut blob = BlobHash([0; 32]);
        blob.0[0] = u8::try_from(contents.len()).expect("few");
        let entry = AssetEntry::new(AssetFacts {
            id: format!("as_{path}"),
            path: path.to_owned(),
            client: "cl_1".to_owned(),
            readers: if path.starts_with("restricted/") || path.starts_with("secret/") { Readers::Admitted } else { Readers::All },
            blob,
            size,
            sha256: Sha256::digest(bytes).into(),
            mime: if path.starts_with("text/") { "text/plain" } else { "video/webm" }.to_owned(),
            cache_ttl_s: 3_600,
            modified_at_s: MODIFIED_S,
            revision: (1, 42),
        });
        let entry = Arc::new(entry.metered(self.usage.meter("cl_a")));
        let bytes = bytes.clone();
        contents.insert(blob, Arc::new(Content { bytes, kept }));
        let mut assets = self.assets.lock().expect("no panic");
        assets.insert(path.to_owned(), Arc::clone(&entry));
        entry
    }

    /// Puts what stands for the asset in a coding.
    pub(crate) fn put_variant(&self, asset: &AssetEntry, coding: Coding, bytes: &Bytes, kept: Kept) -> Arc<AssetEntry> {
        let mut contents = self.contents.lock().expect("no panic");
        let mut blob = BlobHash([0; 32]);
        blob.0[0] = u8::try_from(contents.len()).expect("few");
        contents.insert(blob, Arc::new(Content { bytes: bytes.clone(), kept }));
        let content = CodedContent { coding, blob, size: bytes.len() as u64, sha256: Sha256::digest(bytes).into() };
        let variant = Arc::new(asset.coded(&content));
        self.variants.lock().expect("no panic").insert((asset.blob(), coding), Arc::clone(&variant));
        variant
    }

    /// What was asked to be made since the last call.
    pub(crate) fn wishes(&self) -> Vec<Coding> {
        std::mem::take(&mut self.wishes.lock().expect("no panic"))
    }

    pub(crate) fn close_view(&self) {
        *self.unavailable.lock().expect("no panic") = true;
    }

    pub(crate) fn fence(&self, fence: Option<Fence>) {
        *self.fence.lock().expect("no panic") = fence;
    }

    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    pub(crate) fn open_gate(&self) {
        self.gate.0.close();
    }

    fn content(&self, entry: &AssetEntry) -> Arc<Content> {
        let contents = self.contents.lock().expect("no panic");
        Arc::clone(&contents[&entry.blob()])
    }
}

impl Content {
    fn slice(&self, entry: &AssetEntry, slice: u64) -> Bytes {
        let length = usize::try_from(entry.slice_bytes(slice)).expect("1 MiB");
        let start = match self.kept {
            Kept::Repeated => 0,
            _ => usize::try_from(slice * SLICE_BYTES).expect("small"),
        };
        self.bytes.slice(start..start + length)
    }
}

impl Catalog for World {
    fn lookup(&self, path: &str) -> Lookup {
        if *self.unavailable.lock().expect("no panic") {
            return Lookup::Unavailable;
        }
        let age = match *self.fence.lock().expect("no panic") {
            None => ViewAge::Current,
            Some(Fence::Serves) => ViewAge::Stale,
            Some(Fence::Refuses) => return Lookup::Fenced,
        };
        assert_ne!(path, "panic", "a catalog that panics");
        match self.assets.lock().expect("no panic").get(path) {
            Some(entry) => Lookup::Found(Arc::clone(entry), age),
            None => Lookup::NotFound(age),
        }
    }

    fn host_owner(&self, host: &str) -> Option<Arc<str>> {
        match host {
            "one.test" => Some("cl_1".into()),
            "two.test" => Some("cl_2".into()),
            _ => None,
        }
    }
}

/// Lets in whoever says `Bearer let-me-in`, or `?let-me-in`.
impl Admission for World {
    fn admit(&self, visit: Visit) -> BoxFuture<'static, Result<(), Refused>> {
        let shown = visit.authorization.first().map(|value| value == "Bearer let-me-in");
        let is_signed = visit.query.as_deref() == Some("let-me-in");
        let refused =
            |reason, detail: &str| Refused { reason, detail: detail.to_owned(), challenge: Some("Bearer realm=\"test\"".to_owned()) };
        let answer = match shown {
            Some(true) => Ok(()),
            Some(false) => Err(refused(RefusedReason::TokenInvalid, "not that")),
            None if is_signed => Ok(()),
            None => Err(refused(RefusedReason::TokenMissing, "show something")),
        };
        Box::pin(async move { answer })
    }
}

impl Variants for World {
    fn find(&self, entry: &Arc<AssetEntry>, coding: Coding, absent: Absent) -> Option<Arc<AssetEntry>> {
        let found = self.variants.lock().expect("no panic").get(&(entry.blob(), coding)).cloned();
        if found.is_none() && absent == Absent::Make {
            self.wishes.lock().expect("no panic").push(coding);
        }
        found
    }
}

impl Slices for World {
    fn cached(&self, entry: &AssetEntry, slice: u64) -> Option<Bytes> {
        let content = self.content(entry);
        matches!(content.kept, Kept::Memory | Kept::Repeated).then(|| content.slice(entry, slice))
    }

    fn load(&self, entry: Arc<AssetEntry>, slice: u64) -> BoxFuture<'static, Result<LoadedSlice, SliceError>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let content = self.content(&entry);
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let source = match content.kept {
                Kept::Memory | Kept::Repeated => SliceSource::Memory,
                Kept::Peer => SliceSource::Peer,
                Kept::Corrupt => return Err(SliceError::Corrupt("bad hash".into())),
                Kept::LostFrom(first) if slice >= first => {
                    return Err(SliceError::Unreachable("no peer answers".into()));
                }
                Kept::GatedFrom(first) if slice >= first => {
                    // Acquiring fails when the gate is opened.
                    let _ = gate.0.acquire().await;
                    SliceSource::Disk
                }
                Kept::Disk | Kept::LostFrom(_) | Kept::GatedFrom(_) => SliceSource::Disk,
            };
            let bytes = content.slice(&entry, slice);
            Ok(LoadedSlice { bytes, source })
        })
    }
}

/// Answers `/panic` with a panic, `/echo` with what it was told of the request, `/stream` with two frames, `/hops` with fields about the
/// connection, `/dies` with a body that panics, `/trailers` with trailers, `/no-content` with none, `/deaf` never and without reading,
/// and anything else with the length of the request's body.
#[derive(Default)]
struct Api {
    /// How many wait at `/deaf`.
    waiting: Arc<AtomicU64>,
}

/// Counts one who waits.
struct Waiting(Arc<AtomicU64>);

impl Waiting {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ApiService for Api {
    fn call(&self, request: ApiRequest, peer: PeerInfo) -> BoxFuture<'static, ApiResponse> {
        let waiting = Arc::clone(&self.waiting);
        Box::pin(async move {
            match request.uri().path() {
                "/panic" => panic!("as asked"),
                "/echo" => {
                    let id = request.extensions().get::<RequestId>().expect("an id");
                    let text = format!("{id} {} {}", peer.secure, peer.remote.ip());
                    Response::new(full(text))
                }
                "/stream" => {
                    let frames = ["one ", "two"].map(|text| Ok(frame(text)));
                    let frames = futures_util::stream::iter(frames);
                    Response::new(http_body_util::StreamBody::new(frames).boxed_unsync())
                }
                "/broken" => {
                    let frames = [Ok(frame("one")), Err(BoxError::from("broken"))];
                    let frames = futures_util::stream::iter(frames);
                    Response::new(http_body_util::StreamBody::new(frames).boxed_unsync())
                }
                "/hops" => {
                    let mut response = Response::new(full("hops".to_owned()));
                    for (name, value) in HOPS {
                        response.headers_mut().insert(name, value.parse().expect("a value"));
                    }
                    response
                }
                "/dies" => {
                    let frames = (0..2).map(|at| if at == 0 { Ok(frame("one")) } else { panic!("as asked") });
                    let frames = futures_util::stream::iter(frames);
                    Response::new(http_body_util::StreamBody::new(frames).boxed_unsync())
                }
                "/trailers" => {
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("x-after", "all".parse().expect("a value"));
                    let frames = futures_util::stream::iter([Ok(frame("one")), Ok(http_body::Frame::trailers(trailers))]);
                    Response::new(http_body_util::StreamBody::new(frames).boxed_unsync())
                }
                "/no-content" => {
                    let mut response = Response::new(full("nobody may see it".to_owned()));
                    *response.status_mut() = http::StatusCode::NO_CONTENT;
                    response
                }
                "/deaf" => {
                    let _waiting = Waiting::new(&waiting);
                    std::future::pending().await
                }
                _ => receive(request).await,
            }
        })
    }
}

/// Fields about a connection, and one that `Connection` says is.
pub(crate) const HOPS: [(&str, &str); 6] = [
    ("connection", "x-hop"),
    ("x-hop", "1"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "close"),
    ("upgrade", "h2c"),
    ("te", "gzip"),
];

fn frame(text: &'static str) -> http_body::Frame<Bytes> {
    http_body::Frame::data(Bytes::from_static(text.as_bytes()))
}

async fn receive(request: ApiRequest) -> ApiResponse {
    match request.into_body().collect().await {
        Ok(body) => Response::new(full(format!("{} bytes", body.to_bytes().len()))),
        Err(error) => {
            let mut response = Response::new(full(error.to_string()));
            *response.status_mut() = match error {
                RequestBodyError::Stalled(_) => http::StatusCode::REQUEST_TIMEOUT,
                RequestBodyError::Broken(_) => http::StatusCode::BAD_REQUEST,
            };
            response
        }
    }
}

fn full(text: String) -> ncore_serving::ApiBody {
    let full = Full::new(Bytes::from(text));
    full.map_err(|never| match never {}).boxed_unsync()
}

/// The node under test. It stops when it is dropped.
pub(crate) struct Node {
    pub(crate) world: Arc<World>,
    pub(crate) metrics: Arc<ServingMetrics>,
    pub(crate) log: Arc<AccessLog>,
    /// How many requests wait for an answer that never comes.
    pub(crate) waiting: Arc<AtomicU64>,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) identity: Arc<TlsIdentity>,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) shutdown: CancellationToken,
    serving: JoinHandle<Result<Drained, AcceptLoopDied>>,
}

impl Node {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(adjust: impl FnOnce(&mut ListenerSettings)) -> Self {
        Self::start_at(ANY, adjust)
    }

    /// A node that listens at `https`.
    pub(crate) fn start_at(https: SocketAddr, adjust: impl FnOnce(&mut ListenerSettings)) -> Self {
        let (certificate, key) = certify();
        let identity = TlsIdentity::new(vec![certificate.clone()], key).expect("usable");
        Self::start_as(https, Arc::new(identity), certificate, adjust)
    }

    /// A node with certificates of its own, which clients do not know.
    pub(crate) fn with_identity(identity: Arc<TlsIdentity>) -> Self {
        Self::start_as(ANY, identity, certify().0, |_| {})
    }

    fn start_as(
        https: SocketAddr,
        identity: Arc<TlsIdentity>,
        certificate: CertificateDer<'static>,
        adjust: impl FnOnce(&mut ListenerSettings),
    ) -> Self {
        let mut settings = ListenerSettings { accept_loops: NonZeroUsize::new(2).expect("not zero"), ..ListenerSettings::default() };
        adjust(&mut settings);
        let https = HttpsEndpoint { addr: https, identity: Arc::clone(&identity) };
        let endpoints = Endpoints { http: ANY, https: Some(https) };
        let listener = Listener::bind(endpoints, settings).expect("bound");
        let (http, https) = (listener.http_addr(), listener.https_addr());

        let world = Arc::<World>::default();
        let metrics = Arc::<ServingMetrics>::default();
        let assets = AssetServer::new(
            Arc::clone(&world) as _,
            Arc::clone(&world) as _,
            Arc::clone(&world) as _,
            Arc::clone(&world) as _,
            "eu-ams-1",
            PATIENCE,
            Arc::clone(&metrics),
        );
        let log = Arc::new(AccessLog::new(100));
        let api = Api::default();
        let waiting = Arc::clone(&api.waiting);
        let router = Arc::new(Router::new(assets, Arc::new(api)).recording(Arc::clone(&log)));
        let shutdown = CancellationToken::new();
        let serving = listener.serve(router, shutdown.clone());
        Self {
            world,
            metrics,
            log,
            waiting,
            http,
            https: https.expect("asked for"),
            identity,
            certificate,
            shutdown,
            serving: tokio::spawn(serving),
        }
    }

    /// Waits until serving has ended.
    pub(crate) async fn ended(&mut self) -> Drained {
        let ended = tokio::time::timeout(PATIENCE, &mut self.serving).await;
        ended.expect("in time").expect("no panic").expect("no loop died")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.serving.abort();
    }
}

/// A free port.
const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A certificate for `localhost`, and its key.
pub(crate) fn certify() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    (made.cert.der().clone(), key.into())
}

/// Waits for `condition`, which nothing announces.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let met = tokio::time::timeout(PATIENCE, met).await;
    met.unwrap_or_else(|_| panic!("not in time: {what}"));
}
