//! Taking over a checkpoint, when entries are not to be had any more.

use std::sync::Arc;

use ncore_raft::{CheckpointError, CheckpointPuller, Fatal, FatalReason, StateMachine};
use tokio::task;

use super::parents::Candidate;
use crate::machine::ReplicaMachine;

/// Pulls checkpoints and installs them.
pub(crate) struct Catcher {
    machine: Arc<ReplicaMachine>,
    puller: CheckpointPuller,
}

/// Why no checkpoint was installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatchError {
    /// It could not be had from there; perhaps from another.
    #[error("no checkpoint came")]
    Pull(#[source] CheckpointError),
    /// It does not reach beyond what this node has.
    #[error("the checkpoint reaches index {found}, and this node has {own}")]
    Backwards {
        /// How far it reaches.
        found: u64,
        /// How far this node is.
        own: u64,
    },
    /// The node must stop.
    #[error("the node must stop")]
    Fatal(#[source] FatalReason),
}

impl Catcher {
    pub(crate) fn new(machine: Arc<ReplicaMachine>, puller: CheckpointPuller) -> Self {
        Self { machine, puller }
    }

    /// Bytes that are here of the checkpoint that was pulled last.
    pub(crate) fn present(&self) -> u64 {
        self.puller.present()
    }

    /// Replaces the state by the newest checkpoint of a voter, which must reach at least to the entry before `oldest`.
    pub(crate) async fn catch_up(&self, source: &Candidate, oldest: u64) -> Result<(), CatchError> {
        let own = self.machine.next();
        // Never backwards, and not the same again.
        let at_least = oldest.saturating_sub(1).max(own);
        let checkpoint = match self.puller.pull(source.node.0, &source.address, at_least).await {
            Ok(checkpoint) => checkpoint,
            Err(CheckpointError::Disk { path, source }) => {
                return Err(CatchError::Fatal(FatalReason::Snapshot { path, source: Arc::new(source) }));
            }
            Err(error) => return Err(CatchError::Pull(error)),
        };
        let found = checkpoint.position().index;
        if found < own {
            return Err(CatchError::Backwards { found, own });
        }
        let (machine, dir) = (Arc::clone(&self.machine), checkpoint.dir().to_owned());
        let installed = task::spawn_blocking(move || machine.install(&dir))
            .await
            .unwrap_or_else(|error| Err(Fatal::new("install a checkpoint", error)));
        installed.map_err(|fatal| CatchError::Fatal(FatalReason::Machine(fatal)))?;
        tracing::info!(source = %source.node, index = found, bytes = checkpoint.bytes(), "took over a checkpoint");
        if let Err(error) = self.puller.discard(&checkpoint) {
            tracing::warn!(%error, "a checkpoint that was taken over could not be removed; the next one replaces it");
        }
        Ok(())
    }
}
