//! What is said about assets: lists, replication, and how many a purge is about.

use crate::rig::{HERE, Peers, Plan, Rig};
use bytes::Bytes;
use ncore_domain::{AckLevel, Acknowledged, AssetError, CopyStatus, ListRequest, UploadMeta, UploadStart};
use ncore_model::{Asset, AssetGlob, AssetId, AssetPath, ClientId, CopyState, Exception, ExceptionState, Precondition, SchemaRange};

async fn put(rig: &Rig, client: &ClientId, path: &str, content: &[u8]) -> Asset {
    let mut session = rig.domain.uploads().begin(client, UploadStart::default()).await.expect("begun");
    session.write(Bytes::copy_from_slice(content)).await.expect("written");
    let path = AssetPath::parse(path).expect("a path");
    let meta = UploadMeta { path, cache_ttl_s: None, mime: None, visibility: None, precondition: Precondition::None, once: None };
    session.finish(meta).await.expect("uploaded").asset.value.asset
}

#[tokio::test]
async fn replicated_follows_from_the_reports_of_every_member() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let asset = put(&rig, &client, "a", b"x").await;
    let state = async || {
        let seen = rig.domain.assets().replication(&client, &asset.id).await.expect("replication");
        let details = rig.domain.assets().get(&client, &asset.id).await.expect("details").value;
        assert_eq!(details.replicated, seen.value.replicated);
        let states: Vec<&str> = seen.value.nodes.iter().map(|node| node.state.as_str()).collect();
        (seen.value.replicated, states.join(" "), details.copies)
    };
    assert_eq!(state().await, (false, "unknown unknown".to_owned(), 2), "held, and not reported");
    rig.report(HERE, 1, asset.version, Vec::new());
    assert_eq!(state().await, (false, "verified unknown".to_owned(), 2));
    rig.report(rig.peer, 1, asset.version - 1, Vec::new());
    assert_eq!(state().await, (false, "verified pending".to_owned(), 2));
    rig.report(rig.peer, 2, asset.version, Vec::new());
    assert_eq!(state().await, (true, "verified verified".to_owned(), 2));
    rig.report(rig.peer, 3, asset.version, vec![Exception { version: asset.version, state: ExceptionState::Corrupt }]);
    assert_eq!(state().await, (false, "verified corrupt".to_owned(), 1));
    rig.report(rig.peer, 4, asset.version, vec![Exception { version: asset.version, state: ExceptionState::Missing }]);
    assert_eq!(state().await, (false, "verified missing".to_owned(), 1));
    rig.report(rig.peer, 5, asset.version, Vec::new());
    let third = rig.join("ap-01");
    assert_eq!(state().await, (false, "verified verified unknown".to_owned(), 2), "a new member has nothing");
    rig.remove(third);
    assert_eq!(state().await, (true, "verified verified".to_owned(), 2), "a removed one does not count");
}

#[tokio::test]
async fn holders_say_what_they_hold_and_silence_is_no_answer() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let asset = put(&rig, &client, "a", b"four").await;
    rig.report(HERE, 1, asset.version, Vec::new());
    rig.report(rig.peer, 1, asset.version, Vec::new());
    let hash = blake3::hash(b"four");

    let seen = rig.domain.assets().replication(&client, &asset.id).await.expect("replication");
    assert_eq!(seen.value.revision.index, asset.version);
    for (node, (id, name, region)) in seen.value.nodes.iter().zip([(HERE, "eu-03", "eu-ams"), (rig.peer, "us-01", "us-east")]) {
        assert_eq!((node.node, node.name.as_str(), node.region.as_str()), (id, name, region));
        assert_eq!((node.bytes, node.digest), (Some(4), Some(hash)));
        assert!(node.verified_at_ms.is_some());
        assert_eq!(node.watermark.map(|watermark| watermark.index), Some(asset.version));
    }

    rig.copies.are(Peers::Gone);
    let seen = rig.domain.assets().replication(&client, &asset.id).await.expect("replication");
    let peer = &seen.value.nodes[1];
    assert_eq!(peer.state, CopyStatus::Reported(CopyState::Verified), "the reports say so still");
    assert_eq!((peer.bytes, peer.verified_at_ms), (None, None));
    assert!(seen.value.replicated);
}

#[tokio::test]
async fn pages() {
    let rig = Rig::new();
    let (client, other) = (rig.bare_client(), rig.bare_client());
    for path in ["img/1.png", "img/2.jpg", "img/3.png", "js/a.js"] {
        put(&rig, &client, path, path.as_bytes()).await;
    }
    put(&rig, &other, "img/0.png", b"of another").await;
    let list = async |prefix: &str, mime: Option<&str>, after: Option<&str>, limit| {
        let request = ListRequest {
            prefix: prefix.to_owned(),
            mime: mime.map(str::to_owned),
            folders: false,
            after: after.map(str::to_owned),
            limit,
        };
        let list = rig.domain.assets().list(&client, request).await.expect("a list").value;
        let paths: Vec<String> = list.assets.into_iter().map(|details| details.asset.path).collect();
        (paths.join(" "), list.has_more)
    };
    assert_eq!(list("", None, None, 10).await, ("img/1.png img/2.jpg img/3.png js/a.js".to_owned(), false));
    assert_eq!(list("img/", None, None, 2).await, ("img/1.png img/2.jpg".to_owned(), true));
    assert_eq!(list("img/", None, Some("img/2.jpg"), 2).await, ("img/3.png".to_owned(), false));
    assert_eq!(list("", Some("image/png"), None, 10).await, ("img/1.png img/3.png".to_owned(), false));
    assert_eq!(list("", Some("image/*"), None, 3).await, ("img/1.png img/2.jpg img/3.png".to_owned(), false));
    assert_eq!(list("nothing", None, None, 3).await, (String::new(), false));
}

#[tokio::test]
async fn a_purge_counts_the_assets_of_its_client() {
    let rig = Rig::new();
    let (client, other) = (rig.bare_client(), rig.bare_client());
    for path in ["img/1.png", "img/2.png", "img/deep/3.png", "js/a.js"] {
        put(&rig, &client, path, path.as_bytes()).await;
    }
    put(&rig, &other, "img/0.png", b"of another").await;
    for (pattern, expected) in [("img/*", 3), ("img/*.png", 2), ("img/1.png", 1), ("**", 4), ("none/*", 0), ("/js/a.js", 1)] {
        let glob = AssetGlob::parse(pattern).expect("a glob");
        let purged = rig.domain.assets().purge(&client, pattern, glob, None, AckLevel::Committed, None).await.expect("purged");
        assert_eq!(purged.assets, expected, "{pattern}");
        assert_eq!(purged.revision, rig.domain.revision());
    }
}

#[tokio::test]
async fn whose_asset() {
    let rig = Rig::new();
    let (client, other) = (rig.bare_client(), rig.bare_client());
    let asset = put(&rig, &client, "a", b"x").await;
    let get = async |client, id| rig.domain.assets().get(client, id).await.map(|seen| seen.value.asset);
    assert_eq!(get(&client, &asset.id).await.expect("an asset"), asset);
    assert!(matches!(get(&other, &asset.id).await, Err(AssetError::OfOther)));
    assert!(matches!(get(&client, &AssetId::from_text("as_none")).await, Err(AssetError::Unknown)));
    assert!(matches!(rig.domain.assets().replication(&other, &asset.id).await, Err(AssetError::OfOther)));
}

#[tokio::test]
async fn status() {
    let rig = Rig::with(Plan { schema: SchemaRange { min: 1, max: 1 }, ..Plan::default() });
    let seen = rig.domain.status().await.expect("a status");
    assert_eq!(seen.value.name, "eu-03");
    assert_eq!(seen.value.region, "eu-ams");
    assert_eq!(seen.value.standing.as_str(), "operational");
    assert_eq!(seen.value.software, "0.1.0");
    assert_eq!(seen.revision, rig.domain.revision());
}

/// Nodes that are cut off go on serving public assets, so they are named.
#[tokio::test]
async fn who_goes_on_serving_a_deleted_asset_is_named() {
    let rig = Rig::new();
    let client = rig.bare_client();
    let delete = async |level| {
        let asset = put(&rig, &client, "a", b"x").await;
        rig.domain.assets().delete(&client, &asset.id, Precondition::None, None, level).await.expect("deleted").1
    };
    assert_eq!(delete(AckLevel::Committed).await, Acknowledged::Committed);
    assert_eq!(delete(AckLevel::All).await, Acknowledged::All);
    *rig.plane.without.lock() = vec![rig.peer];
    assert_eq!(delete(AckLevel::All).await, Acknowledged::AllExceptServing(vec![rig.peer]));
}
