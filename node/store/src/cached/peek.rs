//! Looking without touching: where entries are, for whoever explains what a lookup would find. Nothing is counted, comes into memory, or is
//! waited for, and nobody is held up for longer than by a lookup.

use super::entry::{Entry, EntryKey};
use super::shared::{Shared, State};

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// In memory, or on its way from there to the disk.
    Memory,
    /// On the disk alone.
    Disk,
}

impl Tier {
    /// Its name in figures and in what explains an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

impl Shared {
    /// What is under the key, and where. Blocks.
    pub(super) fn peek(&self, key: &EntryKey) -> Option<(Tier, Entry)> {
        if let Some(entry) = self.memory.get(key) {
            return Some((Tier::Memory, entry));
        }
        if let Some(waiting) = self.stripes.lock(key).waiting.get(key) {
            return waiting.value.clone().map(|entry| (Tier::Memory, entry));
        }
        self.is_read().then(|| self.read(key)).flatten().map(|entry| (Tier::Disk, entry))
    }

    /// Where what is under the key is; what the index says of the disk is believed. Blocks.
    pub(super) fn tier(&self, key: &EntryKey) -> Option<Tier> {
        if self.memory.has(key) {
            return Some(Tier::Memory);
        }
        if let Some(waiting) = self.stripes.lock(key).waiting.get(key) {
            return waiting.value.as_ref().map(|_| Tier::Memory);
        }
        let index = &self.parts().filter(|_| self.is_read())?.index;
        index.get(key).ok().flatten().map(|_| Tier::Disk)
    }

    fn is_read(&self) -> bool {
        matches!(self.state(), State::On | State::Failing)
    }
}
