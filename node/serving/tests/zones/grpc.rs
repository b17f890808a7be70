//! gRPC through a zone: a real client, a real server, and a node between them. HTTP/2 on both sides.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use ncore_origin::{FixedHost, HostField, SetSettings, TlsSettings};
use ncore_proto::{
    hub::v1::{
        Down, Follow, Pong, Up, down,
        hub_client::HubClient,
        hub_server::{Hub, HubServer},
        up,
    },
    limits::v1::{
        Grant, TakeReply, TakeRequest,
        limits_client::LimitsClient,
        limits_server::{Limits, LimitsServer},
    },
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tonic::{
    Code, Request, Response, Status, Streaming,
    transport::{Channel, Endpoint, Server},
};

use crate::{
    secure,
    site::{PATIENCE, Site},
};

/// What the origin is called.
const NAME: &str = "origin.test";

/// Answers pings as they come, and asks for nothing else.
struct Echo;

#[tonic::async_trait]
impl Hub for Echo {
    type SyncStream = Pin<Box<dyn Stream<Item = Result<Down, Status>> + Send>>;

    async fn sync(&self, request: Request<Streaming<Up>>) -> Result<Response<Self::SyncStream>, Status> {
        let told = request.into_inner().map(|up| match up?.message {
            Some(up::Message::Ping(ping)) => Ok(Down { message: Some(down::Message::Pong(Pong { seq: ping.seq, ..Pong::default() })) }),
            _ => Err(Status::aborted("no ping")),
        });
        Ok(Response::new(Box::pin(told)))
    }
}

#[tonic::async_trait]
impl Limits for Echo {
    async fn take(&self, request: Request<TakeRequest>) -> Result<Response<TakeReply>, Status> {
        let te = request.metadata().get("te").map(|te| te.to_str().unwrap_or_default().to_owned());
        if te.as_deref() != Some("trailers") {
            return Err(Status::internal(format!("te is {te:?}")));
        }
        match request.into_inner().node_id {
            0 => Err(Status::failed_precondition("nobody")),
            node => Ok(Response::new(TakeReply { grants: vec![Grant { granted: u32::try_from(node).unwrap_or(0), ..Grant::default() }] })),
        }
    }
}

/// A server of gRPC over TLS, and the certificate that it shows.
async fn origin() -> (SocketAddr, CertificateDer<'static>) {
    let (certificate, key) = secure::certify(NAME);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).expect("usable");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = listener.local_addr().expect("bound");
    let incoming = futures_util::stream::unfold(listener, move |listener| {
        let acceptor = acceptor.clone();
        async move {
            loop {
                let (socket, _) = listener.accept().await.ok()?;
                if let Ok(stream) = acceptor.accept(socket).await {
                    return Some((Ok::<_, std::io::Error>(stream), listener));
                }
            }
        }
    });
    let server = Server::builder().add_service(HubServer::new(Echo)).add_service(LimitsServer::new(Echo));
    tokio::spawn(server.serve_with_incoming(incoming));
    (addr, certificate)
}

/// A client of the zone, over HTTP/2 and TLS.
async fn channel(https: SocketAddr, root: CertificateDer<'static>) -> Channel {
    let connector = secure::connector(root);
    let connector = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let name = ServerName::try_from("zone.test").expect("a name");
            connector.connect(name, TcpStream::connect(https).await?).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("https://zone.test").connect_with_connector(connector).await.expect("connected")
}

async fn site() -> (Site, Channel) {
    let (addr, authority) = origin().await;
    let (identity, certificate) = secure::identity("zone.test");
    let settings = |_: &_| {
        let url = format!("https://{addr}").parse().expect("an address");
        let tls = TlsSettings { authorities: vec![authority], ..TlsSettings::default() };
        SetSettings { tls, host: HostField::Fixed(FixedHost::new(NAME).expect("a name")), ..SetSettings::of(url) }
    };
    let site = Site::start_before(settings, Some(identity), |_| {}).await;
    let channel = channel(site.https.expect("asked for"), certificate).await;
    (site, channel)
}

#[tokio::test]
async fn calls_and_their_trailers() {
    let (site, channel) = site().await;
    let mut client = LimitsClient::new(channel);
    let reply = client.take(TakeRequest { node_id: 7, ..TakeRequest::default() }).await.expect("a reply").into_inner();
    assert_eq!(reply.grants[0].granted, 7);
    // The status is in the trailers.
    let refused = client.take(TakeRequest::default()).await.expect_err("nobody");
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "nobody"));
    let records = site.records(2).await;
    let zone = records[0].zone.as_deref().expect("of a zone");
    assert_eq!((zone.protocol.as_str(), zone.is_secure, records[0].cache.as_str()), ("HTTP/2", true, Some("BYPASS")));
}

/// Each answer comes before the next question is asked.
#[tokio::test]
async fn both_ways_at_once() {
    let (_site, channel) = site().await;
    let (ups, mut queue) = mpsc::channel::<Up>(1);
    let asked = futures_util::stream::poll_fn(move |cx| queue.poll_recv(cx));
    let mut told = HubClient::new(channel).sync(asked).await.expect("a stream").into_inner();
    for seq in 1..=3 {
        ups.send(Up { message: Some(up::Message::Ping(ncore_proto::hub::v1::Ping { seq })) }).await.expect("sent");
        let down = timeout(PATIENCE, told.message()).await.expect("in time").expect("a message").expect("not the end");
        assert!(matches!(down.message, Some(down::Message::Pong(Pong { seq: told, .. })) if told == seq), "{down:?}");
    }
    ups.send(Up { message: Some(up::Message::Follow(Follow::default())) }).await.expect("sent");
    let ended = timeout(PATIENCE, told.message()).await.expect("in time").expect_err("a status");
    assert_eq!((ended.code(), ended.message()), (Code::Aborted, "no ping"));
}
