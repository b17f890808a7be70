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

/// Blocks of ports on 127.0.0.1 that no other test process takes as long as this value lives.
#[derive(Debug)]
pub struct Ports {
    free: Vec<u16>,
    locks: Vec<File>,
}

impl Ports {
    /// Reserves a block.
    ///
    /// # Errors
    /// When no block is left, or the directory of the lock files cannot be written.
    pub fn reserve() -> Result<Self> {
        let (free, lock) = block()?;
        Ok(Self { free, locks: vec![lock] })
    }

    /// Takes one port, of another block if the first is used up.
    ///
    /// # Errors
    /// When no further block is left.
    pub fn take(&mut self) -> Result<u16> {
        if self.free.is_empty() {
            let (free, lock) = block()?;
            self.free = free;
            self.locks.push(lock);
        }
        self.free.pop().context("a block has ports")
    }
}

/// The ports of a block that nobody else has, and the lock that keeps it.
fn block() -> Result<(Vec<u16>, File)> {
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
                return Ok((free, lock));
            }
        }
    }
    bail!("all {blocks} blocks of ports are in use")
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

    #[test]
    fn there_is_always_another_block() {
        let mut ports = Ports::reserve().expect("a block");
        let taken: std::collections::BTreeSet<u16> = (0..2 * super::BLOCK).map(|_| ports.take().expect("a port")).collect();
        assert_eq!(taken.len(), 2 * usize::from(super::BLOCK));
    }
}
