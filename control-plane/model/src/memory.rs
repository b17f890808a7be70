//! Tables in memory: the reference that the replica on disk is tested against, and the state of pure tests.

use std::collections::BTreeMap;

use crate::table::{ReadTables, Row, Table, TableError, Tables};

/// The tables as ordered maps. Not for serving: it is lost with the process.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MemoryTables {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl ReadTables for MemoryTables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        let start = from.max(prefix).to_vec();
        Ok(self
            .rows
            .range((table, start)..)
            .take_while(|((of, key), _)| *of == table && key.starts_with(prefix))
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }
}

impl Tables for MemoryTables {
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.rows.insert((table, key.to_vec()), value);
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.rows.remove(&(table, key.to_vec()));
    }
}
