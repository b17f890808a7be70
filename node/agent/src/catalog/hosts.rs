//! The host names of clients, and which clients are suspended, as this node knows them.
//!
//! They are few and change seldom, so they stand in one table that is made anew when somebody asks after a change. While there are none,
//! asking costs two loads.
//!
//! # Which names count
//! Those of the domains of a client, and below `*.` every name. A name that a node is reached at, an address, and `localhost` are
//! nobody's: whoever could claim them would take the API away from everybody. Of two clients with the same name the older one has it, also
//! while it is suspended.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use ncore_model::{Client, ClientStatus, Query, TableError};
use ncore_replica::{Replica, ReplicaError};
use parking_lot::Mutex;

/// The owners of host names.
pub(crate) struct Hosts {
    /// Rises with each change that may matter.
    generation: AtomicU64,
    table: ArcSwap<HostTable>,
    /// Held by whoever makes the next table.
    making: Mutex<()>,
}

#[derive(Default)]
struct HostTable {
    generation: u64,
    owners: HashMap<Box<str>, Arc<str>>,
    /// The clients of which nothing is served.
    suspended: HashSet<String>,
    /// The names of nodes, which are nobody's.
    reserved: HashSet<String>,
}

/// Why the names cannot be read.
#[derive(Debug, thiserror::Error)]
enum HostsError {
    #[error("the replica cannot be read")]
    Replica(#[from] ReplicaError),
    #[error("a table cannot be read")]
    Table(#[source] TableError),
}

impl Hosts {
    pub(crate) fn new() -> Self {
        // The first to ask makes the first table.
        Self { generation: AtomicU64::new(1), table: ArcSwap::default(), making: Mutex::new(()) }
    }

    /// Clients or nodes have changed.
    pub(crate) fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The client whose host this is.
    pub(crate) fn owner(&self, host: &str, replica: &Replica) -> Option<Arc<str>> {
        self.ask(replica, |table| table.owner(host))
    }

    /// Whether nothing of this client is served.
    pub(crate) fn is_suspended(&self, client: &str, replica: &Replica) -> bool {
        self.ask(replica, |table| !table.suspended.is_empty() && table.suspended.contains(client))
    }

    fn ask<T>(&self, replica: &Replica, question: impl Fn(&HostTable) -> T) -> T {
        let table = self.table.load();
        if table.generation == self.generation.load(Ordering::Acquire) {
            return question(&table);
        }
        drop(table);
        self.make(replica);
        question(&self.table.load())
    }

    fn make(&self, replica: &Replica) {
        let _making = self.making.lock();
        // Taken before the rows are read: what changes after it makes another table.
        let generation = self.generation.load(Ordering::Acquire);
        if self.table.load().generation == generation {
            return;
        }
        let read = replica.read(|view| {
            let clients = view.clients().map_err(HostsError::Table)?;
            let nodes = view.nodes().map_err(HostsError::Table)?;
            Ok::<_, HostsError>(HostTable::new(generation, clients, nodes.iter().map(|node| node.http_address.as_str())))
        });
        match read {
            Ok(table) => self.table.store(Arc::new(table)),
            // The old table stays, and the next request tries again.
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the host names of clients cannot be read"),
        }
    }
}

impl HostTable {
    fn new<'n>(generation: u64, mut clients: Vec<Client>, nodes: impl Iterator<Item = &'n str>) -> Self {
        clients.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
        let (mut owners, mut suspended) = (HashMap::new(), HashSet::new());
        for client in clients {
            let id: Arc<str> = client.id.as_str().into();
            if client.status == ClientStatus::Suspended {
                suspended.insert(id.to_string());
            }
            for domain in client.domains {
                if let Some(name) = claimed(&domain.to_ascii_lowercase()) {
                    owners.entry(name.into()).or_insert_with(|| Arc::clone(&id));
                }
            }
        }
        Self { generation, owners, suspended, reserved: nodes.map(host_of_url).collect() }
    }

    fn owner(&self, host: &str) -> Option<Arc<str>> {
        if self.owners.is_empty() {
            return None;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.owner_of_lower(&host.to_ascii_lowercase());
        }
        self.owner_of_lower(host)
    }

    fn owner_of_lower(&self, host: &str) -> Option<Arc<str>> {
        if self.reserved.contains(host) {
            return None;
        }
        if let Some(owner) = self.owners.get(host) {
            return Some(Arc::clone(owner));
        }
        // `*.a.test` stands for every name below it, and is kept as `.a.test`.
        let dots = host.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
        dots.filter_map(|at| self.owners.get(&host[at..])).next().map(Arc::clone)
    }
}

/// The key under which a domain stands in the table, if it can be a client's.
fn claimed(domain: &str) -> Option<&str> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let (key, name) = match domain.strip_prefix('*') {
        Some(below) => (below, below.strip_prefix('.')?),
        None => (domain, domain),
    };
    let is_nobodys = name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok();
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('*');
    (is_name && !is_nobodys).then_some(key)
}

/// The host in a base URL.
fn host_of_url(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use ncore_model::{Client, ClientId, ClientStatus};

    use super::HostTable;

    fn client(id: &str, created_at_ms: u64, domains: &[&str]) -> Client {
        Client {
            id: ClientId::from_text(id),
            name: id.to_owned(),
            secret_hash: String::new(),
            scopes: Vec::new(),
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
            status: ClientStatus::Active,
            created_at_ms,
        }
    }

    #[test]
    fn owners_of_hosts() {
        let clients = vec![
            client("late", 2, &["a.test", "late.test"]),
            client("early", 1, &["A.test", "*.wild.test", "cdn.node.test", "127.0.0.1", "localhost", "", "*", "*."]),
        ];
        let table = HostTable::new(1, clients, ["http://cdn.node.test:8080", "https://eu.wild.test/"].into_iter());
        let cases = [
            ("a.test", Some("early")),
            ("A.TEST", Some("early")),
            ("a.test.", Some("early")),
            ("late.test", Some("late")),
            ("b.a.test", None),
            ("x.wild.test", Some("early")),
            ("x.y.wild.test", Some("early")),
            ("wild.test", None),
            ("eu.wild.test", None),
            ("xwild.test", None),
            ("cdn.node.test", None),
            ("127.0.0.1", None),
            ("localhost", None),
            ("", None),
            (".", None),
            ("other.test", None),
        ];
        for (host, expected) in cases {
            assert_eq!(table.owner(host).as_deref(), expected, "{host:?}");
        }
    }
}
