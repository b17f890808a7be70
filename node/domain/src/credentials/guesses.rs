//! Guessing is slow: whoever shows wrong secrets waits, longer each time.
//!
//! Wrong tries are counted for an address, and for a client at an address: not for a client alone, or anybody could keep it out. A
//! count is of this node, and is forgotten some time after the last wrong try. When there are too many counts the oldest gives way.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Counts wrong tries.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    counts: Mutex<HashMap<Guesser, Count>>,
}

/// Who guesses: an address, and whose secret; or an address, whoever's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Guesser {
    address: IpAddr,
    name: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    wrong: u32,
    last: Instant,
}

impl Guesses {
    /// How long this caller has to wait before the next try; `None` if it need not.
    pub(super) fn wait(&self, address: Option<IpAddr>, name: &str) -> Option<Duration> {
        let address = network(address?);
        let counts = self.counts.lock();
        let pairs = [(Some(name), FREE_OF_CLIENT), (None, FREE_OF_ADDRESS)];
        let waits = pairs.into_iter().filter_map(|(name, free)| {
            let count = counts.get(&Guesser { address, name: name.map(str::to_owned) })?;
            (count.last + pause(count.wrong.checked_sub(free)?)).checked_duration_since(Instant::now())
        });
        waits.max().filter(|wait| !wait.is_zero())
    }

    /// Notes a wrong try.
    pub(super) fn wrong(&self, address: Option<IpAddr>, name: &str) {
        let Some(address) = address.map(network) else { return };
        let now = Instant::now();
        let mut counts = self.counts.lock();
        for name in [Some(name.chars().take(NAME_CHARS_MAX).collect()), None] {
            if counts.len() >= COUNTS_MAX {
                counts.retain(|_, count| now.duration_since(count.last) < FORGOTTEN_AFTER);
            }
            let oldest = (counts.len() >= COUNTS_MAX).then(|| counts.iter().min_by_key(|(_, count)| count.last)).flatten();
            if let Some(oldest) = oldest.map(|(guesser, _)| guesser.clone()) {
                counts.remove(&oldest);
            }
            let count = counts.entry(Guesser { address, name }).or_insert(Count { wrong: 0, last: now });
            let wrong = if now.duration_since(count.last) < FORGOTTEN_AFTER { count.wrong } else { 0 };
            *count = Count { wrong: wrong.saturating_add(1), last: now };
        }
    }

    /// Notes a right one: what was wrong before were mistakes.
    pub(super) fn right(&self, address: Option<IpAddr>, name: &str) {
        let Some(address) = address.map(network) else { return };
        self.counts.lock().remove(&Guesser { address, name: Some(name.to_owned()) });
    }
}

/// An IPv4 address, or the network of an IPv6 address that one subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// One second, doubled with each further try.
fn pause(over: u32) -> Duration {
    Duration::from_secs(1).saturating_mul(1 << over.min(30)).min(PAUSE_MAX)
}

/// Wrong tries that cost nothing: of one client's secret, and of anybody's.
const FREE_OF_CLIENT: u32 = 5;
const FREE_OF_ADDRESS: u32 = 20;
const PAUSE_MAX: Duration = Duration::from_secs(60);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// The most counts, of some 100 bytes each.
const COUNTS_MAX: usize = 10_000;
/// The most characters that are kept of what should be a client's id.
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::{COUNTS_MAX, FREE_OF_ADDRESS, FREE_OF_CLIENT, Guesses};

    fn address(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_gets_slower_and_locks_nobody_out() {
        let guesses = Guesses::default();
        for _ in 0..FREE_OF_CLIENT - 1 {
            guesses.wrong(address(1), "cl_a");
        }
        assert_eq!(guesses.wait(address(1), "cl_a"), None);
        guesses.wrong(address(1), "cl_a");
        assert_eq!(guesses.wait(address(1), "cl_a"), Some(Duration::from_secs(1)));
        guesses.wrong(address(1), "cl_a");
        assert_eq!(guesses.wait(address(1), "cl_a"), Some(Duration::from_secs(2)));
        assert_eq!(guesses.wait(address(2), "cl_a"), None);
        assert_eq!(guesses.wait(address(1), "cl_b"), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(guesses.wait(address(1), "cl_a"), None);
        guesses.right(address(1), "cl_a");
        guesses.wrong(address(1), "cl_a");
        assert_eq!(guesses.wait(address(1), "cl_a"), None);
        for client in 0..FREE_OF_ADDRESS {
            guesses.wrong(address(3), &client.to_string());
        }
        assert!(guesses.wait(address(3), "cl_b").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded() {
        let guesses = Guesses::default();
        for client in 0..COUNTS_MAX + 10 {
            guesses.wrong(address(1), &client.to_string());
        }
        assert!(guesses.counts.lock().len() <= COUNTS_MAX);
    }
}
