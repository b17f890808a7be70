//! Who is let in: secrets, tokens, and what becomes of them when a client is suspended.

use std::time::Duration;

use crate::rig::Rig;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ncore_control::BarrierProgress;
use ncore_domain::{AckLevel, Acknowledged, AuthenticateError, CalledFrom, Denied, IssueError, RevokeError, TOKEN_LIFETIME_S, TokenError};
use ncore_model::{Client, ClientStatus, NodeId, Query, Scope};
use secrecy::{ExposeSecret, SecretString};

async fn client(rig: &Rig, scopes: &[Scope]) -> Client {
    let new = rig.client_with(scopes).await;
    rig.domain.clients().authenticate(new.id.as_str(), new.secret).await.expect("let in")
}

#[tokio::test]
async fn secrets() {
    let rig = Rig::new();
    let clients = rig.domain.clients();
    let new = rig.client().await;
    assert!(format!("{new:?}").contains("REDACTED"));
    assert_eq!(clients.authenticate(new.id.as_str(), new.secret.clone()).await.expect("let in").id, new.id);
    let wrong = clients.authenticate(new.id.as_str(), SecretString::from("ncs_x")).await;
    assert!(matches!(wrong, Err(AuthenticateError::Refused)));
    let unknown = clients.authenticate("cl_nobody", new.secret.clone()).await;
    assert!(matches!(unknown, Err(AuthenticateError::Refused)));
    let kept = clients.list().await.expect("clients").value;
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].secret_hash.contains(new.secret.expose_secret()));

    clients.set_status(new.id.clone(), ClientStatus::Review, AckLevel::Committed).await.expect("set");
    assert!(clients.authenticate(new.id.as_str(), new.secret.clone()).await.is_ok());
    clients.set_status(new.id.clone(), ClientStatus::Suspended, AckLevel::Committed).await.expect("set");
    let suspended = clients.authenticate(new.id.as_str(), new.secret).await;
    assert!(matches!(suspended, Err(AuthenticateError::Refused)));
}

#[tokio::test]
async fn a_token_of_one_node_is_good_at_another() {
    let rig = Rig::new();
    let client = client(&rig, &[Scope::AssetsRead, Scope::AssetsWrite]).await;
    let issued = rig.domain.tokens().issue(&client, Some(&[Scope::AssetsRead])).await.expect("issued");
    assert!(issued.token.starts_with("eyJ0eXAi"), "{}", issued.token);
    assert_eq!(issued.expires_in_s, 86_400);
    let header = issued.token.split('.').next().expect("a header");
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).expect("base64")).expect("text");
    assert!(header.starts_with(r#"{"typ":"JWT","alg":"EdDSA","kid":""#), "{header}");

    let another = rig.another_node();
    let principal = another.tokens().verify(&issued.token, &CalledFrom::default()).await.expect("good");
    assert_eq!(principal.client, client.id);
    assert_eq!(principal.require(Scope::AssetsRead), Ok(()));
    assert_eq!(principal.require(Scope::AssetsWrite), Err(Denied::Scope(Scope::AssetsWrite)));
    let too_much = rig.domain.tokens().issue(&client, Some(&[Scope::CachePurge])).await;
    assert!(matches!(too_much, Err(IssueError::ScopeNotGranted(Scope::CachePurge))));
}

#[tokio::test]
async fn one_key_is_made_and_used() {
    use ncore_control::ControlPlane;
    let rig = Rig::new();
    let client = client(&rig, &Scope::ALL).await;
    rig.domain.tokens().ensure_signing_key().await.expect("a key");
    rig.domain.tokens().ensure_signing_key().await.expect("a key");
    rig.domain.tokens().issue(&client, None).await.expect("issued");
    rig.another_node().tokens().issue(&client, None).await.expect("issued");
    let keys = rig.plane.replica().signing_keys().expect("keys");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].public.len(), 32);
}

#[tokio::test]
async fn bad_tokens() {
    let rig = Rig::new();
    let client = client(&rig, &Scope::ALL).await;
    let tokens = rig.domain.tokens();
    let good = tokens.issue(&client, None).await.expect("issued").token;
    let parts: Vec<&str> = good.split('.').collect();
    let decode = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("text");
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);

    let none = format!("{}.{}.", encode(decode(parts[0]).replace("EdDSA", "none")), parts[1]);
    let hmac = {
        let kid = decode(parts[0]).split('"').nth(11).expect("a kid").to_owned();
        let header = Header { kid: Some(kid), ..Header::new(Algorithm::HS256) };
        let claims: serde_json::Value = serde_json::from_str(&decode(parts[1])).expect("claims");
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(b"public key as a secret")).expect("a token")
    };
    let unknown_key = {
        let kid = decode(parts[0]).split('"').nth(11).expect("a kid").to_owned();
        format!("{}.{}.{}", encode(decode(parts[0]).replace(&kid, "0000")), parts[1], parts[2])
    };
    let changed = format!("{}.{}.{}", parts[0], encode(decode(parts[1]).replace("assets:read", "assets:rEad")), parts[2]);
    for (token, is_expected) in [
        ("", (|error| matches!(error, TokenError::Malformed)) as fn(TokenError) -> bool),
        ("a.b.c", |error| matches!(error, TokenError::Malformed)),
        (&none, |error| matches!(error, TokenError::Malformed)),
        (&hmac, |error| matches!(error, TokenError::Malformed)),
        (&unknown_key, |error| matches!(error, TokenError::UnknownKey)),
        (&changed, |error| matches!(error, TokenError::Signature)),
        (&"x".repeat(5_000), |error| matches!(error, TokenError::Malformed)),
    ] {
        let error = tokens.verify(token, &CalledFrom::default()).await.expect_err(token);
        assert!(is_expected(error), "{token}");
    }

    assert!(tokens.verify(&good, &CalledFrom::default()).await.is_ok());
    rig.clock.advance(Duration::from_secs(TOKEN_LIFETIME_S));
    assert!(matches!(tokens.verify(&good, &CalledFrom::default()).await, Err(TokenError::Expired)));
}

#[tokio::test]
async fn a_token_follows_its_client() {
    let rig = Rig::new();
    let client = client(&rig, &Scope::ALL).await;
    let token = rig.domain.tokens().issue(&client, None).await.expect("issued").token;
    let set = async |status| rig.domain.clients().set_status(client.id.clone(), status, AckLevel::Committed).await.expect("set");

    set(ClientStatus::Review).await;
    let principal = rig.domain.tokens().verify(&token, &CalledFrom::default()).await.expect("known");
    assert_eq!(principal.require(Scope::AssetsRead), Ok(()));
    assert_eq!(principal.require(Scope::AssetsWrite), Err(Denied::UnderReview));
    assert_eq!(principal.require(Scope::CachePurge), Err(Denied::UnderReview));

    set(ClientStatus::Suspended).await;
    assert!(matches!(rig.domain.tokens().verify(&token, &CalledFrom::default()).await, Err(TokenError::ClientRefused)));

    set(ClientStatus::Active).await;
    assert!(rig.domain.tokens().verify(&token, &CalledFrom::default()).await.is_ok());
}

#[tokio::test]
async fn a_revoked_token_is_good_nowhere() {
    let rig = Rig::new();
    rig.raise_schema();
    let client = client(&rig, &Scope::ALL).await;
    let tokens = rig.domain.tokens();
    let [one, two] = [tokens.issue(&client, None).await, tokens.issue(&client, None).await].map(|issued| issued.expect("issued").token);
    let revoked = tokens.revoke(&one, Some(&client.id), AckLevel::All).await.expect("revoked");
    assert_eq!(revoked.acknowledged, Acknowledged::All);
    assert_eq!(*rig.plane.barriers.lock(), [revoked.revision]);
    for node in [&rig.domain, &std::sync::Arc::new(rig.another_node())] {
        assert!(matches!(node.tokens().verify(&one, &CalledFrom::default()).await, Err(TokenError::Revoked)));
        assert!(node.tokens().verify(&two, &CalledFrom::default()).await.is_ok());
    }
    tokens.revoke(&one, Some(&client.id), AckLevel::All).await.expect("again");
}

/// Nodes that know no audience would refuse a token that has one. What they issued stays good.
#[tokio::test]
async fn the_issuer_is_a_url_once_every_node_knows_audiences() {
    let rig = Rig::new();
    let client = client(&rig, &Scope::ALL).await;
    let tokens = rig.domain.tokens();
    let claims = |token: &str| -> serde_json::Value {
        let payload = token.split('.').nth(1).expect("claims");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
    };
    let early = tokens.issue(&client, None).await.expect("issued").token;
    let cluster = claims(&early)["iss"].clone();
    assert!(cluster.as_str().is_some_and(|iss| iss.starts_with("urn:ncore:cluster:")) && claims(&early).get("aud").is_none());
    assert_eq!(tokens.issuer().await.expect("read"), cluster.as_str().expect("text"));
    rig.raise_schema();
    let late = tokens.issue(&client, None).await.expect("issued").token;
    assert_eq!(claims(&late)["iss"], rig.domain.public_url());
    assert_eq!(claims(&late)["aud"], cluster);
    assert_eq!(tokens.issuer().await.expect("read"), rig.domain.public_url());
    for token in [&early, &late] {
        assert!(rig.another_node().tokens().verify(token, &CalledFrom::default()).await.is_ok(), "{token}");
    }
}

#[tokio::test]
async fn only_what_is_a_token_of_ones_own_is_revoked() {
    let rig = Rig::new();
    rig.raise_schema();
    let (one, other) = (client(&rig, &Scope::ALL).await, client(&rig, &Scope::ALL).await);
    let tokens = rig.domain.tokens();
    let token = tokens.issue(&one, None).await.expect("issued").token;
    let refused = tokens.revoke(&token, Some(&other.id), AckLevel::All).await;
    assert!(matches!(refused, Err(RevokeError::OfOther)), "{refused:?}");
    let before = rig.domain.revision();
    let forged = format!("{}x", &token[..token.len() - 1]);
    for nothing in ["", "no token", "a.b.c", &forged, &"x".repeat(10_000)] {
        let done = tokens.revoke(nothing, Some(&one.id), AckLevel::All).await.expect("nothing to do");
        assert_eq!(done.acknowledged, Acknowledged::All);
    }
    assert_eq!(rig.domain.revision(), before, "nothing was changed");
    assert!(tokens.verify(&token, &CalledFrom::default()).await.is_ok());
    // The operator's word is good for anybody's.
    tokens.revoke(&token, None, AckLevel::Committed).await.expect("revoked");
    assert!(matches!(tokens.verify(&token, &CalledFrom::default()).await, Err(TokenError::Revoked)));
}

#[tokio::test]
async fn what_is_waited_for_is_what_is_said() {
    let rig = Rig::new();
    let client = client(&rig, &Scope::ALL).await;
    let set = async |level| rig.domain.clients().set_status(client.id.clone(), ClientStatus::Suspended, level).await.expect("set").1;
    assert_eq!(set(AckLevel::Committed).await, Acknowledged::Committed);
    assert!(rig.plane.barriers.lock().is_empty());
    // A node that is cut off refuses credentials, so it is no exception.
    *rig.plane.without.lock() = vec![NodeId(9)];
    assert_eq!(set(AckLevel::All).await, Acknowledged::All);
    let pending = BarrierProgress::Pending { acked: 1, total: 2, laggards: vec![NodeId(9)], complete_within: Duration::from_secs(3) };
    *rig.plane.barrier.lock() = pending;
    assert_eq!(set(AckLevel::All).await, Acknowledged::Committed);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_on_an_old_view() {
    let rig = Rig::new();
    let new = rig.client().await;
    let client = rig.domain.clients().authenticate(new.id.as_str(), new.secret.clone()).await.expect("let in");
    let token = rig.domain.tokens().issue(&client, None).await.expect("issued").token;
    rig.plane.fence();
    assert!(matches!(rig.domain.tokens().verify(&token, &CalledFrom::default()).await, Err(TokenError::Fenced(_))));
    let refused = rig.domain.clients().authenticate(new.id.as_str(), new.secret).await;
    assert!(matches!(refused, Err(AuthenticateError::Fenced(_))), "{refused:?}");
    // Whoever asks while the node is coming back waits for that, and is let in.
    let from = CalledFrom::default();
    let (verified, ()) = tokio::join!(rig.domain.tokens().verify(&token, &from), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        rig.plane.refresh();
    });
    verified.expect("let in");
}
