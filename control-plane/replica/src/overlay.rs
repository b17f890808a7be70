//! The rows that a batch has written so far, over the database that does not have them yet.

use std::collections::BTreeMap;

use ncore_model::{ReadTables, Row, Table, TableError, Tables};

/// Tables whose writes stay in memory until the whole batch is written.
pub(crate) struct Overlay<'a, T> {
    below: &'a T,
    rows: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl<'a, T: ReadTables> Overlay<'a, T> {
    pub(crate) fn new(below: &'a T) -> Self {
        Self { below, rows: BTreeMap::new() }
    }

    /// What was written; `None` for a row that was deleted.
    pub(crate) fn into_rows(self) -> BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>> {
        self.rows
    }
}

impl<T: ReadTables> ReadTables for Overlay<'_, T> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match self.rows.get(&(table, key.to_vec())) {
            Some(written) => Ok(written.clone()),
            None => self.below.get(table, key),
        }
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        let start = from.max(prefix).to_vec();
        let written: Vec<_> = self
            .rows
            .range((table, start)..)
            .take_while(|((of, key), _)| *of == table && key.starts_with(prefix))
            .collect();
        // Each written row hides at most one below.
        let below = self.below.scan(table, prefix, from, limit.saturating_add(written.len()))?;
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = below.into_iter().collect();
        for ((_, key), value) in written {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(merged.into_iter().take(limit).collect())
    }
}

impl<T: ReadTables> Tables for Overlay<'_, T> {
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.rows.insert((table, key.to_vec()), Some(value));
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        self.rows.insert((table, key.to_vec()), None);
    }
}

#[cfg(test)]
mod tests {
    use super::Overlay;
    use ncore_model::{MemoryTables, ReadTables, Table, Tables};
    use proptest::prelude::*;

    proptest! {
        /// Reads through an overlay are those of one map with the same writes.
        #[test]
        fn an_overlay_reads_like_one_map(
            below in prop::collection::vec((0u8..40, any::<u8>()), 0..40),
            above in prop::collection::vec((0u8..40, prop::option::of(any::<u8>())), 0..40),
            from in 0u8..40,
            limit in 0usize..50,
        ) {
            let mut base = MemoryTables::default();
            for (key, value) in below {
                base.put(Table::Assets, &[key], vec![value]);
            }
            let mut flat = base.clone();
            let mut overlay = Overlay::new(&base);
            for (key, value) in above {
                match value {
                    Some(value) => {
                        flat.put(Table::Assets, &[key], vec![value]);
                        overlay.put(Table::Assets, &[key], vec![value]);
                    }
                    None => {
                        flat.delete(Table::Assets, &[key]);
                        overlay.delete(Table::Assets, &[key]);
                    }
                }
            }
            prop_assert_eq!(
                overlay.scan(Table::Assets, &[], &[from], limit).expect("scans"),
                flat.scan(Table::Assets, &[], &[from], limit).expect("scans")
            );
            prop_assert_eq!(overlay.get(Table::Assets, &[from]).expect("reads"), flat.get(Table::Assets, &[from]).expect("reads"));
        }
    }
}
