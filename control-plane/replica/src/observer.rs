//! Who wants to know that the state changed.

use ncore_model::{Revision, Table};

/// A row that was written or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// In which table.
    pub table: Table,
    /// Its key.
    pub key: Vec<u8>,
}

/// Is told of every change, on the thread that applies, in order. Must be quick and must not wait for a revision.
pub trait Observer: Send + Sync + 'static {
    /// These rows changed. They can be read already; `revision` is announced after this returns.
    fn changed(&self, revision: Revision, changes: &[Change]);

    /// The whole state was replaced.
    fn replaced(&self, revision: Revision);
}
