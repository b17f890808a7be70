//! How a node is measured beside other servers: by slices, of which the median counts.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use clap::Args;

use crate::load::{By, Load};

/// The binary, and how long and how often it is measured.
#[derive(Args)]
pub(crate) struct Slicing {
    /// The binary to measure
    #[arg(long)]
    pub(crate) ncore: PathBuf,
    /// How long each slice takes
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// Requests under way at a time
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: u32,
    /// Slices of each server and case; the one with the median rate is printed
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

impl Slicing {
    /// Whether there is anything to measure.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.rounds > 0 && self.seconds > 0, "--rounds and --seconds must be at least 1");
        Ok(())
    }

    /// The load of one slice.
    pub(crate) fn load<'a>(&self, by: By<'a>) -> Load<'a> {
        Load { by, connections: self.connections, duration: Duration::from_secs(self.seconds) }
    }
}
