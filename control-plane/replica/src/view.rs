//! The state at one moment.

use ncore_model::{ReadTables, Revision, Row, Table, TableError};

use crate::database::Moment;

/// The state as it was at [`revision`](Self::revision), whatever is applied meanwhile.
pub struct View<'a> {
    pub(crate) moment: &'a Moment<'a>,
    pub(crate) revision: Revision,
}

impl View<'_> {
    /// The last entry that the view includes.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

impl ReadTables for View<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.moment.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        self.moment.scan(table, prefix, from, limit)
    }
}
