//! Making bytes durable, once, and saying so when it failed.
//!
//! After a failed fsync Linux marks the pages clean: the next fsync succeeds although the bytes are
//! gone. So there is no retry here and no way back: the first failure is remembered, every later
//! write is refused, and the owner is told to stop the process.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::error::StoreError;

/// The fsync that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("fsync of the {what} failed")]
pub struct FsyncFailure {
    /// What was to be made durable.
    pub what: &'static str,
    /// The answer of the operating system or of RocksDB.
    #[source]
    pub source: Arc<io::Error>,
}

/// The one place where the store calls fsync.
#[derive(Debug)]
pub(crate) struct Durability {
    failure: watch::Sender<Option<FsyncFailure>>,
    /// What was made durable, in order.
    #[cfg(test)]
    pub(crate) synced: parking_lot::Mutex<Vec<&'static str>>,
}

impl Durability {
    pub(crate) fn new() -> Self {
        Self {
            failure: watch::Sender::new(None),
            #[cfg(test)]
            synced: Default::default(),
        }
    }

    /// Refuses if an fsync has failed before.
    pub(crate) fn guard(&self) -> Result<(), StoreError> {
        match *self.failure.borrow() {
            Some(_) => Err(StoreError::FsyncFailed),
            None => Ok(()),
        }
    }

    /// Makes the content of a file durable. Blocks.
    pub(crate) fn sync_file(&self, file: &File, what: &'static str) -> Result<(), StoreError> {
        self.guard()?;
        file.sync_data().map_err(|source| self.fail(what, source))?;
        #[cfg(test)]
        self.synced.lock().push(what);
        Ok(())
    }

    /// Makes the names in a directory durable. Blocks.
    pub(crate) fn sync_dir(&self, dir: &Path, what: &'static str) -> Result<(), StoreError> {
        self.guard()?;
        let dir = File::open(dir).map_err(StoreError::io("open a directory"))?;
        dir.sync_all().map_err(|source| self.fail(what, source))?;
        #[cfg(test)]
        self.synced.lock().push(what);
        Ok(())
    }

    /// Records a failure. The first one stays.
    pub(crate) fn fail(&self, what: &'static str, source: io::Error) -> StoreError {
        tracing::error!(what, error = %source, "fsync failed, the process must stop");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(FsyncFailure { what, source: Arc::new(source) });
            }
            first
        });
        StoreError::FsyncFailed
    }

    /// Completes when an fsync has failed.
    pub(crate) async fn failed(&self) -> FsyncFailure {
        let mut failure = self.failure.subscribe();
        loop {
            if let Some(failure) = failure.borrow_and_update().clone() {
                return failure;
            }
            // The sender is `self`, which outlives this borrow, so that this never errs.
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_failed_fsync_is_fatal_for_good() {
        let durability = Durability::new();
        // The null device has no fsync: the kernel answers EINVAL.
        let null = File::open("/dev/null").expect("the null device opens");
        let good = tempfile::tempfile().expect("a temporary file");
        durability.sync_file(&good, "data").expect("a file that can be synced");
        let error = durability.sync_file(&null, "data");
        assert!(matches!(error, Err(StoreError::FsyncFailed)), "{error:?}");
        let retried = durability.sync_file(&good, "data");
        assert!(matches!(retried, Err(StoreError::FsyncFailed)), "{retried:?}");
        let failure = tokio::time::timeout(Duration::from_secs(5), durability.failed()).await.expect("the failure is told");
        assert_eq!(failure.what, "data");
    }
}
