//! The bytes that travel from one end to another, and the settings that govern them.
//!
//! A flow is one *direction*. The connection that A opened to B and the one that B opened to A both carry bytes from A
//! to B, and both obey the flow from A to B: a one-way cut of the network knows nothing of who dialled.

use crate::seed::Seed;
use parking_lot::Mutex;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// One direction between two ends, shared by all connections between them.
#[derive(Debug)]
pub struct Flow {
    settings: watch::Sender<Settings>,
    passed: AtomicU64,
    held: AtomicU64,
    flips: Mutex<Flips>,
}

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether bytes pass. A closed flow holds them, as a network does that loses packets: TCP sends them again, and
    /// they arrive once the flow opens. The ends notice nothing but silence.
    pub open: bool,
    /// How long each byte is under way.
    pub delay: Duration,
    /// Bytes per second, or no limit.
    pub rate: Option<NonZeroU64>,
    /// Flip one bit about every so many bytes.
    pub flip_every: Option<NonZeroU64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { open: true, delay: Duration::ZERO, rate: None, flip_every: None }
    }
}

impl Flow {
    /// An open flow.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        let flips = Flips { rng: seed.rng("flips"), left: 0, done: 0 };
        Self {
            settings: watch::Sender::new(Settings::default()),
            passed: AtomicU64::new(0),
            held: AtomicU64::new(0),
            flips: Mutex::new(flips),
        }
    }

    /// Changes the settings; bytes that are under way obey the new ones.
    pub fn adjust(&self, change: impl FnOnce(&mut Settings)) {
        self.settings.send_modify(change);
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        *self.settings.borrow()
    }

    /// How many bytes have arrived.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// How many bytes were sent and have not arrived: they are delayed, or wait for the flow to open.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// How many bits were flipped.
    #[must_use]
    pub fn flips(&self) -> u64 {
        self.flips.lock().done
    }

    /// Waits until the flow is open.
    pub(super) async fn opened(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.settings.subscribe().wait_for(|settings| settings.open).await;
    }

    pub(super) fn departed(&self, bytes: usize) {
        self.held.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn arrived(&self, bytes: usize) {
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, bytes: usize) {
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Flips the bits whose turn it is.
    pub(super) fn damage(&self, bytes: &mut [u8]) {
        if let Some(every) = self.settings().flip_every {
            self.flips.lock().damage(bytes, every);
        }
    }
}

/// Where the next flip falls.
#[derive(Debug)]
struct Flips {
    rng: StdRng,
    /// Bytes to go; 0 means that the next place has not been chosen.
    left: u64,
    done: u64,
}

impl Flips {
    fn damage(&mut self, mut bytes: &mut [u8], every: NonZeroU64) {
        loop {
            if self.left == 0 || self.left > every.get() * 2 {
                self.left = self.rng.random_range(1..=every.get() * 2);
            }
            let Some(place) = usize::try_from(self.left - 1).ok().filter(|place| *place < bytes.len()) else {
                self.left -= bytes.len() as u64;
                return;
            };
            bytes[place] ^= 1 << self.rng.random_range(0..8);
            self.done += 1;
            self.left = 0;
            bytes = &mut bytes[place + 1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, NonZeroU64, Seed};

    #[test]
    fn flips_about_as_often_as_asked() {
        let flow = Flow::new(Seed::new(1));
        let mut bytes = vec![0_u8; 1 << 20];
        flow.damage(&mut bytes);
        assert!(bytes.iter().all(|byte| *byte == 0), "off by default");
        flow.adjust(|settings| settings.flip_every = NonZeroU64::new(1000));
        for chunk in bytes.chunks_mut(777) {
            flow.damage(chunk);
        }
        let flipped = bytes.iter().filter(|byte| **byte != 0).count() as u64;
        assert_eq!(flipped, flow.flips());
        assert!((800..1300).contains(&flipped), "{flipped} of about 1048");
    }
}
