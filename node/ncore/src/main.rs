//! `ncore`: one binary for the node and for those who run it.
//!
//! This file parses the command line and hands over. What a node is made of stands in `node`, what an operator can do in `cli`,
//! what can be set in `config`.

mod admin;
mod cli;
mod config;
mod ending;
mod machine;
mod metrics;
mod node;

use std::process::ExitCode;

use clap::Parser;

/// Small allocations from many threads, big ones that come and go: the system's allocator fragments under it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
