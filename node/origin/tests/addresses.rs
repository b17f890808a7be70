//! Which addresses are dialled: those that may be, at the moment of dialling.

mod harness;

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use harness::{Names, RawOrigin, SHORT, get, origins, patient, settings, whole};
use http::StatusCode;
use ncore_origin::{ErrorKind, Fault, OriginUrl, Origins, OriginsSettings, Resolve, ResolveError, SystemResolver};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

async fn refusal(origins: &Origins, url: &str) -> ErrorKind {
    let url: OriginUrl = url.parse().expect("a URL");
    let set = origins.set(&patient(url)).expect("a set");
    let error = origins.send(&set, get("/")).await.expect_err("refused");
    assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    error.kind()
}

#[tokio::test]
async fn addresses_in_urls_are_checked() {
    // Not even this machine's, unless the operator says so.
    let origin = RawOrigin::answering(OK).await;
    let names = Arc::<Names>::default();
    let strict = Origins::new(OriginsSettings { addresses: ncore_origin::AddressPolicy::default(), ..settings(&names) });
    assert_eq!(refusal(&strict, &origin.url().to_string()).await, ErrorKind::Refused);
    let port = origin.address.port();
    let origins = origins();
    for host in [
        "127.0.0.2",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.2]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::7f00:2]",
        "[fd00::1]",
        "[fe80::1]",
        "[ff02::1]",
    ] {
        assert_eq!(refusal(&origins, &format!("http://{host}:{port}")).await, ErrorKind::Refused, "{host}");
    }
    assert_eq!(origin.accepted(), 0);
}

#[tokio::test]
async fn addresses_of_names_are_checked_each_time() {
    let origin = RawOrigin::answering(OK).await;
    let names = Arc::<Names>::default();
    let origins = Origins::new(settings(&names));
    let url = format!("http://origin.example:{}", origin.address.port());
    let set = origins.set(&patient(url.parse().expect("a URL"))).expect("a set");

    names.set("origin.example", &["127.0.0.1"]);
    assert_eq!(whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body"), "ok");

    // The name moves to where it may not be, as it does when somebody tries to get in.
    for inside in ["127.0.0.2", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.2", "fd00::1"] {
        names.set("origin.example", &[inside]);
        let error = origins.send(&set, get("/")).await.expect_err("refused");
        assert_eq!((error.kind(), error.fault()), (ErrorKind::Refused, Fault::Policy), "{inside}");
    }
    assert_eq!(origin.accepted(), 1);

    // Of several addresses only those that may be are dialled.
    names.set("origin.example", &["10.0.0.1", "::1", "127.0.0.1", "169.254.169.254"]);
    assert_eq!(whole(origins.send(&set, get("/")).await.expect("a response")).await.expect("a body"), "ok");
    assert_eq!(origin.accepted(), 2);
    assert_eq!(origins.ejected(), 0, "a refusal says nothing about how well an origin is");
}

#[tokio::test]
async fn names_without_an_address_are_an_error() {
    let names = Arc::<Names>::default();
    let origins = Origins::new(settings(&names));
    assert_eq!(refusal(&origins, "http://nobody.example").await, ErrorKind::Unresolved);
    names.set("empty.example", &[]);
    assert_eq!(refusal(&origins, "http://empty.example").await, ErrorKind::Unresolved);
}

/// Never answers.
struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn looking_for_an_address_is_part_of_connecting_and_ends_with_it() {
    let names = Arc::<Names>::default();
    let origins = Origins::new(OriginsSettings { resolver: Arc::new(Silent), ..settings(&names) });
    let mut of_set = patient("http://origin.example".parse().expect("a URL"));
    of_set.timeouts.connect = SHORT;
    let set = origins.set(&of_set).expect("a set");
    let error = origins.send(&set, get("/")).await.expect_err("no address");
    assert_eq!((error.kind(), error.status()), (ErrorKind::ConnectTimeout, StatusCode::GATEWAY_TIMEOUT));
    assert_eq!(origins.connections(), 0);
}

#[tokio::test]
async fn the_resolver_of_the_system_answers() {
    match SystemResolver::new().resolve("localhost").await {
        Ok(addresses) => assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}"),
        // A machine that knows no name server.
        Err(ResolveError::NoServers) => {}
        Err(error) => panic!("{error:?}"),
    }
}
