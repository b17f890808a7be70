//! Access tokens: JWTs that any node issues and any node checks by itself.
//!
//! ```text
//!   {"typ":"JWT","alg":"EdDSA","kid":…} . {"iss","aud","sub","client_id","scope","iat","nbf","exp","jti","cidr","dom","ver","fam"} . Ed25519
//! ```
//!
//! `cidr` and `dom` are the addresses and the domains that the token is bound to, `ver` the secret that it was got with, and `fam` the
//! family of the refresh token. `iss` is the authorization server that was asked, by its URL (RFC 8414), and `aud` the cluster, at each node
//! of which the token is good. Below schema level 6 the cluster is `iss`, and there is no `aud`.
//!
//! The algorithm is pinned: what the header of a token says it is can only be refused, never obeyed. A token says what its
//! client was allowed when it was issued; whether it was revoked, and whether the client may still act, is read from the state at each
//! use, and only while this node is fresh.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ncore_freshness::FencePolicy;
use ncore_model::{
    Account, Client, ClientId, ClientStatus, ClusterState, Command, IpRange, Query, Revision, RevokeToken, Scope, SigningKey, TableError,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{called_from::CalledFrom, clients::ACCOUNTS_LEVEL, gate::Gate, principal::Principal, refresh, signing::SigningKeys};
use crate::{
    acknowledge::{AckLevel, Acknowledged},
    clock::Clock,
    cluster::Cluster,
    error::{IssueError, RevokeError, SigningKeyError, StateError, TokenError},
};

/// How long a token is good for, in seconds.
pub const TOKEN_LIFETIME_S: u64 = 24 * 60 * 60;

/// The access tokens of the cluster.
pub struct Tokens {
    pub(super) cluster: Cluster,
    pub(super) gate: Gate,
    keys: SigningKeys,
    pub(super) clock: Arc<dyn Clock>,
    issuer: Arc<str>,
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

/// A token that is good for nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// A node that has applied this revision refuses it.
    pub revision: Revision,
    /// What is known of the other nodes.
    pub acknowledged: Acknowledged,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    sub: String,
    client_id: String,
    scope: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cidr: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dom: Vec<String>,
    #[serde(default)]
    ver: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fam: Option<String>,
}

/// What is to be known of a token that is good (RFC 7662).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Whose it is.
    pub client: ClientId,
    /// What it is good for now.
    pub scopes: Vec<Scope>,
    /// Who issued it.
    pub issuer: String,
    /// For whom; `None` if it was issued below schema level 6.
    pub audience: Option<String>,
    /// Its id.
    pub token_id: String,
    /// When it was issued, in Unix seconds.
    pub issued_at_s: u64,
    /// When it begins, in Unix seconds.
    pub begins_at_s: u64,
    /// When it ends, in Unix seconds.
    pub ends_at_s: u64,
}

impl Tokens {
    pub(crate) fn new(cluster: Cluster, gate: Gate, keys: SigningKeys, clock: Arc<dyn Clock>, issuer: Arc<str>) -> Self {
        Self { cluster, gate, keys, clock, issuer }
    }

    /// Makes a key to sign tokens with if the cluster has none. To be called once this node is a member; issuing a token
    /// does it too.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub async fn ensure_signing_key(&self) -> Result<(), SigningKeyError> {
        self.keys.ensure().await
    }

    /// Issues a token to a client that has proved who it is, for some of its scopes, or for all of them.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue(&self, client: &Client, scopes: Option<&[Scope]>) -> Result<IssuedToken, IssueError> {
        self.issue_within(client, scopes, None).await
    }

    /// As [`issue`](Self::issue); a token that a refresh token was used for ends with its family.
    pub(super) async fn issue_within(
        &self,
        client: &Client,
        scopes: Option<&[Scope]>,
        family: Option<[u8; 16]>,
    ) -> Result<IssuedToken, IssueError> {
        let scopes = scopes.unwrap_or(&client.scopes).to_vec();
        if let Some(scope) = scopes.iter().find(|scope| !client.scopes.contains(scope)) {
            return Err(IssueError::ScopeNotGranted(*scope));
        }
        let key = self.signing_key().await?;
        let private = self.keys.open(&key).map_err(IssueError::Sealed)?;
        let id = client.id.clone();
        let read = self.cluster.read(move |view| Ok((view.cluster()?, view.account(&id)?))).await.map_err(IssueError::State)?;
        let (cluster, account) = read.value;
        let (iss, aud) = self.parties(cluster.as_ref());
        let account = account.unwrap_or_default();
        let now_s = self.clock.now_ms() / 1_000;
        let claims = Claims {
            iss,
            aud,
            sub: client.id.to_string(),
            client_id: client.id.to_string(),
            scope: scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            iat: now_s,
            nbf: now_s,
            exp: now_s + TOKEN_LIFETIME_S,
            jti: Uuid::now_v7().simple().to_string(),
            cidr: account.ip_ranges.iter().map(ToString::to_string).collect(),
            dom: client.domains.clone(),
            ver: account.secret_set_at,
            fam: family.map(hex::encode),
        };
        let header = Header { kid: Some(key.id), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&private)).map_err(IssueError::Sign)?;
        Ok(IssuedToken { token, scopes, expires_in_s: TOKEN_LIFETIME_S, revision: read.revision })
    }

    /// Who shows this token, from there.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str, from: &CalledFrom) -> Result<Principal, TokenError> {
        let (claims, client, account) = self.good(token).await?;
        let ranges: Vec<IpRange> = claims.cidr.iter().filter_map(|range| range.parse().ok()).collect();
        // A range that cannot be read is not one that holds everybody.
        let is_bound_well = ranges.len() == claims.cidr.len() && from.is_in(&ranges);
        if !is_bound_well || !from.may_use(account.as_ref()) {
            return Err(TokenError::Address);
        }
        if !from.is_of(&claims.dom) || !from.is_of(&client.domains) {
            return Err(TokenError::Site);
        }
        let scopes = scopes(&claims, &client);
        Ok(Principal { under_review: client.status == ClientStatus::Review, client: client.id, scopes, token_id: claims.jti })
    }

    /// What is to be known of a token, wherever it may be used; `None` if it is good for nothing, or of another client than `owner`.
    ///
    /// # Errors
    /// [`TokenError::Fenced`] and [`TokenError::State`].
    pub async fn facts(&self, token: &str, owner: Option<&ClientId>) -> Result<Option<TokenFacts>, TokenError> {
        let (claims, client) = match self.good(token).await {
            Ok((claims, client, _)) => (claims, client),
            Err(error @ (TokenError::Fenced(_) | TokenError::State(_))) => return Err(error),
            Err(_) => return Ok(None),
        };
        if owner.is_some_and(|owner| *owner != client.id) {
            return Ok(None);
        }
        Ok(Some(TokenFacts {
            scopes: scopes(&claims, &client),
            client: client.id,
            issuer: claims.iss,
            audience: claims.aud,
            token_id: claims.jti,
            issued_at_s: claims.iat,
            begins_at_s: claims.nbf,
            ends_at_s: claims.exp,
        }))
    }

    /// What a token says, and whose it is, if it is good at some place.
    async fn good(&self, token: &str) -> Result<(Claims, Client, Option<Account>), TokenError> {
        let kid = key_of(token)?;
        self.gate.pass().await.map_err(TokenError::Fenced)?;
        let token = token.to_owned();
        let now_s = self.clock.now_ms() / 1_000;
        let checked = self.cluster.read(move |view| {
            let claims = match signed(view, &kid, &token, now_s)? {
                Ok(claims) => claims,
                Err(error) => return Ok(Err(error)),
            };
            let id = ClientId::from_text(&claims.sub);
            if view.revoked_token(&claims.jti)?.is_some() || !is_family_good(view, &id, &claims)? {
                return Ok(Err(TokenError::Revoked));
            }
            let Some(client) = view.client(&id)?.filter(|client| client.status != ClientStatus::Suspended) else {
                return Ok(Err(TokenError::ClientRefused));
            };
            let account = view.account(&id)?;
            let secret_set_at = account.as_ref().map_or(0, |account| account.secret_set_at);
            Ok(if claims.ver == secret_set_at { Ok((claims, client, account)) } else { Err(TokenError::SecretReplaced) })
        });
        checked.await.map_err(TokenError::State)?.value
    }

    /// Revokes a token for good; of `owner`, or of anybody's if that is `None`. A token that is good for nothing already needs no change.
    /// With a refresh token, used or not, its whole family ends, and every access token that came of it. Needs schema level 4, and level 6
    /// for refresh tokens.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(&self, token: &str, owner: Option<&ClientId>, level: AckLevel) -> Result<Revoked, RevokeError> {
        let revision = self.cluster.revision();
        // By RFC 7009, section 2.2, what is no token of ours is as good as revoked.
        let nothing_to_do = Ok(Revoked { revision, acknowledged: Acknowledged::All });
        if let Some((family, _)) = refresh::parse(token) {
            let owner = match owner {
                Some(owner) => Some(owner.clone()),
                None => self.owner_of(family).await?,
            };
            return match owner {
                Some(owner) => self.revoke_family(&owner, family, level).await.map_err(RevokeError::Change),
                None => nothing_to_do,
            };
        }
        let Ok(kid) = key_of(token) else { return nothing_to_do };
        let claims = match self.read(&kid, token).await.map_err(RevokeError::State)? {
            Err(TokenError::UnknownKey) => {
                // Other nodes may know the key already.
                self.cluster.catch_up().await.map_err(RevokeError::Behind)?;
                self.read(&kid, token).await.map_err(RevokeError::State)?
            }
            known => known,
        };
        let Ok(claims) = claims else { return nothing_to_do };
        let client = ClientId::from_text(&claims.sub);
        if owner.is_some_and(|owner| *owner != client) {
            return Err(RevokeError::OfOther);
        }
        let revoke = RevokeToken { client, token: claims.jti, expires_at_ms: claims.exp.saturating_mul(1_000) };
        let revision = self.cluster.change(Command::RevokeToken(revoke), None).await.map_err(RevokeError::Change)?.revision;
        Ok(Revoked { revision, acknowledged: self.cluster.acknowledge(revision, level, FencePolicy::Refuse).await })
    }

    async fn read(&self, kid: &str, token: &str) -> Result<Result<Claims, TokenError>, StateError> {
        let (kid, token, now_s) = (kid.to_owned(), token.to_owned(), self.clock.now_ms() / 1_000);
        Ok(self.cluster.read(move |view| signed(view, &kid, &token, now_s)).await?.value)
    }

    /// Who tokens that are issued here say issued them.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn issuer(&self) -> Result<String, StateError> {
        let cluster = self.cluster.read(|view| view.cluster()).await?.value;
        Ok(self.parties(cluster.as_ref()).0)
    }

    /// The issuer and the audience of tokens. Nodes that know nothing of an audience refuse tokens that have one.
    fn parties(&self, cluster: Option<&ClusterState>) -> (String, Option<String>) {
        let urn = urn(cluster.map(|cluster| cluster.cluster_id));
        let has_audiences = cluster.is_some_and(|cluster| cluster.schema_level >= ACCOUNTS_LEVEL);
        if has_audiences { (self.issuer.to_string(), Some(urn)) } else { (urn, None) }
    }

    async fn signing_key(&self) -> Result<SigningKey, IssueError> {
        if let Some(key) = self.keys.signing().await.map_err(IssueError::Key)? {
            return Ok(key);
        }
        self.ensure_signing_key().await.map_err(IssueError::Key)?;
        let key = self.keys.signing().await.map_err(IssueError::Key)?;
        key.ok_or(IssueError::Key(SigningKeyError::Change(crate::error::ChangeError::Unexpected)))
    }
}

/// The name of the key that a token says it was signed with, if it looks like a token of ours.
fn key_of(token: &str) -> Result<String, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some("JWT") {
        return Err(TokenError::Malformed);
    }
    header.kid.ok_or(TokenError::Malformed)
}

/// What a token says, if this cluster signed it and its time is now.
fn signed(view: &impl Query, kid: &str, token: &str, now_s: u64) -> Result<Result<Claims, TokenError>, TableError> {
    let Some(key) = view.signing_key(kid)? else {
        return Ok(Err(TokenError::UnknownKey));
    };
    let cluster = urn(view.cluster()?.map(|cluster| cluster.cluster_id));
    Ok(claims(token, &key, &cluster, now_s))
}

/// What a token says, if it was signed with `key`, for this cluster, and its time is now. Which node issued it, the key tells nobody: they
/// all have it.
fn claims(token: &str, key: &SigningKey, cluster: &str, now_s: u64) -> Result<Claims, TokenError> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Times and audience are checked below, against the clock and the view that were given.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_ed_der(&key.public), &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
            _ => TokenError::Malformed,
        })?
        .claims;
    if claims.aud.as_ref().unwrap_or(&claims.iss) != cluster {
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

/// Whether the refresh token that it came from, if there was one, was not revoked.
fn is_family_good(view: &impl Query, client: &ClientId, claims: &Claims) -> Result<bool, TableError> {
    let Some(family) = &claims.fam else { return Ok(true) };
    let mut id = [0; 16];
    Ok(hex::decode_to_slice(family, &mut id).is_ok() && view.refresh_family(client, &id)?.is_some())
}

/// What it is good for. A scope that was taken from the client is gone from its tokens too.
fn scopes(claims: &Claims, client: &Client) -> Vec<Scope> {
    let scopes = claims.scope.split(' ').filter_map(|scope| scope.parse().ok());
    scopes.filter(|scope| client.scopes.contains(scope)).collect()
}

/// The cluster, whichever of its nodes signed.
fn urn(cluster_id: Option<[u8; 16]>) -> String {
    format!("urn:ncore:cluster:{}", hex::encode(cluster_id.unwrap_or_default()))
}

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
/// By how much the clocks of two nodes may differ before a fresh token of one is refused by the other, in seconds.
const CLOCK_SKEW_S: u64 = 60;
