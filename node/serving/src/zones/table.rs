//! Which zone a host is of.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

use super::zone::Zone;

/// All zones of the cluster, by host. It is made anew whenever one changes, and swapped whole.
#[derive(Debug, Default)]
pub struct ZoneTable {
    by_host: HashMap<Box<str>, Arc<Zone>>,
}

/// The table as it is now, shared by who publishes it and who serves by it.
pub type Zones = Arc<ArcSwap<ZoneTable>>;

impl ZoneTable {
    /// A table of `zones`. Of two that claim a host the first has it.
    #[must_use]
    pub fn new(zones: impl IntoIterator<Item = Arc<Zone>>) -> Self {
        let mut by_host = HashMap::new();
        for zone in zones {
            for host in &zone.hosts {
                by_host.entry(folded(host).into()).or_insert_with(|| Arc::clone(&zone));
            }
        }
        Self { by_host }
    }

    /// The zone of a host without its port, in whatever case, with or without the dot of the root.
    #[must_use]
    pub fn get(&self, host: &str) -> Option<&Arc<Zone>> {
        if self.by_host.is_empty() {
            return None;
        }
        self.by_host.get(&*folded(host))
    }
}

fn folded(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::{Zone, ZoneTable};
    use crate::zones::origin::nowhere;

    fn zone(id: u64, hosts: &[&str]) -> Arc<Zone> {
        Arc::new(Zone::new(id, Uuid::nil(), "cl".into(), hosts.iter().map(|&host| host.into()).collect(), nowhere()))
    }

    #[test]
    fn hosts() {
        let table = ZoneTable::new([zone(1, &["a.example", "B.example"]), zone(2, &["a.example", "c.example"])]);
        let cases = [("a.example", Some(1)), ("A.Example.", Some(1)), ("b.example", Some(1)), ("c.example", Some(2)), ("example", None)];
        for (host, expected) in cases {
            assert_eq!(table.get(host).map(|zone| zone.id), expected, "{host}");
        }
        assert!(ZoneTable::default().get("a.example").is_none());
    }
}
