//! Ports that stay a node's while it does not run.
//!
//! A port that the kernel chose, and that was let go of, may be any outgoing connection's a moment later. So ports are taken from below the
//! range that the kernel uses for itself, and whoever has one holds a datagram socket at the same number, which keeps the tests of this and of
//! other processes from taking it too.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// The first one, and how many there are. The ports of the tests with processes begin behind them.
const FIRST: u16 = 10_000;
const COUNT: u16 = 2_000;

/// A port of the loopback address that no other test takes as long as this lives.
pub(crate) struct Port {
    address: SocketAddr,
    _claim: UdpSocket,
}

impl Port {
    pub(crate) fn claim() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Each process begins somewhere else.
        let begin = u16::try_from(process::id().wrapping_mul(61) % u32::from(COUNT)).expect("less than the count");
        let numbers = (0..COUNT).map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
        numbers.map(|number| SocketAddr::from((Ipv4Addr::LOCALHOST, number))).find_map(Self::claim_at).expect("a free port")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn claim_at(address: SocketAddr) -> Option<Self> {
        let claim = UdpSocket::bind(address).ok()?;
        // Somebody outside of these tests may listen there.
        TcpListener::bind(address).ok()?;
        Some(Self { address, _claim: claim })
    }
}
