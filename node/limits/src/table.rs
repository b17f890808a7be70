//! What is known of whoever asked lately: bounded, and forgotten when nobody asks.

use std::{collections::HashMap, hash::Hash};

/// Two generations of entries. An entry that is asked for is in the young one; when that is full, or old enough, it takes the place of the
/// other, whose entries are gone then. So at most `max` are kept, an entry stays for at least `every_ms` after it was last asked for unless
/// there are more, and then those that were not asked for lately go first.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
    every_ms: u64,
    turned_at_ms: u64,
}

impl<K: Hash + Eq, V> Table<K, V> {
    pub(crate) fn new(max: usize, every_ms: u64) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (max / 2).max(1), every_ms, turned_at_ms: 0 }
    }

    /// The entry, made if there is none.
    pub(crate) fn entry(&mut self, key: K, now_ms: u64, make: impl FnOnce() -> V) -> &mut V {
        self.turn(now_ms);
        let kept = self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.age(now_ms);
        }
        let place = self.young.entry(key);
        match kept {
            Some(value) => place.or_insert(value),
            None => place.or_insert_with(make),
        }
    }

    /// The entry, if it is there. Does not count as asking for it.
    pub(crate) fn find(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    /// Every entry.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.young.iter_mut().chain(self.old.iter_mut())
    }

    /// Lets go of what nobody asked for.
    pub(crate) fn turn(&mut self, now_ms: u64) {
        if now_ms >= self.turned_at_ms.saturating_add(self.every_ms) {
            self.age(now_ms);
        }
    }

    fn age(&mut self, now_ms: u64) {
        self.old = std::mem::take(&mut self.young);
        self.turned_at_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut table = Table::new(8, 1_000);
        for key in 0..1_000 {
            *table.entry(0, 1, || 0) += 1;
            table.entry(key, 1, || 7);
            assert!(table.iter_mut().count() <= 8);
        }
        assert_eq!(table.find(&0), Some(&mut 1_000), "it was asked for all the time");
        assert_eq!(table.find(&1), None);
        assert_eq!(table.find(&999), Some(&mut 7));
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten_and_not_before_its_time() {
        let mut table = Table::new(8, 1_000);
        table.entry('a', 999, || 1);
        table.turn(1_000);
        table.turn(1_999);
        assert_eq!(table.find(&'a'), Some(&mut 1));
        table.turn(2_000);
        assert_eq!(table.find(&'a'), None);
    }
}
