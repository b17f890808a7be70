//! One hash for the whole state: equal on all nodes at the same index, or something is badly wrong.

use crate::table::{ReadTables, Table, TableError};

const CHUNK: usize = 1_024;

/// BLAKE3 over every row of every table, in order, with lengths. Reads everything: for tests, for `cluster status --state-hash`,
/// and for an alarm now and then.
///
/// # Errors
/// [`TableError::Storage`].
pub fn state_hash<T: ReadTables + ?Sized>(tables: &T) -> Result<[u8; 32], TableError> {
    let mut hasher = blake3::Hasher::new();
    for table in Table::ALL {
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
