//! Checks a history of asset paths that a failed run of `linearizable_paths` has kept.
//!
//! ```sh
//! cargo run --release -p cluster-tests --example check_history -- /tmp/ncore-history-42.jsonl
//! ```

use anyhow::{Context as _, Result};
use cluster_tests::history::History;
use cluster_tests::linearizability::{AssetPath, Checker};
use std::path::Path;

#[expect(clippy::print_stdout, reason = "a command line")]
fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("which file?")?;
    let history = History::load(Path::new(&path))?;
    Checker::default().check::<AssetPath>(&history).ok()?;
    println!("linearizable: {} operations", history.operations.len());
    Ok(())
}
