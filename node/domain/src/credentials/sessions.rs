//! Administrators who look at a node with a browser: for their token they get a session, so that the browser keeps no token.
//!
//! A session is of the node that it was got at, which keeps a hash of its secret in memory, and of the token that it was got for: whether
//! that is still good is read from the state at each use. It ends when the administrator leaves, when it is not used for
//! [`IDLE_MAX`], after [`AGE_MAX`], with the node, and when a newer one needs its place.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{administrators::Administrators, guesses::Guesses, secret};
use crate::error::{AdministratorError, SignInError};

/// What the secret of a session begins with.
const PREFIX: &str = "ncw_";
/// For how long a session is good that nobody uses.
const IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// For how long one is good at most.
const AGE_MAX: Duration = Duration::from_secs(8 * 60 * 60);
/// The most sessions at a node.
const SESSIONS_MAX: usize = 256;
/// The most of them that are one administrator's.
const OF_ONE_MAX: usize = 16;
/// Under which name wrong tokens are counted: a token that is wrong is nobody's.
const GUESSED: &str = "administrator";

/// The sessions at this node.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    guesses: Guesses,
}

#[derive(Debug, Clone)]
struct Session {
    token_hash: [u8; 32],
    page_key: String,
    began: Instant,
    used: Instant,
}

/// A session that has just begun.
#[derive(Debug)]
pub struct NewSession {
    /// Its secret, for the one who signed in.
    pub secret: SecretString,
    /// For how long it is good at most.
    pub good_for: Duration,
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The id of the administrator.
    pub id: String,
    /// Their name.
    pub name: String,
    /// What a page of the session has, and a page of somebody else on the same host cannot know.
    pub page_key: String,
}

impl Sessions {
    /// Begins a session for the token of an administrator. Whoever showed wrong ones too often waits.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn begin(&self, administrators: &Administrators, token: &str, from: Option<IpAddr>) -> Result<NewSession, SignInError> {
        if let Some(wait) = self.guesses.wait(from, GUESSED) {
            return Err(SignInError::Slowed { wait });
        }
        let administrator = administrators.verify(token).await.map_err(|error| {
            if matches!(error, AdministratorError::Refused) {
                self.guesses.wrong(from, GUESSED);
            }
            SignInError::Token(error)
        })?;
        self.guesses.right(from, GUESSED);
        let no_randomness = |_| SignInError::Token(AdministratorError::Entropy);
        let secret = secret::generate(PREFIX).map_err(no_randomness)?;
        let page_key = hex::encode(secret::random::<16>().map_err(no_randomness)?);
        let now = Instant::now();
        let session = Session { token_hash: administrator.token_hash, page_key, began: now, used: now };
        self.keep(secret::digest(secret.expose_secret()), session);
        Ok(NewSession { secret, good_for: AGE_MAX })
    }

    /// Who has this session, which is used with that.
    ///
    /// # Errors
    /// [`AdministratorError::Refused`] if there is none, or it has ended; the others say that this cannot be known now.
    pub async fn of(&self, administrators: &Administrators, secret: &str) -> Result<SignedIn, AdministratorError> {
        let id = secret::digest(secret);
        let session = self.used(&id).ok_or(AdministratorError::Refused)?;
        match administrators.verify_hash(session.token_hash).await {
            Ok(administrator) => {
                let (id, name) = (administrator.id.as_str().to_owned(), administrator.name);
                Ok(SignedIn { id, name, page_key: session.page_key })
            }
            Err(error) => {
                if matches!(error, AdministratorError::Refused) {
                    self.sessions.lock().remove(&id);
                }
                Err(error)
            }
        }
    }

    /// Ends a session, if there is one.
    pub fn end(&self, secret: &str) {
        self.sessions.lock().remove(&secret::digest(secret));
    }

    /// How many sessions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let now = Instant::now();
        self.sessions.lock().values().filter(|session| session.is_good(now)).count()
    }

    fn used(&self, id: &[u8; 32]) -> Option<Session> {
        let now = Instant::now();
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(id).filter(|session| session.is_good(now));
        if let Some(session) = session {
            session.used = now;
            return Some(session.clone());
        }
        sessions.remove(id);
        None
    }

    /// The one that was used least recently gives way, to one of its own administrator or to anybody's.
    fn keep(&self, id: [u8; 32], session: Session) {
        let now = Instant::now();
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, session| session.is_good(now));
        for (owner, max) in [(Some(session.token_hash), OF_ONE_MAX), (None, SESSIONS_MAX)] {
            let of_owner = || sessions.iter().filter(|(_, known)| owner.is_none_or(|owner| known.token_hash == owner));
            if of_owner().count() >= max
                && let Some(oldest) = of_owner().min_by_key(|(_, known)| known.used).map(|(id, _)| *id)
            {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(id, session);
    }
}

impl Session {
    fn is_good(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE_MAX && now.duration_since(self.began) < AGE_MAX
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::{AGE_MAX, IDLE_MAX, OF_ONE_MAX, SESSIONS_MAX, Session, Sessions};

    fn session(owner: u8) -> Session {
        let now = Instant::now();
        Session { token_hash: [owner; 32], page_key: String::new(), began: now, used: now }
    }

    fn id(number: usize) -> [u8; 32] {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_it_is_not_used_and_when_it_is_old() {
        let sessions = Sessions::default();
        sessions.keep(id(1), session(1));
        advance(IDLE_MAX - IDLE_MAX / 10).await;
        assert!(sessions.used(&id(1)).is_some());
        advance(IDLE_MAX).await;
        assert!(sessions.used(&id(1)).is_none());
        assert_eq!(sessions.count(), 0);
        sessions.keep(id(2), session(1));
        let began = Instant::now();
        while began.elapsed() < AGE_MAX {
            assert!(sessions.used(&id(2)).is_some());
            advance(IDLE_MAX / 2).await;
        }
        assert!(sessions.used(&id(2)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_bounded_and_the_least_used_give_way() {
        let sessions = Sessions::default();
        sessions.keep(id(0), session(1));
        for number in 1..=OF_ONE_MAX {
            advance(std::time::Duration::from_millis(1)).await;
            sessions.keep(id(number), session(1));
        }
        assert_eq!(sessions.count(), OF_ONE_MAX);
        assert!(sessions.used(&id(0)).is_none() && sessions.used(&id(1)).is_some());
        for number in 0..SESSIONS_MAX * 2 {
            let owner = u8::try_from(number % 100).expect("small");
            sessions.keep(id(1_000 + number), session(owner));
        }
        assert_eq!(sessions.count(), SESSIONS_MAX);
    }
}
