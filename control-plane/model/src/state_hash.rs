//! One hash for the whole state: equal on all nodes at the same index, or something is badly wrong.

use crate::table::{ReadTables, Table, TableError};

const CHUNK: usize = 1_024;

/// BLAKE3 over every row of every table, in order, with lengths. Reads everything: for tests, for `cluster status --state-hash`,
/// and for an alarm now and then.
///
/// A table that was added later counts once it has a row, so that releases that know it and releases that do not agree on a state
/// that does not use it.
///
/// # Errors
/// [`TableError::Storage`].
pub fn state_hash<T: ReadTables + ?Sized>(tables: &T) -> Result<[u8; 32], TableError> {
    let mut hasher = blake3::Hasher::new();
    for table in Table::ALL {
        if table as u8 > Table::FIRST_TABLES && tables.scan(table, &[], &[], 1)?.is_empty() {
            continue;
        }
        hasher.update(&[table as u8]);
        let mut from = Vec::new();
        loop {
            let rows = tables.scan(table, &[], &from, CHUNK)?;
            let more = rows.len() == CHUNK;
            for (key, value) in &rows {
                hasher.update(&(key.len() as u64).to_le_bytes()).update(key);
                hasher.update(&(value.len() as u64).to_le_bytes()).update(value);
            }
            match rows.into_iter().next_back() {
                Some((mut last, _)) if more => {
                    last.push(0);
                    from = last;
                }
                _ => break,
            }
        }
    }
    Ok(*hasher.finalize().as_bytes())
}
