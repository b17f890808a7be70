//! What an upload promises: enough copies or no answer of success, nothing left of what failed, and once means once.

use std::time::Duration;

use crate::rig::{Answer, Peers, Plan, Rig, until};
use bytes::Bytes;
use ncore_domain::{ChangeError, MediaType, OnceKey, PINS_HOLD_MS, UploadError, UploadMeta, UploadStart, Uploaded};
use ncore_model::{AssetPath, ClientId, Precondition, Query, Rejection};
use ncore_store::BlobStatus;
use tokio::time::Instant;

fn meta(path: &str) -> UploadMeta {
    UploadMeta {
        path: AssetPath::parse(path).expect("a path"),
        cache_ttl_s: None,
        mime: None,
        visibility: None,
        precondition: Precondition::None,
        once: None,
    }
}

async fn upload(rig: &Rig, client: &ClientId, content: &[u8], meta: UploadMeta) -> Result<Uploaded, UploadError> {
    let mut session = rig.domain.uploads().begin(client, UploadStart::default()).await?;
    for chunk in content.chunks(100_000) {
        session.write(Bytes::copy_from_slice(chunk)).await?;
    }
    session.finish(meta).await
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).expect("small")).collect()
}

fn assets(rig: &Rig) -> usize {
    use ncore_control::ControlPlane;
    rig.plane.replica().versions_from(0, 100).expect("versions").len()
}

#[tokio::test]
async fn content_is_on_two_nodes_before_it_is_acknowledged() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let content = content(1_500_000);
    let uploaded = upload(&rig, &client, &content, meta("video/a.webm")).await.expect("uploaded");
    let hash = blake3::hash(&content);
    for store in [&rig.store, &rig.peer_store] {
        assert!(matches!(store.status(hash), Ok(BlobStatus::Present { size: 1_500_000, .. })));
    }
    let details = uploaded.asset.value;
    assert!(uploaded.created);
    assert_eq!(details.asset.mime, "video/webm");
    assert_eq!(details.asset.size, 1_500_000);
    assert_eq!(blake3::Hash::from(details.asset.blob), hash);
    assert_eq!(details.asset.sha256.as_slice(), <sha2::Sha256 as sha2::Digest>::digest(&content).as_slice());
    assert_eq!(details.copies, 2);
    assert!(!details.replicated, "nobody has reported");
    assert_eq!(details.node, crate::rig::HERE_NAME);
    assert_eq!(details.url, "https://cdn.example/assets/video/a.webm");
    assert_eq!(details.revision, uploaded.asset.revision);
    rig.no_pins().await;
    assert_eq!(rig.files_incoming(), 0);
}

#[tokio::test]
async fn replacing_keeps_the_id() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let first = upload(&rig, &client, b"one", meta("a.txt")).await.expect("uploaded");
    let second = upload(&rig, &client, b"two", meta("a.txt")).await.expect("uploaded");
    assert!(!second.created);
    assert_eq!(first.asset.value.asset.id, second.asset.value.asset.id);
    assert!(second.asset.value.revision > first.asset.value.revision);
}

#[tokio::test]
async fn a_copy_that_is_lost_on_the_way_is_made_afterwards() {
    let rig = Rig::new();
    rig.copies.are(Peers::LosesFans);
    let client = rig.bare_client();
    let uploaded = upload(&rig, &client, &content(1_200_000), meta("a")).await.expect("uploaded");
    assert_eq!(uploaded.asset.value.copies, 2);
    assert!(matches!(rig.peer_store.status(blake3::hash(&content(1_200_000))), Ok(BlobStatus::Present { .. })));
    rig.no_pins().await;
}

#[tokio::test]
async fn too_few_copies_are_refused() {
    let rig = Rig::new();
    rig.copies.are(Peers::Gone);
    let client = rig.bare_client();
    let refused = upload(&rig, &client, b"x", meta("a")).await.expect_err("refused");
    assert!(matches!(refused, UploadError::TooFewCopies { have: 1, need: 2 }), "{refused:?}");
    assert_eq!(assets(&rig), 0);
    rig.no_pins().await;
}

#[tokio::test]
async fn one_copy_is_enough_if_the_operator_says_so_and_the_answer_tells() {
    let mut plan = Plan::default();
    plan.settings.allow_single_copy = true;
    let rig = Rig::with(plan);
    rig.copies.are(Peers::Gone);
    let client = rig.bare_client();
    let uploaded = upload(&rig, &client, b"x", meta("a")).await.expect("uploaded");
    assert_eq!(uploaded.asset.value.copies, 1);
}

/// Nodes that swallow everything take what they are given of the time, and leave enough of it to ask for the change.
#[tokio::test(start_paused = true)]
async fn other_nodes_cannot_hold_the_answer_back() {
    let mut plan = Plan::default();
    let deadline = plan.settings.request_deadline;
    for allow_single_copy in [false, true] {
        plan.settings.allow_single_copy = allow_single_copy;
        let rig = Rig::with(Plan { settings: plan.settings.clone(), ..Plan::default() });
        rig.copies.are(Peers::Silent);
        let client = rig.bare_client();
        let start = Instant::now();
        let end = upload(&rig, &client, b"x", meta("a")).await;
        assert!(start.elapsed() <= deadline, "{:?}", start.elapsed());
        if allow_single_copy {
            assert_eq!(end.expect("uploaded").asset.value.copies, 1);
            assert!(rig.plane.patience.lock().is_some_and(|patience| patience > Duration::ZERO && patience <= deadline / 4));
        } else {
            assert!(matches!(end, Err(UploadError::TooFewCopies { have: 1, need: 2 })), "{end:?}");
            assert_eq!(*rig.plane.patience.lock(), None, "nothing was asked for");
        }
    }
}

/// Whoever sends slowly has all the time that it takes.
#[tokio::test(start_paused = true)]
async fn the_deadline_does_not_run_while_the_content_comes() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let mut session = rig.domain.uploads().begin(&client, UploadStart::default()).await.expect("begun");
    for chunk in content(1_000_000).chunks(100_000) {
        tokio::time::sleep(Duration::from_secs(60)).await;
        session.write(Bytes::copy_from_slice(chunk)).await.expect("written");
    }
    assert_eq!(session.finish(meta("a")).await.expect("uploaded").asset.value.copies, 2);
}

#[tokio::test]
async fn what_there_is_no_time_for_is_not_asked_for() {
    let mut plan = Plan::default();
    plan.settings.request_deadline = Duration::ZERO;
    let rig = Rig::with(plan);
    let client = rig.bare_client();
    let error = upload(&rig, &client, b"x", meta("a")).await.expect_err("no time");
    assert!(matches!(error, UploadError::Change(ChangeError::Unavailable { .. })), "{error:?}");
    assert_eq!(assets(&rig), 0);
    rig.no_pins().await;
}

#[tokio::test]
async fn a_cluster_of_one_asks_for_one_copy() {
    let rig = Rig::with(Plan { has_peer: false, ..Plan::default() });
    let client = rig.bare_client();
    let uploaded = upload(&rig, &client, b"x", meta("a")).await.expect("uploaded");
    assert_eq!(uploaded.asset.value.copies, 1);
    assert_eq!(rig.copies.ordered.lock().as_ref().expect("a fan").wanted, 0);
}

#[tokio::test]
async fn an_unknown_outcome_keeps_the_pins_and_a_definite_one_does_not() {
    let rig = Rig::new();
    let client = rig.bare_client();
    rig.plane.answer(Answer::Unavailable);
    let error = upload(&rig, &client, b"x", meta("a")).await.expect_err("unavailable");
    assert!(matches!(error, UploadError::Change(ChangeError::Unavailable { .. })), "{error:?}");
    rig.no_pins().await;

    rig.plane.answer(Answer::UnknownApplied);
    let error = upload(&rig, &client, b"y", meta("b")).await.expect_err("unknown");
    assert!(matches!(error, UploadError::Change(ChangeError::Unknown { .. })), "{error:?}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.pins().await, (1, 1));
    assert_eq!(assets(&rig), 1, "it was applied after all");
}

#[tokio::test]
async fn a_rejected_upload_releases_its_pins() {
    let rig = Rig::new();
    let (one, other) = (rig.bare_client(), rig.bare_client());
    upload(&rig, &one, b"x", meta("a")).await.expect("uploaded");
    let error = upload(&rig, &other, b"y", meta("a")).await.expect_err("of another");
    assert!(matches!(error, UploadError::Change(ChangeError::Rejected { rejection: Rejection::AssetOfOther, .. })), "{error:?}");
    let late = UploadMeta { precondition: Precondition::Absent, ..meta("a") };
    let error = upload(&rig, &one, b"z", late).await.expect_err("is there");
    assert!(matches!(error, UploadError::Change(ChangeError::Rejected { rejection: Rejection::PreconditionFailed, .. })), "{error:?}");
    rig.no_pins().await;
}

#[tokio::test]
async fn a_command_that_outlives_its_pins_is_rejected() {
    let rig = Rig::new();
    let client = rig.bare_client();
    rig.plane.answer(Answer::Late(Duration::from_millis(PINS_HOLD_MS + 1)));
    let error = upload(&rig, &client, b"x", meta("a")).await.expect_err("too late");
    assert!(matches!(error, UploadError::Change(ChangeError::Rejected { rejection: Rejection::TooLate, .. })), "{error:?}");
    rig.no_pins().await;
    rig.plane.answer(Answer::Late(Duration::from_millis(PINS_HOLD_MS - 10_000)));
    upload(&rig, &client, b"x", meta("a")).await.expect("slow, and in time");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let mut session = rig.domain.uploads().begin(&client, UploadStart::default()).await.expect("begun");
    for chunk in content(1_300_000).chunks(100_000) {
        session.write(Bytes::copy_from_slice(chunk)).await.expect("written");
    }
    assert_eq!(rig.files_incoming(), 2, "here and on the peer");
    drop(session);
    until("the files are gone", async || rig.files_incoming() == 0).await;
    assert_eq!(rig.pins().await, (0, 0));
    assert!(rig.store.iter_blobs(None, 10).await.expect("blobs").is_empty());
    assert!(rig.peer_store.iter_blobs(None, 10).await.expect("blobs").is_empty());
}

#[tokio::test]
async fn an_upload_whose_last_byte_came_completes_without_its_client() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let mut session = rig.domain.uploads().begin(&client, UploadStart::default()).await.expect("begun");
    session.write(Bytes::from_static(b"all of it")).await.expect("written");
    {
        let finish = session.finish(meta("a"));
        tokio::pin!(finish);
        assert!(futures_util::poll!(finish.as_mut()).is_pending());
    }
    until("the asset is there", async || assets(&rig) == 1).await;
    rig.no_pins().await;
}

#[tokio::test]
async fn limits() {
    let mut plan = Plan::default();
    plan.settings.max_upload_bytes = 1_000;
    plan.settings.uploads_at_once = 1;
    let rig = Rig::with(plan);
    let client = rig.bare_client();
    let error = upload(&rig, &client, &[0; 1_001], meta("a")).await.expect_err("too large");
    assert!(matches!(error, UploadError::TooLarge { limit: 1_000 }), "{error:?}");
    upload(&rig, &client, &[0; 1_000], meta("a")).await.expect("just fits");
    rig.no_pins().await;
    let turn = async || rig.domain.uploads().begin(&client, UploadStart::default()).await;
    until("the turn is free", async || turn().await.is_ok()).await;
    let held = turn().await.expect("begun");
    assert!(matches!(turn().await.err(), Some(UploadError::Busy)));
    drop(held);
    assert!(turn().await.is_ok());
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full() {
    let rig = Rig::with(Plan { reserve_bytes: u64::MAX / 2, ..Plan::default() });
    let client = rig.bare_client();
    let error = upload(&rig, &client, b"x", meta("a")).await.expect_err("full");
    assert!(matches!(error, UploadError::Full), "{error:?}");
    assert_eq!(assets(&rig), 0);
}

#[tokio::test]
async fn a_retry_with_the_same_key_is_the_first_upload() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let once = || Some(OnceKey::parse("retry-1").expect("a key"));
    let first = upload(&rig, &client, b"x", UploadMeta { once: once(), ..meta("a") }).await.expect("uploaded");
    let again = upload(&rig, &client, b"x", UploadMeta { once: once(), ..meta("a") }).await.expect("uploaded");
    assert_eq!(first.asset.value, again.asset.value);
    assert_eq!(first.created, again.created);
    assert_eq!(assets(&rig), 1);
    rig.no_pins().await;

    let key_reused =
        |error: UploadError| matches!(error, UploadError::Change(ChangeError::Rejected { rejection: Rejection::KeyReused, .. }));
    let changed = [
        (b"y", UploadMeta { once: once(), ..meta("a") }),
        (b"x", UploadMeta { once: once(), ..meta("b") }),
        (b"x", UploadMeta { once: once(), cache_ttl_s: Some(5), ..meta("a") }),
        (b"x", UploadMeta { once: once(), mime: Some(MediaType::parse("a/b").expect("a type")), ..meta("a") }),
        (b"x", UploadMeta { once: once(), precondition: Precondition::Present, ..meta("a") }),
    ];
    for (content, meta) in changed {
        let error = upload(&rig, &client, content, meta).await.expect_err("another payload");
        assert!(key_reused(error));
    }
    let other = rig.bare_client();
    upload(&rig, &other, b"x", UploadMeta { once: once(), ..meta("c") }).await.expect("keys are each client's own");
}

#[tokio::test]
async fn an_unknown_upload_is_found_out_by_its_key() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let meta = || UploadMeta { once: Some(OnceKey::parse("k").expect("a key")), ..meta("a") };
    rig.plane.answer(Answer::UnknownApplied);
    upload(&rig, &client, b"x", meta()).await.expect_err("unknown");
    let revision = rig.domain.revision();
    rig.plane.answer(Answer::Committed);
    let found = upload(&rig, &client, b"x", meta()).await.expect("found");
    assert_eq!(found.asset.value.revision, revision, "it is the first upload");
    assert_eq!(assets(&rig), 1);
}
