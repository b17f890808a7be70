//! What goes wrong between an identity and its files.

use std::io;
use std::path::PathBuf;

use crate::error::{AuthorityError, IdentityError};

/// The identity on disk was not loaded. This machine's fault; a retry helps only for [`LoadError::Io`], and only when its
/// cause went away.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is none yet: the normal state of a new machine.
    #[error("there is no node identity in {}; run `ncore init` for a new cluster, or start with a join token", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file could not be read: check its owner, its mode and the disk.
    #[error("cannot read {}; check that it belongs to the user who runs ncore, and the disk", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by a later version: run that version again, or a later one.
    #[error("{} has format {found}, and this version reads format 1; run the version that wrote it", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Not a file that this software writes: damaged or edited. Restore it from a backup, or join anew.
    #[error(
        "{} is damaged at line {line}, column {column}; restore it from a backup, or empty the data directory and join anew",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// One value in it cannot be read. As [`LoadError::Malformed`].
    #[error("the {field} in {} cannot be read; restore the file from a backup, or empty the data directory and join anew", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Which value.
        field: &'static str,
    },
    /// Readable, but its parts do not belong together. As [`LoadError::Malformed`].
    #[error("the parts of {} do not belong together; restore the file from a backup, or empty the data directory and join anew", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Which parts.
        source: IdentityError,
    },
    /// The authority's key beside it cannot be used. On a voter that is not the last: delete the file, and the node
    /// fetches the key from another voter. On the last one: restore it from a backup.
    #[error(
        "the authority's key in {} cannot be used; if another voter has it, delete this file and it is fetched anew, \
         otherwise restore it from a backup",
        path.display()
    )]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: AuthorityError,
    },
}

/// The identity was not written; on disk is what was there before, or (only when the last step, the sync of the
/// directory, failed) possibly the new one. Both are whole.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// This machine already is a node. Nothing was changed.
    #[error("there already is a node identity at {}; a machine is a node of one cluster, use another data directory", path.display())]
    AlreadyExists {
        /// The identity that is there.
        path: PathBuf,
    },
    /// A file operation failed: check space, owner and mode. After a failed sync the process should stop.
    #[error("cannot {operation} {}; check the free space and that the data directory belongs to the user who runs ncore", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The crypto library did not give the key out, or could not seal it. A defect or a machine without randomness.
    #[error("the private key cannot be written to {}", path.display())]
    Key {
        /// The file that was to hold it.
        path: PathBuf,
    },
}

/// A change of the identity did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError<E> {
    /// The change itself was refused; nothing was written.
    #[error("the identity was not changed")]
    Change(#[source] E),
    /// The changed identity could not be written; the old one stays in use.
    #[error("the changed identity could not be written")]
    Save(#[source] SaveError),
}
