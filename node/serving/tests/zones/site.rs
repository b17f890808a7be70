//! A zone in front of an origin, on a node that serves nothing else; and a viewer of it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use ncore_origin::{AddressPolicy, Origins, OriginsSettings, SetSettings};
use ncore_serving::{
    Absent, Admission, ApiRequest, ApiResponse, ApiService, AssetEntry, AssetServer, Catalog, Endpoints, HttpsEndpoint, Listener,
    ListenerSettings, LoadedSlice, Lookup, PeerInfo, Refused, Router, ServingMetrics, SliceError, Slices, TlsIdentity, Variants, ViewAge,
    Visit,
    zones::{TierLink, View, Zone, ZoneParts, ZoneServer, ZoneTable},
};
use ncore_store::cached::{Cached, CachedSettings};
use ncore_telemetry::{AccessLog, AccessQuery, AccessRecord, AccessWriter, Usage};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::origin::Origin;

/// The longest that anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The view of a node, as a test has it.
#[derive(Default)]
pub(crate) struct TestView {
    pub(crate) revision: AtomicU64,
    pub(crate) purge: AtomicU64,
    pub(crate) is_stale: AtomicBool,
}

impl View for TestView {
    fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    fn age(&self) -> ViewAge {
        if self.is_stale.load(Ordering::SeqCst) { ViewAge::Stale } else { ViewAge::Current }
    }

    fn newest_purge(&self, _: u64, _: &str) -> u64 {
        self.purge.load(Ordering::SeqCst)
    }
}

/// There is nothing but zones.
struct Nothing;

impl Catalog for Nothing {
    fn lookup(&self, _: &str) -> Lookup {
        Lookup::NotFound(ViewAge::Current)
    }

    fn host_owner(&self, _: &str) -> Option<Arc<str>> {
        None
    }
}

impl Admission for Nothing {
    fn admit(&self, _: Visit) -> BoxFuture<'static, Result<(), Refused>> {
        Box::pin(async { Ok(()) })
    }
}

impl Variants for Nothing {
    fn find(&self, _: &Arc<AssetEntry>, _: ncore_cache::content_coding::Coding, _: Absent) -> Option<Arc<AssetEntry>> {
        None
    }
}

impl Slices for Nothing {
    fn cached(&self, _: &AssetEntry, _: u64) -> Option<Bytes> {
        None
    }

    fn load(&self, _: Arc<AssetEntry>, _: u64) -> BoxFuture<'static, Result<LoadedSlice, SliceError>> {
        Box::pin(async { Err(SliceError::Busy) })
    }
}

impl ApiService for Nothing {
    fn call(&self, _: ApiRequest, _: PeerInfo) -> BoxFuture<'static, ApiResponse> {
        let body = Full::new(Bytes::from_static(b"the API")).map_err(|never| match never {}).boxed_unsync();
        Box::pin(async { Response::new(body) })
    }
}

/// The settings of a set that is this origin alone.
fn before(origin: &Origin) -> SetSettings {
    SetSettings::of(format!("http://{}", origin.addr).parse().expect("an address"))
}

/// A zone, its origin, and a node. It stops when it is dropped.
pub(crate) struct Site {
    pub(crate) origin: Arc<Origin>,
    pub(crate) view: Arc<TestView>,
    pub(crate) metrics: Arc<ServingMetrics>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) log: Arc<AccessLog>,
    pub(crate) addr: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    /// For other nodes, and for whoever asks why.
    pub(crate) zones: ZoneServer,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Zone)) -> Self {
        Self::start_keeping(CachedSettings::default().memory_bytes, adjust).await
    }

    /// Of a node that keeps no more than so many bytes.
    pub(crate) async fn start_keeping(memory_bytes: u64, adjust: impl FnOnce(&mut Zone)) -> Self {
        let origin = Arc::new(Origin::start().await);
        let settings = before(&origin);
        Self::build(origin, &settings, None, None, memory_bytes, adjust)
    }

    /// A node in front of an origin that others are in front of too.
    pub(crate) async fn beside(origin: Arc<Origin>, tiers: Option<Arc<dyn TierLink>>, adjust: impl FnOnce(&mut Zone)) -> Self {
        let settings = before(&origin);
        Self::build(origin, &settings, None, tiers, CachedSettings::default().memory_bytes, adjust)
    }

    /// A zone before these origins, on a node that also speaks TLS if it has an identity.
    pub(crate) async fn start_before(
        settings: impl FnOnce(&Origin) -> SetSettings,
        identity: Option<Arc<TlsIdentity>>,
        adjust: impl FnOnce(&mut Zone),
    ) -> Self {
        let origin = Arc::new(Origin::start().await);
        let settings = settings(&origin);
        Self::build(origin, &settings, identity, None, CachedSettings::default().memory_bytes, adjust)
    }

    fn build(
        origin: Arc<Origin>,
        settings: &SetSettings,
        identity: Option<Arc<TlsIdentity>>,
        tiers: Option<Arc<dyn TierLink>>,
        memory_bytes: u64,
        adjust: impl FnOnce(&mut Zone),
    ) -> Self {
        let loopback = AddressPolicy::allowing(["127.0.0.0/8".parse().expect("a network")]);
        let origins = Origins::new(OriginsSettings { addresses: loopback, ..OriginsSettings::of_system() });
        let set = origins.set(settings).expect("sensible settings");
        let usage = Arc::<Usage>::default();
        let mut zone = Zone::new(7, Uuid::from_u128(7), "cl_1".into(), vec!["zone.test".into()], set);
        zone.meter = usage.meter("cl_1");
        adjust(&mut zone);
        let metrics = Arc::<ServingMetrics>::default();
        let view = Arc::<TestView>::default();
        let zones = ZoneServer::new(ZoneParts {
            zones: Arc::new(ArcSwap::from_pointee(ZoneTable::new([Arc::new(zone)]))),
            view: Arc::clone(&view) as _,
            origins,
            cached: Cached::open(Path::new(""), CachedSettings { memory_bytes, disk_bytes: 0, ..CachedSettings::default() })
                .expect("in memory"),
            metrics: Arc::clone(&metrics),
            tiers,
        });
        let nothing = Arc::new(Nothing);
        let assets = AssetServer::new(
            Arc::clone(&nothing) as _,
            Arc::clone(&nothing) as _,
            Arc::clone(&nothing) as _,
            Arc::clone(&nothing) as _,
            "node",
            PATIENCE,
            Arc::clone(&metrics),
        );
        let log = Arc::new(AccessLog::new(1_000));
        let router = Arc::new(Router::new(assets, nothing).serving(zones.clone()).recording(Arc::clone(&log)));
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let endpoints = Endpoints { http: any, https: identity.map(|identity| HttpsEndpoint { addr: any, identity }) };
        let listener = Listener::bind(endpoints, ListenerSettings::default()).expect("bound");
        let (addr, https, shutdown) = (listener.http_addr(), listener.https_addr(), CancellationToken::new());
        let serving = listener.serve(router, shutdown.clone());
        let serving = tokio::spawn(async move {
            let _ = serving.await;
        });
        Self { origin, view, metrics, usage, log, addr, https, zones, shutdown, serving }
    }

    /// The records of the access log once there are so many, the oldest first.
    pub(crate) async fn records(&self, count: usize) -> Vec<AccessRecord> {
        let _writer = AccessWriter::start(Arc::clone(&self.log), None, "node").expect("a thread");
        let all = || self.log.find(&AccessQuery::default(), 1, 1_000);
        eventually("the records", || all().len() >= count).await;
        let mut records = all();
        records.sort_by_key(|record| record.number);
        assert_eq!(records.len(), count, "{records:?}");
        records
    }

    pub(crate) async fn get(&self, path: &str, fields: Fields<'_>) -> Answer {
        self.ask(Method::GET, path, fields).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, fields: Fields<'_>) -> Answer {
        let answer = async { Answer::read(self.send(method, path, fields).await).await };
        timeout(PATIENCE, answer).await.expect("in time")
    }

    /// The response, with its body yet to come.
    pub(crate) async fn send(&self, method: Method, path: &str, fields: Fields<'_>) -> Response<Incoming> {
        self.send_body(method, path, fields, Bytes::new()).await
    }

    pub(crate) async fn send_body(&self, method: Method, path: &str, fields: Fields<'_>, body: Bytes) -> Response<Incoming> {
        let socket = TcpStream::connect(self.addr).await.expect("connected");
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.expect("sent");
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", "zone.test");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let sent = sender.send_request(request.body(Full::new(body)).expect("a request"));
        timeout(PATIENCE, sent).await.expect("in time").expect("a response")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.serving.abort();
    }
}

pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut whole) = (Vec::new(), true);
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else {
                whole = false;
                break;
            };
            body.extend_from_slice(frame.data_ref().expect("no trailers"));
        }
        Self { status: head.status, headers: head.headers, body: body.into(), whole }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn cache(&self) -> &str {
        self.header("x-cache")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// Waits for a condition that nothing announces.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
