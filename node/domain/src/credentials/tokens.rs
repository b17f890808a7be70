//! Access tokens: JWTs that any node issues and any node checks by itself.
//!
//! ```text
//!   {"typ":"JWT","alg":"EdDSA","kid":…} . {"iss","sub","client_id","scope","iat","nbf","exp","jti"} . Ed25519
//! ```
//!
//! The algorithm is pinned: what the header of a token says it is can only be refused, never obeyed. A token says what its
//! client was allowed when it was issued; whether the client may still act is read from the state at each use.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ncore_identity::ClusterKey;
use ncore_model::{Client, ClientId, ClientStatus, Query, Revision, Scope, SigningKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{principal::Principal, signing};
use crate::{
    clock::Clock,
    cluster::Cluster,
    error::{IssueError, SigningKeyError, TokenError},
};

/// How long a token is good for, in seconds.
pub const TOKEN_LIFETIME_S: u64 = 24 * 60 * 60;

/// The access tokens of the cluster.
pub struct Tokens {
    cluster: Cluster,
    cluster_key: ClusterKey,
    clock: Arc<dyn Clock>,
}

/// A token, for the one who asked for it.
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// For how long, in seconds.
    pub expires_in_s: u64,
    /// A node that has applied this revision can check it.
    pub revision: Revision,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    client_id: String,
    scope: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
}

impl Tokens {
    pub(crate) fn new(cluster: Cluster, cluster_key: ClusterKey, clock: Arc<dyn Clock>) -> Self {
        Self { cluster, cluster_key, clock }
    }

    /// Makes a key to sign tokens with if the cluster has none. To be called once this node is a member; issuing a token
    /// does it too.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub async fn ensure_signing_key(&self) -> Result<(), SigningKeyError> {
        signing::ensure(&self.cluster, &self.cluster_key).await
    }

    /// Issues a token to a client that has proved who it is, for some of its scopes, or for all of them.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue(&self, client: &Client, scopes: Option<&[Scope]>) -> Result<IssuedToken, IssueError> {
        let scopes = scopes.unwrap_or(&client.scopes).to_vec();
        if let Some(scope) = scopes.iter().find(|scope| !client.scopes.contains(scope)) {
            return Err(IssueError::ScopeNotGranted(*scope));
        }
        let key = self.signing_key().await?;
        let private = signing::open(&self.cluster_key, &key).map_err(IssueError::Sealed)?;
        let cluster = self.cluster.read(|view| view.cluster()).await.map_err(IssueError::State)?;
        let now_s = self.clock.now_ms() / 1_000;
        let claims = Claims {
            iss: issuer(cluster.value.map(|cluster| cluster.cluster_id)),
            sub: client.id.to_string(),
            client_id: client.id.to_string(),
            scope: scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            iat: now_s,
            nbf: now_s,
            exp: now_s + TOKEN_LIFETIME_S,
            jti: Uuid::now_v7().simple().to_string(),
        };
        let header = Header { kid: Some(key.id), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&private)).map_err(IssueError::Sign)?;
        Ok(IssuedToken { token, scopes, expires_in_s: TOKEN_LIFETIME_S, revision: cluster.revision })
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some("JWT") {
            return Err(TokenError::Malformed);
        }
        let kid = header.kid.ok_or(TokenError::Malformed)?;
        let token = token.to_owned();
        let now_s = self.clock.now_ms() / 1_000;
        let checked = self.cluster.read(move |view| {
            let Some(key) = view.signing_key(&kid)? else {
                return Ok(Err(TokenError::UnknownKey));
            };
            let issuer = issuer(view.cluster()?.map(|cluster| cluster.cluster_id));
            let claims = match claims(&token, &key, &issuer, now_s) {
                Ok(claims) => claims,
                Err(error) => return Ok(Err(error)),
            };
            let client = view.client(&ClientId::from_text(&claims.sub))?;
            Ok(principal(claims, client))
        });
        checked.await.map_err(TokenError::State)?.value
    }

    async fn signing_key(&self) -> Result<SigningKey, IssueError> {
        if let Some(key) = signing::newest(&self.cluster).await.map_err(IssueError::Key)? {
            return Ok(key);
        }
        self.ensure_signing_key().await.map_err(IssueError::Key)?;
        let key = signing::newest(&self.cluster).await.map_err(IssueError::Key)?;
        key.ok_or(IssueError::Key(SigningKeyError::Change(crate::error::ChangeError::Unexpected)))
    }
}

/// What a token says, if it was signed with `key`, by this cluster, and its time is now.
fn claims(token: &str, key: &SigningKey, issuer: &str, now_s: u64) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Times and issuer are checked below, against the clock and the view that were given.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_ed_der(&key.public), &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
            _ => TokenError::Malformed,
        })?
        .claims;
    if claims.iss != issuer {
        return Err(TokenError::OtherIssuer);
    }
    if claims.exp <= now_s {
        return Err(TokenError::Expired);
    }
    if claims.nbf > now_s + CLOCK_SKEW_S {
        return Err(TokenError::NotYetValid);
    }
    Ok(claims)
}

fn principal(claims: Claims, client: Option<Client>) -> Result<Principal, TokenError> {
    let client = client.filter(|client| client.status != ClientStatus::Suspended).ok_or(TokenError::ClientRefused)?;
    let scopes = claims.scope.split(' ').filter_map(|scope| scope.parse().ok());
    // A scope that was taken from the client is gone from its tokens too.
    let scopes = scopes.filter(|scope| client.scopes.contains(scope)).collect();
    Ok(Principal { under_review: client.status == ClientStatus::Review, client: client.id, scopes, token_id: claims.jti })
}

/// The issuer is the cluster, whichever of its nodes signed.
fn issuer(cluster_id: Option<[u8; 16]>) -> String {
    format!("urn:ncore:cluster:{}", hex::encode(cluster_id.unwrap_or_default()))
}

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// By how much the clocks of two nodes may differ before a fresh token of one is refused by the other, in seconds.
const CLOCK_SKEW_S: u64 = 60;
