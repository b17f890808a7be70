//! The schema levels of this node: which it offers, and that its state is at one of them.

use anyhow::{Result, bail};
use ncore_model::{Query, SCHEMA_MAX, SCHEMA_MIN, SchemaRange};
use ncore_replica::Replica;

use crate::config::Config;

/// What the node tells the cluster that it can apply: all that this build can, unless the operator holds it back.
pub(super) fn offered(config: &Config) -> SchemaRange {
    let max = config.cluster.schema_level_max.map_or(SCHEMA_MAX, |max| max.clamp(SCHEMA_MIN, SCHEMA_MAX));
    SchemaRange { min: SCHEMA_MIN, max }
}

/// Refuses a state that the node does not offer to apply: the next entry of the log may be one that it cannot.
///
/// # Errors
/// If the state cannot be read, or is at another level; with what to do about it.
pub(super) fn check(replica: &Replica, offered: SchemaRange) -> Result<()> {
    let Some(level) = replica.cluster()?.map(|cluster| cluster.schema_level) else { return Ok(()) };
    if offered.includes(level) {
        return Ok(());
    }
    let SchemaRange { min, max } = offered;
    if SchemaRange::BUILD.includes(level) {
        bail!(
            "the cluster is at schema level {level}, and cluster.schema_level_max holds this node at {max}: remove the setting. A level \
             that was raised does not come down again"
        );
    }
    bail!(
        "the cluster is at schema level {level}, and this build of ncore {} can apply {min} to {max}: start a build that can apply it \
         (`ncore version` names the levels of a build). A level that was raised does not come down again",
        env!("CARGO_PKG_VERSION")
    )
}
