//! Tables, with rows as records.

use super::ApplyError;
use crate::{
    codec::{Record, decode, encode},
    table::{Row, Table, TableError, Tables},
};

/// Typed access to tables.
pub(super) struct Rows<'a, T> {
    tables: &'a mut T,
}

impl<'a, T: Tables> Rows<'a, T> {
    pub(super) fn new(tables: &'a mut T) -> Self {
        Self { tables }
    }

    pub(super) fn get<R: Record>(&self, table: Table, key: &[u8]) -> Result<Option<R>, ApplyError> {
        let Some(bytes) = self.tables.get(table, key).map_err(ApplyError::Table)? else {
            return Ok(None);
        };
        decode(&bytes).map(Some).map_err(|source| ApplyError::Table(TableError::Row { table, source }))
    }

    pub(super) fn put<R: Record>(&mut self, table: Table, key: &[u8], row: &R) -> Result<(), ApplyError> {
        self.tables.put(table, key, encode(row).map_err(ApplyError::Encode)?);
        Ok(())
    }

    pub(super) fn get_raw(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ApplyError> {
        self.tables.get(table, key).map_err(ApplyError::Table)
    }

    pub(super) fn put_raw(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.tables.put(table, key, value.to_vec());
    }

    pub(super) fn delete(&mut self, table: Table, key: &[u8]) {
        self.tables.delete(table, key);
    }

    /// The first `limit` rows of a table, in the order of their keys.
    pub(super) fn first<R: Record>(&self, table: Table, limit: usize) -> Result<Vec<R>, ApplyError> {
        self.first_raw(table, limit)?
            .into_iter()
            .map(|(_, bytes)| decode(&bytes).map_err(|source| ApplyError::Table(TableError::Row { table, source })))
            .collect()
    }

    pub(super) fn first_raw(&self, table: Table, limit: usize) -> Result<Vec<Row>, ApplyError> {
        self.scan_raw(table, &[], limit)
    }

    /// The first `limit` rows whose keys begin with `prefix`.
    pub(super) fn with_prefix(&self, table: Table, prefix: &[u8], limit: usize) -> Result<Vec<Row>, ApplyError> {
        self.tables.scan(table, prefix, prefix, limit).map_err(ApplyError::Table)
    }

    /// The first `limit` rows whose keys are at least `from`.
    pub(super) fn scan_raw(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, ApplyError> {
        self.scan_prefix(table, &[], from, limit)
    }

    /// The first `limit` rows whose keys begin with `prefix` and are at least `from`.
    pub(super) fn scan_prefix(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ApplyError> {
        self.tables.scan(table, prefix, from, limit).map_err(ApplyError::Table)
    }
}
