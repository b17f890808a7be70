//! The identity on disk: `<data_dir>/identity/`, mode 0700, with files of mode 0600.
//!
//! ```text
//!   node.json       private key, certificate, trusted authorities, cluster key
//!   authority.key   the authority's private key, sealed under the cluster key; only on nodes that hold it
//! ```
//!
//! Everything that must fit together is in one file, so that one rename changes it: after a crash the old identity is
//! there or the new one, never a key without its certificate. `authority.key` is written first, because `node.json` is
//! what makes the directory count: a founder that crashes in between has founded nothing and starts again.
//!
//! Who may read the data directory is the node. `node.json` is not encrypted: its key would have to lie beside it.
//!
//! All methods block on the disk; asynchronous callers use a thread for blocking work.

mod files;
mod record;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::zeroize::Zeroizing;

use crate::error::{LoadError, SaveError, UpdateError};
use crate::identity::NodeIdentity;
use crate::tls::IdentityHandle;

/// The identity directory of one data directory. One process uses it at a time (the lock on the data directory is the
/// caller's); within the process changes happen one after another.
pub struct IdentityStore {
    dir: PathBuf,
    changing: Mutex<()>,
}

impl IdentityStore {
    /// The store of this data directory. Touches nothing yet.
    #[must_use]
    pub fn at(data_dir: &Path) -> Self {
        Self { dir: data_dir.join(DIRECTORY), changing: Mutex::new(()) }
    }

    /// Reads the identity and checks that its parts fit. An expired one loads as well; see
    /// [`NodeIdentity::expires_at`].
    ///
    /// # Errors
    /// [`LoadError::Missing`] on a machine that is no node yet; otherwise damage, and what to do about it.
    pub fn load(&self) -> Result<NodeIdentity, LoadError> {
        let path = self.dir.join(NODE_FILE);
        let bytes = read_private(&path)?.ok_or_else(|| LoadError::Missing { path: path.clone() })?;
        let parts = record::decode(&bytes, &path)?;
        let identity = NodeIdentity::assemble(parts).map_err(|source| LoadError::Unfit { path: path.clone(), source })?;

        let path = self.dir.join(AUTHORITY_FILE);
        match read_private(&path)? {
            None => Ok(identity),
            Some(sealed) => identity.with_authority(&sealed).map_err(|source| LoadError::Authority { path, source }),
        }
    }

    /// Writes the first identity of this machine.
    ///
    /// # Errors
    /// [`SaveError::AlreadyExists`] if it is a node already; otherwise the disk. After an error there is no identity.
    pub fn create(&self, identity: &NodeIdentity) -> Result<(), SaveError> {
        let _one_at_a_time = self.changing.lock();
        let path = self.dir.join(NODE_FILE);
        if path.symlink_metadata().is_ok() {
            return Err(SaveError::AlreadyExists { path });
        }
        // Left over from a founding that never completed: it would not open under the new cluster key.
        files::remove(&self.dir.join(AUTHORITY_FILE))?;
        self.write(identity)
    }

    /// Changes the identity in use: `change` makes the new one from the current one, it is written, and only then do new
    /// connections use it. Changes that meet (a renewal, the arrival of the authority) wait for each other.
    ///
    /// # Errors
    /// What `change` refused, or the disk. The old identity stays in use, and (but for the last sync) on disk.
    pub fn update<E>(
        &self,
        handle: &IdentityHandle,
        change: impl FnOnce(&NodeIdentity) -> Result<NodeIdentity, E>,
    ) -> Result<Arc<NodeIdentity>, UpdateError<E>> {
        let _one_at_a_time = self.changing.lock();
        let changed = Arc::new(change(&handle.current()).map_err(UpdateError::Change)?);
        self.write(&changed).map_err(UpdateError::Save)?;
        handle.set(changed.clone());
        Ok(changed)
    }

    fn write(&self, identity: &NodeIdentity) -> Result<(), SaveError> {
        files::create_private_dir(&self.dir)?;
        let authority_path = self.dir.join(AUTHORITY_FILE);
        if let Some(authority) = identity.authority() {
            let sealed = authority.seal(identity.cluster_key()).map_err(|_| SaveError::Key { path: authority_path })?;
            files::replace(&self.dir, AUTHORITY_FILE, &sealed)?;
        }
        let path = self.dir.join(NODE_FILE);
        let record = record::encode(identity).map_err(|_| SaveError::Key { path })?;
        files::replace(&self.dir, NODE_FILE, &record)?;
        if identity.authority().is_none() {
            files::remove(&self.dir.join(AUTHORITY_FILE))?;
        }
        Ok(())
    }
}

impl fmt::Debug for IdentityStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityStore").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// The whole file, wiped on drop; `None` if there is none. Complains when others may read it, but goes on: volume drivers
/// widen modes on their own, and a node that does not start for that helps nobody.
fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, LoadError> {
    let failed = |source| LoadError::Io { path: path.to_owned(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = %format_args!("{mode:04o}"), "secrets are readable by others; make the file 0600");
    }
    if metadata.len() > MAX_FILE {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    fs::read(path).map(|bytes| Some(Zeroizing::new(bytes))).map_err(failed)
}

const DIRECTORY: &str = "identity";
const NODE_FILE: &str = "node.json";
const AUTHORITY_FILE: &str = "authority.key";
/// A real one has 2 KiB.
const MAX_FILE: u64 = 1 << 20;

#[cfg(test)]
mod tests;
