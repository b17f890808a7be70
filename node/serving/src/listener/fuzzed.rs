//! What fuzz targets reach of the listener.

use std::{cell::Cell, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rustls::server::ProducesTickets;

pub use super::certificates::fuzzed::shown_for;
use super::{interim, tickets::SharedTickets};

thread_local! {
    static NOW_S: Cell<u64> = const { Cell::new(0) };
}

/// Session tickets of nodes that share a secret, at whatever time.
#[derive(Debug)]
pub struct Tickets(SharedTickets);

impl Tickets {
    /// Of nodes with this secret.
    #[must_use]
    pub fn of(secret: u8) -> Self {
        let keys = move |epoch: u64| {
            let mut key = [secret; 32];
            key[..8].copy_from_slice(&epoch.to_be_bytes());
            key
        };
        Self(SharedTickets::by(Arc::new(keys), || NOW_S.get()))
    }

    /// A ticket of this session, made at this time.
    #[must_use]
    pub fn seal(&self, now_s: u64, session: &[u8]) -> Option<Vec<u8>> {
        NOW_S.set(now_s);
        self.0.encrypt(session)
    }

    /// The session of a ticket that is shown at this time.
    #[must_use]
    pub fn open(&self, now_s: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        NOW_S.set(now_s);
        self.0.decrypt(ticket)
    }
}

/// The head of an interim response as it is sent.
#[must_use]
pub fn interim_head(status: StatusCode, headers: &HeaderMap) -> Bytes {
    interim::encode(status, headers)
}
