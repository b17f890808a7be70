//! Who is let in: secrets, tokens, and what becomes of them when a client is suspended.

use std::time::Duration;

use crate::rig::Rig;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ncore_domain::{AuthenticateError, Denied, IssueError, TOKEN_LIFETIME_S, TokenError};
use ncore_model::{Client, ClientStatus, Query, Scope};
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

    clients.set_status(new.id.clone(), ClientStatus::Review).await.expect("set");
    assert!(clients.authenticate(new.id.as_str(), new.secret.clone()).await.is_ok());
    clients.set_status(new.id.clone(), ClientStatus::Suspended).await.expect("set");
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
    let principal = another.tokens().verify(&issued.token).await.expect("good");
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
        let error = tokens.verify(token).await.expect_err(token);
        assert!(is_expected(error), "{token}");
    }

    assert!(tokens.verify(&good).await.is_ok());
    rig.clock.advance(Duration::from_secs(TOKEN_LIFETIME_S));
    assert!(matches!(tokens.verify(&good).await, Err(TokenError::Expired)));
}

#[tokio::test]
async fn a_token_follows_its_client() {
    let rig = Rig::new();
    let client = client(&rig, &Scope::ALL).await;
    let token = rig.domain.tokens().issue(&client, None).await.expect("issued").token;
    let set = async |status| rig.domain.clients().set_status(client.id.clone(), status).await.expect("set");

    set(ClientStatus::Review).await;
    let principal = rig.domain.tokens().verify(&token).await.expect("known");
    assert_eq!(principal.require(Scope::AssetsRead), Ok(()));
    assert_eq!(principal.require(Scope::AssetsWrite), Err(Denied::UnderReview));
    assert_eq!(principal.require(Scope::CachePurge), Err(Denied::UnderReview));

    set(ClientStatus::Suspended).await;
    assert!(matches!(rig.domain.tokens().verify(&token).await, Err(TokenError::ClientRefused)));

    set(ClientStatus::Active).await;
    assert!(rig.domain.tokens().verify(&token).await.is_ok());
}
