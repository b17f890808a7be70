//! Ports that stay ours while a node is down.
//!
//! A node that restarts must get its port back. Binding port 0 and letting go of it does not give that: the kernel
//! may hand the number to any outgoing connection in the meantime. So ports are taken from below the range that
//! the kernel uses for itself, in blocks; a lock on a file keeps a block from other test processes, and the kernel
//! drops the lock when the process dies.

use crate::run::lock_dir;
use anyhow::{Context as _, Result, bail};
use rand::RngExt as _;
use std::fs::{self, File};
use std::net::TcpListener;

/// A block of ports on 127.0.0.1 that no other test process takes as long as this value lives.
#[derive(Debug)]
pub struct Ports {
    free: Vec<u16>,
    _lock: File,
}

impl Ports {
    /// Reserves a block.
    ///
    /// # Errors
    /// When no block is left, or the directory of the lock files cannot be written.
    pub fn reserve() -> Result<Self> {
        let dir = lock_dir()?;
        let blocks = (first_ephemeral() - FIRST) / BLOCK;
        let start = rand::rng().random_range(0..blocks);
        for step in 0..blocks {
            let first = FIRST + (start + step) % blocks * BLOCK;
            let path = dir.join(format!("ports-{first}"));
            let lock = File::create(&path).with_context(|| format!("create {}", path.display()))?;
            if lock.try_lock().is_ok() {
                // Somebody outside of these tests may sit on some of them.
                let free: Vec<u16> = (first..first + BLOCK).rev().filter(|port| is_free(*port)).collect();
                if free.len() > usize::from(BLOCK / 2) {
                    return Ok(Self { free, _lock: lock });
                }
            }
        }
        bail!("all {blocks} blocks of ports are in use")
    }

    /// Takes one port of the block.
    ///
    /// # Errors
    /// When the block is used up: the cluster has more nodes than the block was made for.
    pub fn take(&mut self) -> Result<u16> {
        self.free.pop().context("the block of ports is used up")
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The lowest port that the kernel gives to outgoing connections.
fn first_ephemeral() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .filter(|first| *first > FIRST + 10 * BLOCK)
        .unwrap_or(32_768)
}

const FIRST: u16 = 12_000;
const BLOCK: u16 = 64;

#[cfg(test)]
mod tests {
    use super::Ports;

    #[test]
    fn two_blocks_have_no_port_in_common() {
        let mut one = Ports::reserve().expect("a block");
        let two = Ports::reserve().expect("another block");
        assert!(one.free.iter().all(|port| !two.free.contains(port)));
        let port = one.take().expect("a port");
        assert!(super::is_free(port));
    }
}
