//! The first start of the first node.
//!
//! `ncore init` leaves a mark beside the identity. While it is there the node makes the cluster: it starts Raft with itself as
//! the only voter and writes the first command. A crash in between is mended by doing it again; and a node that lost its log
//! later can never start a second cluster with the same name, because the mark is gone.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::{Context, Result};
use ncore_control::Control;

const MARK: &str = "founding";

/// Leaves the mark.
pub(crate) fn mark_founding(dir: &Path) -> Result<()> {
    fs::write(dir.join(MARK), "").context("cannot write to the data directory")
}

/// Whether the mark is there.
pub(super) fn is_marked(dir: &Path) -> bool {
    dir.join(MARK).exists()
}

pub(super) async fn found_if_marked(control: &Arc<Control>, dir: &Path) -> Result<()> {
    if !is_marked(dir) {
        return Ok(());
    }
    control.found_cluster().await?;
    match fs::remove_file(dir.join(MARK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("cannot remove the mark of a new cluster"),
        _ => Ok(()),
    }
}
