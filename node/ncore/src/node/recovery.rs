//! What is done to a node that does not run: making a cluster of it alone, from what it has or from a backup.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ncore_control::rebuild::{RAFT, Rebuilt, Recovered, Recovery, Restoration, STATE, TailChoice, beginning_after, recover, restore};
use ncore_identity::{IdentityHandle, IdentityStore, NODE_VALIDITY, NodeIdentity};
use ncore_model::state_hash;
use ncore_replica::{Replica, ReplicaError};

use super::{data_dir::DataDir, describe, rebuilt, unix_ms};
use crate::config::Config;

/// A recovery that is complete but for taking effect. Dropped, it has not been.
pub(crate) struct Prepared {
    /// Held until the end.
    _lock: DataDir,
    dir: PathBuf,
    /// Who is recovered.
    pub(crate) identity: NodeIdentity,
    /// What it will be.
    pub(crate) recovered: Recovered,
}

impl Prepared {
    /// Builds a cluster of the node alone, beside what it has.
    pub(crate) fn build(config: &Config, tail: TailChoice, number: Option<u32>) -> Result<Self> {
        let dir = config.node.data_dir.clone();
        if !dir.exists() {
            bail!("there is no data directory {}", dir.display());
        }
        let lock = DataDir::lock(&dir)?;
        rebuilt::finish(&dir)?;
        let identity = IdentityStore::at(&dir).load().context("cannot load the identity of this node")?;
        if identity.authority().is_none() {
            bail!(
                "this node does not hold the cluster's authority, and without that no machine could ever join: recover a node that was a \
                 voter, or restore a backup"
            );
        }
        let target = rebuilt::begin(&dir)?;
        let recovery = Recovery {
            raft_dir: &dir.join(RAFT),
            state_dir: &dir.join(STATE),
            target: &target,
            identity: &identity,
            address: config.cluster_address(),
            tail,
            number,
            at_ms: unix_ms(),
        };
        match recover(&recovery) {
            Ok(recovered) => Ok(Self { _lock: lock, dir, identity, recovered }),
            Err(error) => {
                rebuilt::discard(&dir)?;
                Err(error).context("cannot recover")
            }
        }
    }

    /// Makes the node what was built. Gives where its old log and state are kept.
    pub(crate) fn take_over(self) -> Result<PathBuf> {
        renew_if_due(&self.dir, self.identity)?;
        rebuilt::take_over(&self.dir, &format!("replaced-{}", self.recovered.rebuilt.base))
    }

    /// Leaves the node as it is.
    pub(crate) fn discard(self) -> Result<()> {
        rebuilt::discard(&self.dir)
    }
}

/// A certificate that expired while the cluster was down would keep everybody out; whoever holds the authority needs nobody for a
/// new one.
fn renew_if_due(dir: &Path, identity: NodeIdentity) -> Result<()> {
    let now = unix_ms() / 1_000;
    if !identity.needs_renewal(now) {
        return Ok(());
    }
    let renew = |identity: &NodeIdentity| -> Result<NodeIdentity> {
        let request = identity.new_csr()?;
        let authority = identity.authority().context("this node does not hold the authority")?;
        let certificate = authority.sign_csr(request.der(), &identity.name(), NODE_VALIDITY, now)?;
        Ok(identity.install(request, certificate, now)?)
    };
    match IdentityStore::at(dir).update(&IdentityHandle::new(identity), renew) {
        Ok(_) => Ok(()),
        Err(ncore_identity::UpdateError::Change(error)) => Err(error).context("cannot renew the certificate"),
        Err(ncore_identity::UpdateError::Save(error)) => Err(error).context("cannot keep the renewed certificate"),
    }
}

/// A machine that is to be the first node of a cluster restored from a backup.
pub(crate) struct EmptyNode {
    /// Held until the end.
    _lock: DataDir,
    dir: PathBuf,
    target: PathBuf,
}

/// What a backup says that it holds.
pub(crate) struct Expected {
    /// The revision: lineage,
    pub(crate) lineage: u32,
    /// and index.
    pub(crate) index: u64,
    /// The hash of the whole state.
    pub(crate) state_hash: [u8; 32],
}

impl EmptyNode {
    /// Takes the data directory, which may hold content and must hold no node.
    pub(crate) fn claim(config: &Config) -> Result<Self> {
        let dir = config.node.data_dir.clone();
        let lock = DataDir::lock(&dir)?;
        rebuilt::finish(&dir)?;
        for part in ["identity", RAFT, STATE] {
            if dir.join(part).exists() {
                bail!("{} holds a node already: {part} is there. Restore on an empty data directory", dir.display());
            }
        }
        let target = rebuilt::begin(&dir)?;
        Ok(Self { _lock: lock, dir, target })
    }

    /// Where the files of the backup belong. It does not exist yet.
    pub(crate) fn checkpoint_dir(&self) -> PathBuf {
        self.target.join("checkpoint")
    }

    /// Makes the node, with an authority of its own. Gives the name of the new cluster.
    pub(crate) fn restore(self, config: &Config, expected: &Expected, number: Option<u32>) -> Result<(String, Rebuilt)> {
        let built = self.build(config, expected, number);
        if built.is_err() {
            rebuilt::discard(&self.dir)?;
        }
        let built = built?;
        rebuilt::take_over(&self.dir, "replaced")?;
        Ok(built)
    }

    fn build(&self, config: &Config, expected: &Expected, number: Option<u32>) -> Result<(String, Rebuilt)> {
        let checkpoint = self.checkpoint_dir();
        let (revision, hash) = Replica::read_checkpoint(&checkpoint, |view| {
            Ok::<_, ReplicaError>((view.revision(), state_hash(view).map_err(ReplicaError::Table)?))
        })
        .context("the backup cannot be read")?;
        if (revision.lineage, revision.index, hash) != (expected.lineage, expected.index, expected.state_hash) {
            bail!("the backup is not what its manifest says: it holds the state at revision {revision}, with another hash");
        }
        let identity = NodeIdentity::found(beginning_after(revision.index), unix_ms() / 1_000)?;
        let restoration = Restoration {
            checkpoint: &checkpoint,
            target: &self.target,
            identity: &identity,
            description: describe(config),
            number,
            at_ms: unix_ms(),
        };
        let rebuilt = restore(restoration).context("cannot restore")?;
        IdentityStore::at(&self.target).create(&identity).context("cannot keep the new identity")?;
        std::fs::remove_dir_all(&checkpoint).context("cannot remove the files of the backup")?;
        Ok((identity.cluster_id().to_string(), rebuilt))
    }
}
