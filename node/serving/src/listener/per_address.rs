//! How many connections each address has.
//!
//! Of IPv6 it is the network of 64 bits that counts: that is what one customer is given, and may take addresses from at will.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// Counts connections by address.
#[derive(Debug)]
pub(super) struct PerAddress {
    max: usize,
    hashing: RandomState,
    /// In parts, so that accept loops seldom wait for each other. An address without connections is not in it.
    open: [Mutex<HashMap<IpAddr, usize>>; PARTS],
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    all: Arc<PerAddress>,
    network: IpAddr,
}

impl PerAddress {
    /// At most `max` for each address; 0 for no limit.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, hashing: RandomState::new(), open: Default::default() })
    }

    /// Counts a connection from `ip`; `None` if it has as many as it may.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Counted> {
        let network = network(ip);
        if self.max > 0 {
            let mut open = self.part(network).lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(network).or_default();
            if *count >= self.max {
                return None;
            }
            *count += 1;
        }
        Some(Counted { all: Arc::clone(self), network })
    }

    fn part(&self, network: IpAddr) -> &Mutex<HashMap<IpAddr, usize>> {
        let parts = PARTS as u64;
        &self.open[usize::try_from(self.hashing.hash_one(network) % parts).unwrap_or(0)]
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.all.max == 0 {
            return;
        }
        let mut open = self.all.part(self.network).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        ip @ IpAddr::V4(_) => ip,
    }
}

const PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::PerAddress;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_address_has_a_count_of_its_own() {
        let all = PerAddress::new(2);
        let one = ip("192.0.2.1");
        let held = [all.admit(one).expect("the first"), all.admit(ip("::ffff:192.0.2.1")).expect("the second")];
        assert!(all.admit(one).is_none());
        assert!(all.admit(ip("192.0.2.2")).is_some());
        drop(held);
        assert!(all.open.iter().all(|part| part.lock().expect("whole").is_empty()));
        assert!(all.admit(one).is_some());
    }

    #[test]
    fn of_ipv6_a_network_counts() {
        let all = PerAddress::new(1);
        let _held = all.admit(ip("2001:db8::1")).expect("the first");
        assert!(all.admit(ip("2001:db8::ffff:1:2:3")).is_none());
        assert!(all.admit(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn nothing_is_no_limit() {
        let all = PerAddress::new(0);
        let held: Vec<_> = (0..100).map(|_| all.admit(ip("192.0.2.1")).expect("admitted")).collect();
        drop(held);
    }
}
