//! Session tickets that every node opens: a viewer that comes back to the network, at whichever node, is spared a full handshake.
//!
//! The nodes share a secret, out of which each makes the key of an *epoch* (half a day by the clock) for itself: nothing is
//! replicated and nothing has to be agreed on. A ticket is sealed under the key of the epoch in which it is made, and
//! opened in that one and the next, and by a node whose clock is behind in the one before.
//!
//! ```text
//!   [1] [epoch: 8] [salt: 16] [nonce: 12] [AES-256-GCM ciphertext] [tag: 16]
//! ```
//!
//! What the text is sealed with is HMAC-SHA-256 of the salt under the epoch's key: all nodes seal under the same epoch, and
//! random nonces alone would be too short for what a large network makes of tickets. All before the text is authenticated.
//!
//! # What it costs
//! Whoever gets hold of the secret can open tickets that were seen on the wire, of all times. A TLS 1.3 session stays closed
//! to them all the same, since each resumption agrees on fresh keys; of TLS 1.2 the ticket holds all that there is, so
//! such sessions have forward secrecy only as long as the secret is one. [`Resumption::Off`](super::Resumption::Off) is for those who mind.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac, rand,
};
use rustls::server::ProducesTickets;

/// The secret that nodes share, as far as tickets go.
pub trait TicketKeys: Send + Sync {
    /// The key of an epoch: the same at each node, and telling nothing of another.
    fn key(&self, epoch: u64) -> [u8; 32];
}

impl<F: Fn(u64) -> [u8; 32] + Send + Sync> TicketKeys for F {
    fn key(&self, epoch: u64) -> [u8; 32] {
        self(epoch)
    }
}

/// Seals and opens tickets.
pub(super) struct SharedTickets {
    keys: Arc<dyn TicketKeys>,
    now_s: fn() -> u64,
    around: ArcSwap<Around>,
}

/// The keys of an epoch, and of those before and after it.
struct Around {
    epoch: u64,
    keys: [hmac::Key; 3],
}

impl SharedTickets {
    pub(super) fn new(keys: Arc<dyn TicketKeys>) -> Self {
        Self::by(keys, wall_clock)
    }

    pub(super) fn by(keys: Arc<dyn TicketKeys>, now_s: fn() -> u64) -> Self {
        let around = ArcSwap::from_pointee(Around::new(&*keys, now_s() / EPOCH_S));
        Self { keys, now_s, around }
    }

    /// The keys of now. Of several that find an epoch over, each makes the same.
    fn around(&self) -> Arc<Around> {
        let epoch = (self.now_s)() / EPOCH_S;
        let around = self.around.load_full();
        if around.epoch == epoch {
            return around;
        }
        let around = Arc::new(Around::new(&*self.keys, epoch));
        self.around.store(Arc::clone(&around));
        around
    }
}

impl Around {
    fn new(keys: &dyn TicketKeys, epoch: u64) -> Self {
        let key = |epoch| hmac::Key::new(hmac::HMAC_SHA256, &keys.key(epoch));
        Self { epoch, keys: [key(epoch.wrapping_sub(1)), key(epoch), key(epoch.wrapping_add(1))] }
    }

    fn of(&self, epoch: u64) -> Option<&hmac::Key> {
        let at = epoch.wrapping_sub(self.epoch).wrapping_add(1);
        self.keys.get(usize::try_from(at).ok()?)
    }
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let around = self.around();
        let mut ticket = vec![0; OPEN_LEN];
        ticket[0] = VERSION;
        ticket[EPOCH_AT..SALT_AT].copy_from_slice(&around.epoch.to_be_bytes());
        rand::fill(&mut ticket[SALT_AT..]).ok()?;
        ticket.extend_from_slice(plain);
        let (open, text) = ticket.split_at_mut(OPEN_LEN);
        let (key, nonce) = sealed_with(around.of(around.epoch)?, open)?;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*open), text).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_MAX {
            return None;
        }
        let (open, text) = ticket.split_at_checked(OPEN_LEN)?;
        if open[0] != VERSION {
            return None;
        }
        let epoch = u64::from_be_bytes(open[EPOCH_AT..SALT_AT].try_into().ok()?);
        let around = self.around();
        let (key, nonce) = sealed_with(around.of(epoch)?, open)?;
        let mut text = text.to_vec();
        let plain = key.open_in_place(nonce, Aad::from(open), &mut text).ok()?.len();
        text.truncate(plain);
        Some(text)
    }
}

impl fmt::Debug for SharedTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTickets(..)")
    }
}

/// The key of a ticket, and its nonce, from what stands before its text.
fn sealed_with(of_epoch: &hmac::Key, open: &[u8]) -> Option<(LessSafeKey, Nonce)> {
    let key = hmac::sign(of_epoch, &open[SALT_AT..NONCE_AT]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).ok()?);
    Some((key, Nonce::try_assume_unique_for_key(&open[NONCE_AT..]).ok()?))
}

fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const VERSION: u8 = 1;
const EPOCH_AT: usize = 1;
const SALT_AT: usize = 9;
const NONCE_AT: usize = SALT_AT + 16;
/// What stands before the text.
const OPEN_LEN: usize = NONCE_AT + NONCE_LEN;
/// More than any session takes.
const TICKET_MAX: usize = 16 << 10;
/// Half a day.
const EPOCH_S: u64 = 12 * 3_600;
/// No longer than an epoch, so that a ticket of its first second and one of its last are both opened for as long.
const LIFETIME_S: u32 = 12 * 3_600;

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use rustls::server::ProducesTickets;

    use super::{EPOCH_S, LIFETIME_S, OPEN_LEN, SharedTickets};

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(1_000_000 * EPOCH_S) };
    }

    fn node(secret: u8) -> SharedTickets {
        let keys = move |epoch: u64| {
            let mut key = [secret; 32];
            key[..8].copy_from_slice(&epoch.to_be_bytes());
            key
        };
        SharedTickets::by(Arc::new(keys), || NOW.get())
    }

    fn at(now_s: u64) {
        NOW.set(now_s);
    }

    #[test]
    fn what_one_node_seals_another_opens() {
        let (one, other, stranger) = (node(1), node(1), node(2));
        let ticket = one.encrypt(b"a session").expect("sealed");
        assert_eq!(other.decrypt(&ticket).expect("opened"), b"a session");
        assert_eq!(stranger.decrypt(&ticket), None);
        assert_ne!(one.encrypt(b"a session").expect("sealed"), ticket, "random");
        assert_eq!(other.decrypt(&one.encrypt(b"").expect("sealed")).expect("opened"), b"");
    }

    #[test]
    fn a_ticket_is_good_for_its_lifetime_and_not_for_long_after() {
        let node = node(1);
        for made in [0, EPOCH_S / 2, EPOCH_S - 1].map(|within| 1_000 * EPOCH_S + within) {
            at(made);
            let ticket = node.encrypt(b"a session").expect("sealed");
            // A node whose clock is behind.
            at(made - 60);
            assert!(node.decrypt(&ticket).is_some());
            at(made + u64::from(LIFETIME_S));
            assert!(node.decrypt(&ticket).is_some());
            at(made + 2 * EPOCH_S);
            assert_eq!(node.decrypt(&ticket), None);
        }
    }

    #[test]
    fn a_ticket_that_was_changed_or_cut_is_refused() {
        let node = node(1);
        let ticket = node.encrypt(b"a session").expect("sealed");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(node.decrypt(&changed), None, "byte {at} of {}", ticket.len());
            assert_eq!(node.decrypt(&ticket[..at]), None, "cut at {at}");
        }
        assert_eq!(node.decrypt(&[0xff; OPEN_LEN]), None);
        assert_eq!(node.decrypt(&vec![1; 1 << 20]), None);
    }
}
