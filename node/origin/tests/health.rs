//! Origins that fail are left out, tried again, and brought back.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{LONG, RawOrigin, SHORT, get, origins, patient, read_head, until, whole};
use http::StatusCode;
use ncore_origin::{ActiveCheck, Answered, ErrorKind, OriginSet, OriginSettings, Origins, SetSettings};
use tokio::io::AsyncWriteExt;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno";

/// An origin that is well or not, as one says.
async fn switchable(bad: &'static [u8]) -> (RawOrigin, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&well);
    let origin = RawOrigin::start(move |_, mut stream, heads| {
        let asked = Arc::clone(&asked);
        async move {
            while let Some(head) = read_head(&mut stream).await {
                heads.lock().push(head);
                let answer = if asked.load(Ordering::SeqCst) { OK } else { bad };
                if answer.is_empty() || stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (origin, well)
}

/// A set of both, the second a backup, which leaves out after three failures.
fn pair(first: &RawOrigin, backup: &RawOrigin) -> SetSettings {
    let mut settings = patient(first.url());
    settings.origins.push(OriginSettings { backup: true, ..OriginSettings::new(backup.url()) });
    settings.health.failures = 3;
    settings.health.ejection = LONG;
    settings.health.ejection_most = LONG;
    settings
}

/// Who answers a request, if anybody does.
async fn ask(origins: &Origins, set: &Arc<OriginSet>) -> Result<String, ErrorKind> {
    let response = origins.send(set, get("/")).await.map_err(|error| error.kind())?;
    let name = response.extensions().get::<Answered>().expect("how").origin.to_string();
    whole(response).await.map_err(|error| error.kind())?;
    Ok(name)
}

#[tokio::test]
async fn an_origin_that_fails_again_and_again_is_left_out() {
    for bad in [&b""[..], b"garbage\r\n\r\n", BUSY] {
        let (first, _) = switchable(bad).await;
        let backup = RawOrigin::answering(OK).await;
        let origins = origins();
        let set = origins.set(&pair(&first, &backup)).expect("a set");
        for _ in 0..3 {
            assert_ne!(ask(&origins, &set).await, Ok(backup.address.to_string()), "the first is asked");
        }
        for _ in 0..20 {
            assert_eq!(ask(&origins, &set).await, Ok(backup.address.to_string()));
        }
        assert_eq!(first.heads.lock().len(), 3);
        assert_eq!((origins.ejected(), origins.figures().ejections.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(set.states().iter().map(|state| state.ejected).collect::<Vec<_>>(), [true, false]);
    }
}

#[tokio::test]
async fn bodies_that_break_count_as_failures() {
    let first = RawOrigin::closing_after("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let backup = RawOrigin::answering(OK).await;
    let origins = origins();
    let set = origins.set(&pair(&first, &backup)).expect("a set");
    for _ in 0..3 {
        assert_eq!(ask(&origins, &set).await, Err(ErrorKind::BodyShort));
    }
    assert_eq!(ask(&origins, &set).await, Ok(backup.address.to_string()));
}

#[tokio::test]
async fn one_that_was_left_out_is_tried_by_one_request_and_comes_back() {
    let (first, well) = switchable(b"").await;
    let backup = RawOrigin::answering(OK).await;
    let origins = origins();
    let mut settings = pair(&first, &backup);
    settings.health.ejection = SHORT;
    settings.health.ejection_most = SHORT;
    let set = origins.set(&settings).expect("a set");
    for _ in 0..3 {
        assert_eq!(ask(&origins, &set).await, Err(ErrorKind::Reset));
    }
    // Tried, and still not well: one request pays for it, and it is left out again.
    let mut failed = 0;
    while failed < 3 {
        match ask(&origins, &set).await {
            Ok(name) => assert_eq!(name, backup.address.to_string()),
            Err(kind) => {
                assert_eq!(kind, ErrorKind::Reset);
                failed += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    well.store(true, Ordering::SeqCst);
    let waited = tokio::time::timeout(LONG, async {
        while ask(&origins, &set).await != Ok(first.address.to_string()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it comes back");
    assert_eq!(origins.ejected(), 0);
    assert_eq!(ask(&origins, &set).await, Ok(first.address.to_string()));
}

#[tokio::test]
async fn when_all_are_left_out_one_is_asked_all_the_same() {
    let (first, well) = switchable(b"").await;
    let origins = origins();
    let mut settings = patient(first.url());
    settings.health.failures = 1;
    settings.health.ejection = LONG;
    settings.health.ejection_most = LONG;
    let set = origins.set(&settings).expect("a set");
    for _ in 0..5 {
        assert_eq!(ask(&origins, &set).await, Err(ErrorKind::Reset));
    }
    assert_eq!(first.heads.lock().len(), 5);
    well.store(true, Ordering::SeqCst);
    assert_eq!(ask(&origins, &set).await, Ok(first.address.to_string()));
    assert_eq!(origins.ejected(), 0, "an answer brings it back");
}

#[tokio::test]
async fn checks_leave_out_and_bring_back_and_end_with_the_set() {
    let (first, well) = switchable(BUSY).await;
    let backup = RawOrigin::answering(OK).await;
    let origins = origins();
    let mut settings = pair(&first, &backup);
    settings.health.check =
        Some(ActiveCheck { path: "/health?x".to_owned(), interval: Duration::from_millis(20), timeout: Duration::from_secs(20) });
    let set = origins.set(&settings).expect("a set");
    until("it is left out", || origins.ejected() == 1).await;
    assert_eq!(ask(&origins, &set).await, Ok(backup.address.to_string()));
    assert!(first.heads.lock()[0].starts_with("GET /health?x HTTP/1.1\r\n"));
    well.store(true, Ordering::SeqCst);
    until("it is brought back", || origins.ejected() == 0).await;
    assert_eq!(ask(&origins, &set).await, Ok(first.address.to_string()));
    drop(set);
    until("no connection is left", || origins.connections() == 0).await;
    let asked = first.heads.lock().len();
    tokio::time::sleep(SHORT).await;
    assert_eq!(first.heads.lock().len(), asked, "nobody asks any more");
}

#[tokio::test]
async fn what_viewers_do_says_nothing_about_an_origin() {
    let first = RawOrigin::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let origins = origins();
    let mut settings = patient(first.url());
    settings.health.failures = 1;
    let set = origins.set(&settings).expect("a set");
    for _ in 0..5 {
        let response = origins.send(&set, get("/")).await.expect("a response");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
    let stalled = RawOrigin::stalling_after("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    let mut settings = patient(stalled.url());
    settings.health.failures = 1;
    let of_stalled = origins.set(&settings).expect("a set");
    for _ in 0..5 {
        drop(origins.send(&of_stalled, get("/")).await.expect("a response"));
    }
    assert_eq!(origins.ejected(), 0);
}
