//! Free space, and the reserve that uploads may not eat.
//!
//! Asked before an upload and again for each block of it, because several uploads grow at once and
//! none of them knows the others. What they can overrun the reserve by is one block each.

use std::fs::File;
use std::path::Path;

use crate::error::StoreError;

/// The file system of the store, and how much of it must stay free.
#[derive(Debug)]
pub(crate) struct Space {
    dir: File,
    reserve_bytes: u64,
    #[cfg(test)]
    pub(crate) pretend_free: std::sync::atomic::AtomicU64,
}

impl Space {
    pub(crate) fn new(dir: &Path, reserve_bytes: u64) -> Result<Self, StoreError> {
        Ok(Self {
            dir: File::open(dir).map_err(StoreError::io("open the data directory"))?,
            reserve_bytes,
            #[cfg(test)]
            pretend_free: std::sync::atomic::AtomicU64::new(u64::MAX),
        })
    }

    /// [`StoreError::Full`] if writing `bytes` would leave less than the reserve. One `fstatvfs`,
    /// which the kernel answers from memory.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), StoreError> {
        let needed = bytes.saturating_add(self.reserve_bytes);
        if self.free()? < needed {
            return Err(StoreError::Full);
        }
        Ok(())
    }

    fn free(&self) -> Result<u64, StoreError> {
        let stat = rustix::fs::fstatvfs(&self.dir).map_err(|errno| StoreError::io("ask for the free space")(errno.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        #[cfg(test)]
        let free = free.min(self.pretend_free.load(std::sync::atomic::Ordering::Relaxed));
        Ok(free)
    }
}
