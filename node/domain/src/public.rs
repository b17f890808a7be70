//! What anybody may know without an account: the public index of assets, and the directory of clients.
//!
//! Paths are content too, so only those below [`INDEXED`] are listed; whoever puts an asset there wants it to be found. Of a client
//! nothing is told but its registrable domain, with everything in front of it masked, and only of the first few.

use std::{collections::HashSet, sync::Arc};

use ncore_model::{Account, Asset, Client, ClientId, ClientStatus, Query, ReadTables, Table, TableError, Visibility, decode};
use ncore_store::{BlobStatus, BlobStore};

use crate::{
    asset::of_asset,
    cluster::{Cluster, Seen},
    error::StateError,
};

/// The paths that are listed for everybody begin with this.
const INDEXED: &str = "pub/";
/// How many domains are shown; of the others there is only their number.
const DOMAINS_SHOWN: usize = 3;

/// What anybody may know.
pub struct Public {
    cluster: Cluster,
    store: BlobStore,
    public_url: Arc<str>,
}

/// A page of the public index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicIndex {
    /// The assets, in the order of their paths.
    pub assets: Vec<PublicAsset>,
    /// The path after which the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// An asset that anybody may know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAsset {
    /// Its path, unique in the cluster.
    pub path: String,
    /// Where viewers find it.
    pub url: String,
    /// MIME type.
    pub mime: String,
    /// Length in bytes.
    pub size: u64,
    /// When it last changed, in milliseconds of the Unix epoch.
    pub modified_at_ms: u64,
    /// Whether this node has its bytes, verified.
    pub held: bool,
}

/// The directory of clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    /// The first of their domains, in the order in which clients were added.
    pub entries: Vec<DirectoryEntry>,
    /// How many there are, each once.
    pub domains: usize,
}

/// A domain in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The domain, masked.
    pub domain: String,
    /// What the plan of its client is called; empty if it has none.
    pub plan: String,
    /// Bytes that its client's requests were answered with in the last 30 days, over all of its domains.
    pub sent_30_days: u64,
    /// Since when its client is one, in milliseconds of the Unix epoch.
    pub since_ms: u64,
    /// Whether its client may act.
    pub status: ClientStatus,
}

impl Public {
    pub(crate) fn new(cluster: Cluster, store: BlobStore, public_url: Arc<str>) -> Self {
        Self { cluster, store, public_url }
    }

    /// A page of the public index: of the next `limit` assets after the path `after` those that are public.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn index(&self, after: Option<String>, limit: usize) -> Result<Seen<PublicIndex>, StateError> {
        let (store, public_url) = (self.store.clone(), Arc::clone(&self.public_url));
        let index = self.cluster.read(move |view| {
            // The first key after `after` is `after` with the smallest byte behind it.
            let from = after.filter(|path| path.starts_with(INDEXED)).map_or_else(Vec::new, |path| [path.as_bytes(), &[0]].concat());
            let mut rows = view.scan(Table::Assets, INDEXED.as_bytes(), &from, limit + 1)?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let decoded = |(_, row): &(Vec<u8>, Vec<u8>)| decode(row).map_err(|source| TableError::Row { table: Table::Assets, source });
            let rows: Vec<Asset> = rows.iter().map(decoded).collect::<Result<_, _>>()?;
            let next = rows.last().filter(|_| more).map(|asset| asset.path.clone());
            let shown = |asset: Asset| {
                let is_served = view.client(&asset.client)?.is_some_and(|client| client.status != ClientStatus::Suspended);
                if !is_served || view.visibility(&asset)? == Visibility::Restricted {
                    return Ok(None);
                }
                let held = store.status(asset.blob.into()).is_ok_and(|status| matches!(status, BlobStatus::Present { .. }));
                Ok(Some(PublicAsset {
                    url: of_asset(&public_url, &asset.path),
                    path: asset.path,
                    mime: asset.mime,
                    size: asset.size,
                    modified_at_ms: asset.modified_at_ms,
                    held,
                }))
            };
            let assets = rows.into_iter().filter_map(|asset| shown(asset).transpose()).collect::<Result<Vec<_>, TableError>>()?;
            Ok(PublicIndex { assets, next })
        });
        index.await
    }

    /// The directory of clients. Those that are suspended are not in it. The 30 days of bandwidth end with the day of `now_s`, in Unix
    /// seconds.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn directory(&self, now_s: u64) -> Result<Seen<Directory>, StateError> {
        let directory = self.cluster.read(move |view| {
            let with_account = |client: Client| Ok((view.account(&client.id)?, client));
            directory(view.clients()?.into_iter().map(with_account).collect::<Result<_, TableError>>()?, |client| {
                view.bandwidth(client, now_s)
            })
        });
        directory.await
    }
}

fn directory(
    mut clients: Vec<(Option<Account>, Client)>,
    sent_30_days: impl Fn(&ClientId) -> Result<u64, TableError>,
) -> Result<Directory, TableError> {
    let since_ms = |account: &Option<Account>, client: &Client| account.as_ref().map_or(client.created_at_ms, |account| account.since_ms);
    clients.retain(|(_, client)| client.status != ClientStatus::Suspended);
    clients.sort_by_key(|(account, client)| since_ms(account, client));
    let domains = clients.iter().flat_map(|(account, client)| client.domains.iter().map(move |domain| (mask(domain), account, client)));
    let mut seen = HashSet::new();
    let domains: Vec<_> = domains.filter(|(domain, ..)| seen.insert(domain.clone())).collect();
    let count = domains.len();
    let entry = |(domain, account, client): (String, &Option<Account>, &Client)| {
        let plan = account.as_ref().map_or_else(String::new, |account| account.plan.name.clone());
        let sent_30_days = sent_30_days(&client.id)?;
        Ok(DirectoryEntry { domain, plan, sent_30_days, since_ms: since_ms(account, client), status: client.status })
    };
    let entries = domains.into_iter().take(DOMAINS_SHOWN).map(entry).collect::<Result<_, TableError>>()?;
    Ok(Directory { entries, domains: count })
}

/// A domain without what stands in front of its last two labels.
fn mask(domain: &str) -> String {
    let domain = domain.trim_end_matches('.');
    let begin = domain.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    format!("**.{}", &domain[begin..])
}

#[cfg(test)]
mod tests {
    use super::{directory, mask};
    use ncore_model::{Account, Client, ClientId, ClientStatus, Plan};

    #[test]
    fn what_stands_in_front_is_masked() {
        for (domain, expected) in [
            ("cdn.media.client-a.example", "**.client-a.example"),
            ("client-a.example", "**.client-a.example"),
            ("client-a.example.", "**.client-a.example"),
            ("localhost", "**.localhost"),
        ] {
            assert_eq!(mask(domain), expected);
        }
    }

    #[test]
    fn few_are_shown_and_all_are_counted() {
        let client = |number: u64, status| Client {
            id: ClientId::from_text(&format!("c{number}")),
            name: "n".to_owned(),
            secret_hash: String::new(),
            scopes: Vec::new(),
            domains: vec![format!("a.c{number}.example"), format!("b.c{number}.example")],
            status,
            created_at_ms: number,
        };
        let mut clients = vec![client(3, ClientStatus::Review), client(1, ClientStatus::Suspended), client(2, ClientStatus::Active)];
        clients.extend([client(4, ClientStatus::Active), client(5, ClientStatus::Active)]);
        // By its account the last is the first.
        let account = |client: &Client| {
            let plan = Plan { name: "Pro".to_owned(), ..Plan::default() };
            (client.created_at_ms == 5).then(|| Account { since_ms: 0, plan, ..Account::default() })
        };
        let sent = |client: &ClientId| Ok(if client.as_str() == "c3" { 812 } else { 0 });
        let directory = directory(clients.into_iter().map(|client| (account(&client), client)).collect(), sent).expect("a directory");
        assert_eq!(directory.entries.iter().map(|entry| entry.sent_30_days).collect::<Vec<_>>(), [0, 0, 812]);
        let shown: Vec<_> = directory.entries.iter().map(|entry| (entry.domain.as_str(), entry.plan.as_str(), entry.status)).collect();
        assert_eq!(
            shown,
            [
                ("**.c5.example", "Pro", ClientStatus::Active),
                ("**.c2.example", "", ClientStatus::Active),
                ("**.c3.example", "", ClientStatus::Review)
            ]
        );
        assert_eq!(directory.domains, 4);
    }
}
