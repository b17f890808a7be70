//! Refresh tokens: `ncr_`, the family in hex, a dot, and the secret.
//!
//! The log decides who was first, so of two uses at the same time, at two nodes or at one, one gives a token; the other is a use of
//! what was used before, and ends the family.

use ncore_freshness::FencePolicy;
use ncore_model::{
    AddRefreshToken, Client, ClientId, Command, NewRefreshToken, Outcome, Query, Rejection, Revision, Scope, UseRefreshToken,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    secret::{self, NoEntropy},
    tokens::{IssuedToken, Revoked, Tokens},
};
use crate::{
    acknowledge::AckLevel,
    error::{AddClientError, ChangeError, RefreshError, RevokeError},
    once::OnceKey,
};

/// How long a refresh token is good for, in milliseconds: 30 days.
const IDLE_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// How long one follows another, in milliseconds: a year.
const LIFE_MS: u64 = 365 * 24 * 60 * 60 * 1_000;
const PREFIX: &str = "ncr_";

/// What a refresh token was exchanged for.
pub struct Refreshed {
    /// The access token.
    pub access: IssuedToken,
    /// The refresh token that is good next.
    pub refresh_token: SecretString,
}

/// A refresh token that nobody has used yet, and what the log is told of it.
pub(super) struct Fresh {
    pub(super) token: SecretString,
    pub(super) command: NewRefreshToken,
}

/// A new family.
pub(super) fn fresh(scopes: &[Scope]) -> Result<Fresh, NoEntropy> {
    let family = secret::random()?;
    let token = next_of(&family)?;
    let secret_hash = secret::digest(token.expose_secret());
    Ok(Fresh { token, command: NewRefreshToken { family, secret_hash, scopes: scopes.to_vec(), idle_ms: IDLE_MS, life_ms: LIFE_MS } })
}

/// The family of what looks like a refresh token, and the hash of the whole.
pub(super) fn parse(token: &str) -> Option<([u8; 16], [u8; 32])> {
    let (family, _) = token.strip_prefix(PREFIX)?.split_once('.')?;
    let mut id = [0; 16];
    hex::decode_to_slice(family, &mut id).ok()?;
    Some((id, secret::digest(token)))
}

fn next_of(family: &[u8; 16]) -> Result<SecretString, NoEntropy> {
    secret::generate(&format!("{PREFIX}{}.", hex::encode(family)))
}

impl Tokens {
    /// Exchanges a refresh token of a client that has proved who it is for an access token, for some of its scopes or for all, and
    /// for the next refresh token. Needs schema level 6.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, client: &Client, token: &str, scopes: Option<&[Scope]>) -> Result<Refreshed, RefreshError> {
        let (family, secret_hash) = parse(token).ok_or(RefreshError::Refused)?;
        self.gate.pass().await.map_err(RefreshError::Fenced)?;
        // The one that was used before may have been used at another node a moment ago.
        self.cluster.catch_up().await.map_err(|_| RefreshError::Change(ChangeError::Unavailable { reason: "nobody leads" }))?;
        let id = client.id.clone();
        let known = self.cluster.read(move |view| view.refresh_family(&id, &family)).await.map_err(RefreshError::State)?;
        let known = known.value.ok_or(RefreshError::Refused)?;
        let granted: Vec<Scope> = known.scopes.iter().filter(|scope| client.scopes.contains(scope)).copied().collect();
        // Before the token is used up: a mistake must not cost it.
        let scopes = scopes.unwrap_or(&granted);
        if let Some(scope) = scopes.iter().find(|scope| !granted.contains(scope)) {
            return Err(RefreshError::Scope(*scope));
        }
        let next = next_of(&family).map_err(|_| RefreshError::Entropy)?;
        let next_hash = secret::digest(next.expose_secret());
        let command = Command::UseRefreshToken(UseRefreshToken { client: client.id.clone(), family, secret_hash, next_hash });
        let committed = self.cluster.change(command, None).await.map_err(|error| match error {
            ChangeError::Rejected {
                rejection: Rejection::RefreshUnknown | Rejection::ClientBlocked | Rejection::ClientUnknown, ..
            } => RefreshError::Refused,
            error => RefreshError::Change(error),
        })?;
        match committed.outcome {
            Outcome::Done => {}
            Outcome::RefreshReused => {
                tracing::warn!(
                    client = client.id.as_str(),
                    family = hex::encode(family),
                    "a refresh token was used twice; its family ends"
                );
                self.cluster.acknowledge(committed.revision, AckLevel::All, FencePolicy::Refuse).await;
                return Err(RefreshError::Reused);
            }
            _ => return Err(RefreshError::Change(ChangeError::Unexpected)),
        }
        let access = self.issue_within(client, Some(scopes), Some(family)).await.map_err(RefreshError::Issue)?;
        // A node that checks the access token must know the state of the family.
        Ok(Refreshed { access: IssuedToken { revision: access.revision.max(committed.revision), ..access }, refresh_token: next })
    }

    /// A further refresh token for a client; `None` if it was given before, for the same key. Needs schema level 6.
    ///
    /// # Errors
    /// [`AddClientError`].
    pub async fn add_refresh_token(
        &self,
        client: &Client,
        once: Option<(&str, &OnceKey)>,
    ) -> Result<(Option<SecretString>, Revision), AddClientError> {
        let Fresh { token, command } = fresh(&client.scopes).map_err(|_| AddClientError::Entropy)?;
        let family = command.family;
        let once =
            once.map(|(who, key)| key.within(&ClientId::from_text(who), &format!("refresh {}", client.id), &crate::once::Payload::new()));
        let add = AddRefreshToken { client: client.id.clone(), token: command };
        let committed = self.cluster.change(Command::AddRefreshToken(add), once).await.map_err(AddClientError::Change)?;
        let id = client.id.clone();
        let is_there = self.cluster.read(move |view| view.refresh_family(&id, &family)).await;
        let is_there = is_there.map_err(|error| AddClientError::Change(ChangeError::Unreadable(error)))?.value.is_some();
        Ok((is_there.then_some(token), committed.revision))
    }

    /// Whose a family is, as far as any node knows; `None` if there is no such family.
    pub(super) async fn owner_of(&self, family: [u8; 16]) -> Result<Option<ClientId>, RevokeError> {
        // It may have been given at another node a moment ago.
        self.cluster.catch_up().await.map_err(RevokeError::Behind)?;
        let owner = self.cluster.read(move |view| view.refresh_family_owner(&family)).await;
        Ok(owner.map_err(RevokeError::State)?.value)
    }

    /// Ends a family of a client, and every access token that came of it.
    pub(super) async fn revoke_family(&self, client: &ClientId, family: [u8; 16], level: AckLevel) -> Result<Revoked, ChangeError> {
        let command = Command::RevokeRefreshToken { client: client.clone(), family };
        let revision = self.cluster.change(command, None).await?.revision;
        Ok(Revoked { revision, acknowledged: self.cluster.acknowledge(revision, level, FencePolicy::Refuse).await })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::{fresh, parse};

    #[test]
    fn what_is_made_is_read() {
        let made = fresh(&[]).expect("randomness");
        let token = made.token.expose_secret();
        assert_eq!(parse(token), Some((made.command.family, made.command.secret_hash)));
        assert_ne!(parse(&format!("{token}x")), parse(token));
        for text in ["", "ncr_", "ncr_00.", "ncr_0011223344556677889900112233445566.x", "ncs_0011223344556677889900112233aabb.x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
