//! The rows that a batch has written so far, over the database that does not have them yet.

use std::{cell::RefCell, collections::BTreeMap};

use ncore_model::{ReadTables, Row, Table, TableError, Tables};

/// How many rows are read from below at least, when any are,
const SHORTEST_LOOK: usize = 16;
/// and at most ahead of what is asked for.
const LONGEST_LOOK: usize = 256;

/// Rows that were written, by table and key; `None` for one that was deleted.
pub(crate) type Written = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// Tables whose writes stay in memory until the whole batch is written.
pub(crate) struct Overlay<'a, T> {
    below: &'a T,
    rows: Written,
    /// The last look at each table below. Nothing changes there as long as this lives, and every entry of a batch scans for the same
    /// rows: to open the table for each of them would cost more than all the rest of applying it.
    looks: RefCell<Looks>,
}

/// The last looks at tables.
#[derive(Default)]
pub(crate) struct Looks(BTreeMap<Table, Look>);

/// Rows that were read from below.
struct Look {
    prefix: Vec<u8>,
    from: Vec<u8>,
    rows: Vec<Row>,
    /// Whether there are rows behind these.
    more: bool,
}

impl<'a, T: ReadTables> Overlay<'a, T> {
    /// Over tables that are as they were when `looks` were taken.
    pub(crate) fn with(below: &'a T, looks: Looks) -> Self {
        Self { below, rows: BTreeMap::new(), looks: RefCell::new(looks) }
    }

    /// So many rows below from `from` on, as far as there are, and whether there may be more.
    fn look(&self, table: Table, prefix: &[u8], from: &[u8], wanted: usize) -> Result<(Vec<Row>, bool), TableError> {
        let Looks(looks) = &mut *self.looks.borrow_mut();
        let mut length = wanted;
        if let Some(look) = looks.get(&table).filter(|look| look.prefix == prefix && look.from.as_slice() <= from) {
            let seen = &look.rows[look.rows.partition_point(|(key, _)| key.as_slice() < from)..];
            if seen.len() >= wanted {
                return Ok((seen[..wanted].to_vec(), true));
            }
            if !look.more {
                return Ok((seen.to_vec(), false));
            }
            // Whoever comes for more of them is likely to come again.
            length = wanted.max((look.rows.len() * 4).min(LONGEST_LOOK));
        }
        let rows = self.below.scan(table, prefix, from, length)?;
        let (found, more) = (rows[..rows.len().min(wanted)].to_vec(), rows.len() == length);
        let enough = rows.len() >= wanted;
        looks.insert(table, Look { prefix: prefix.to_vec(), from: from.to_vec(), rows, more });
        Ok((found, enough))
    }

    /// What was written, `None` for a row that was deleted; and the looks that show the tables as they are once that is written.
    pub(crate) fn into_parts(self) -> (Written, Looks) {
        let (rows, Looks(mut looks)) = (self.rows, self.looks.into_inner());
        looks.retain(|table, look| {
            let first = rows.range((*table, look.from.clone())..).next().filter(|((of, _), _)| of == table);
            let last = look.rows.last().filter(|_| look.more);
            let beyond = match (first, last) {
                (None, _) => true,
                (Some(((_, first), _)), Some((last, _))) => first > last,
                (Some(_), None) => false,
            };
            beyond && look.rows.len() <= LONGEST_LOOK
        });
        (rows, Looks(looks))
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
        let mut from = from.max(prefix).to_vec();
        let mut written = self
            .rows
            .range((table, from.clone())..)
            .take_while(|((of, key), _)| *of == table && key.starts_with(prefix))
            .map(|((_, key), value)| (key, value))
            .peekable();
        let mut rows: Vec<Row> = Vec::new();
        while rows.len() < limit {
            // Rows below may be hidden, so it can take more than one look. Never many at once: a batch scans for each entry.
            let wanted = (limit - rows.len()).max(SHORTEST_LOOK);
            let (below, more) = self.look(table, prefix, &from, wanted)?;
            if let Some((last, _)) = below.last() {
                from = [last, [0].as_slice()].concat();
            }
            for (key, value) in below {
                while let Some((key, value)) = written.next_if(|(other, _)| **other < key) {
                    rows.extend(value.clone().map(|value| (key.clone(), value)));
                }
                match written.next_if(|(other, _)| **other == key) {
                    Some((_, value)) => rows.extend(value.clone().map(|value| (key, value))),
                    None => rows.push((key, value)),
                }
            }
            if !more {
                rows.extend(written.filter_map(|(key, value)| Some((key.clone(), value.clone()?))).take(limit.saturating_sub(rows.len())));
                break;
            }
        }
        rows.truncate(limit);
        Ok(rows)
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
    use std::cell::Cell;

    use super::{Looks, Overlay, SHORTEST_LOOK};
    use ncore_model::{MemoryTables, ReadTables, Row, Table, TableError, Tables};
    use proptest::prelude::*;

    const TABLES: [Table; 3] = [Table::Assets, Table::AssetIds, Table::ClientAssets];

    /// Writes of one batch, and where to look before, between and after them.
    type Batch = (Vec<((Table, Vec<u8>), Option<u8>)>, Vec<((Table, Vec<u8>), usize)>);

    /// Keys of two letters, few enough to meet.
    fn keys() -> impl Strategy<Value = (Table, Vec<u8>)> {
        (prop::sample::select(&TABLES[..]), prop::collection::vec(0u8..7, 0..3))
    }

    proptest! {
        /// What is kept of a batch's looks shows the tables that the next batch is made on.
        #[test]
        fn looks_that_are_kept_are_true(
            first in prop::collection::vec((keys(), any::<u8>()), 0..150),
            batches in prop::collection::vec(
                (
                    prop::collection::vec((keys(), prop::option::of(any::<u8>())), 0..6),
                    prop::collection::vec((keys(), 0usize..30), 0..6),
                ),
                1..12,
            ),
        ) {
            let mut base = MemoryTables::default();
            for ((table, key), value) in first {
                base.put(table, &key, vec![value]);
            }
            let (mut flat, mut looks) = (base.clone(), Looks::default());
            let batches: Vec<Batch> = batches;
            for (writes, scans) in batches {
                let mut overlay = Overlay::with(&base, looks);
                let check = |overlay: &Overlay<'_, MemoryTables>, flat: &MemoryTables| {
                    for ((table, from), limit) in &scans {
                        let [seen, true_ones] = [
                            overlay.scan(*table, &[], from, *limit).expect("scans"),
                            flat.scan(*table, &[], from, *limit).expect("scans"),
                        ];
                        prop_assert_eq!(seen, true_ones);
                    }
                    Ok(())
                };
                check(&overlay, &flat)?;
                for ((table, key), value) in &writes {
                    match value {
                        Some(value) => {
                            flat.put(*table, key, vec![*value]);
                            overlay.put(*table, key, vec![*value]);
                        }
                        None => {
                            flat.delete(*table, key);
                            overlay.delete(*table, key);
                        }
                    }
                }
                check(&overlay, &flat)?;
                looks = overlay.into_parts().1;
                base = flat.clone();
            }
        }

        /// Reads through an overlay are those of one map with the same writes.
        #[test]
        fn an_overlay_reads_like_one_map(
            below in prop::collection::vec((keys(), any::<u8>()), 0..150),
            above in prop::collection::vec((keys(), prop::option::of(any::<u8>())), 0..150),
            looks in prop::collection::vec((keys(), prop::collection::vec(0u8..7, 0..3), prop_oneof![0usize..60, Just(usize::MAX)]), 20),
        ) {
            let mut base = MemoryTables::default();
            for ((table, key), value) in below {
                base.put(table, &key, vec![value]);
            }
            let mut flat = base.clone();
            let mut overlay = Overlay::with(&base, Looks::default());
            for ((table, key), value) in above {
                match value {
                    Some(value) => {
                        flat.put(table, &key, vec![value]);
                        overlay.put(table, &key, vec![value]);
                    }
                    None => {
                        flat.delete(table, &key);
                        overlay.delete(table, &key);
                    }
                }
            }
            for ((table, from), prefix, limit) in looks {
                let prefix = &prefix[..prefix.len() / 2];
                prop_assert_eq!(
                    overlay.scan(table, prefix, &from, limit).expect("scans"),
                    flat.scan(table, prefix, &from, limit).expect("scans")
                );
                prop_assert_eq!(overlay.get(table, &from).expect("reads"), flat.get(table, &from).expect("reads"));
            }
        }
    }

    /// Counts the rows that are read from it.
    struct Counting {
        tables: MemoryTables,
        rows: Cell<usize>,
    }

    impl ReadTables for Counting {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
            self.tables.get(table, key)
        }

        fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
            let rows = self.tables.scan(table, prefix, from, limit)?;
            self.rows.set(self.rows.get() + rows.len());
            Ok(rows)
        }
    }

    /// A short look reads little from below, however much the batch has written by then.
    #[test]
    fn a_look_costs_what_it_gives() {
        let mut below = Counting { tables: MemoryTables::default(), rows: Cell::new(0) };
        for row in 0u16..2_000 {
            below.tables.put(Table::Expiry, &row.to_be_bytes(), Vec::new());
        }
        let mut overlay = Overlay::with(&below, Looks::default());
        for row in 2_000u16..4_000 {
            overlay.put(Table::Expiry, &row.to_be_bytes(), Vec::new());
        }
        assert_eq!(overlay.scan(Table::Expiry, &[], &[], 3).expect("scans").len(), 3);
        assert_eq!(below.rows.get(), SHORTEST_LOOK);
    }
}
