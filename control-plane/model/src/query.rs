//! Reading the state: what the nodes and the API ask of it.

use crate::{
    account::{Account, Stored},
    administrator::Administrator,
    asset::Asset,
    blob::Blob,
    client::Client,
    cluster::ClusterState,
    codec::{Record, decode},
    id::{AssetId, BlobHash, ClientId, JoinTokenId, NodeId, UploadId, ZoneId},
    join_token::JoinToken,
    lineage::Lineage,
    node::{Node, NodeState},
    placement::{ClientPlacement, PlacementMark},
    purge::Purge,
    refresh_token::RefreshFamily,
    replication::NodeReport,
    revision::Revision,
    signing_key::{RevokedToken, SigningKey},
    table::{ReadTables, Row, Table, TableError},
    upload::Upload,
    usage::{BANDWIDTH_DAYS, UsageCounts, UsageMark, UsageUnit, usage_prefix},
    visibility::Visibility,
    zone::{Zone, ZonePurge, ZonePurgeMark, ZoneShield},
};

/// How many rows are read at a time at least where a filter may drop most of them,
const CHUNK: usize = 256;
/// and at most. A page that fits is read in one go: to begin at a place costs as much as to read a hundred rows from there on.
const CHUNK_MAX: usize = 1_024;

/// How many keys are read at a time behind a folder.
const CHUNK_BEHIND_FOLDER: usize = 16;

/// Typed reads. Everything that implements [`ReadTables`] has them.
pub trait Query: ReadTables {
    /// The state of the cluster as a whole; `None` before it is initialised.
    ///
    /// # Errors
    /// [`TableError`].
    fn cluster(&self) -> Result<Option<ClusterState>, TableError> {
        row(self, Table::Cluster, &[])
    }

    /// The lineages after the first, in the order in which they began.
    ///
    /// # Errors
    /// [`TableError`].
    fn lineages(&self) -> Result<Vec<Lineage>, TableError> {
        // Every key but the empty one, which is that of the cluster's own row.
        let rows: Vec<Row> = self.scan(Table::Cluster, &[], &[0], usize::MAX)?;
        rows.iter().map(|(_, bytes)| record(Table::Cluster, bytes)).collect()
    }

    /// Whether a revision that is not ahead of this state is part of its history: it is of a lineage that the state went through,
    /// and not beyond what the next lineage kept of it.
    ///
    /// # Errors
    /// [`TableError`].
    fn includes(&self, revision: Revision) -> Result<bool, TableError> {
        let lineages = self.lineages()?;
        let known = revision.lineage == Revision::FIRST_LINEAGE || lineages.iter().any(|lineage| lineage.number == revision.lineage);
        let next = lineages.iter().find(|lineage| lineage.number > revision.lineage);
        Ok(known && next.is_none_or(|next| revision.index <= next.base))
    }

    /// A node, removed or not.
    ///
    /// # Errors
    /// [`TableError`].
    fn node(&self, id: NodeId) -> Result<Option<Node>, TableError> {
        row(self, Table::Nodes, &id.0.to_be_bytes())
    }

    /// Every node that ever joined, in the order of joining.
    ///
    /// # Errors
    /// [`TableError`].
    fn nodes(&self) -> Result<Vec<Node>, TableError> {
        all(self, Table::Nodes)
    }

    /// The nodes that were not removed.
    ///
    /// # Errors
    /// [`TableError`].
    fn members(&self) -> Result<Vec<Node>, TableError> {
        let mut nodes = self.nodes()?;
        nodes.retain(|node| node.state != NodeState::Removed);
        Ok(nodes)
    }

    /// The nodes that pass the log on although they do not vote.
    ///
    /// # Errors
    /// [`TableError`].
    fn relays(&self) -> Result<Vec<NodeId>, TableError> {
        let rows = self.scan(Table::Relays, &[], &[], usize::MAX)?;
        let id = |(key, _): Row| key.try_into().map(|bytes| NodeId(u64::from_be_bytes(bytes)));
        rows.into_iter().map(id).collect::<Result<_, _>>().map_err(|_| TableError::Key { table: Table::Relays })
    }

    /// A join token that can still be used.
    ///
    /// # Errors
    /// [`TableError`].
    fn join_token(&self, id: JoinTokenId) -> Result<Option<JoinToken>, TableError> {
        row(self, Table::JoinTokens, &id.0)
    }

    /// The join tokens that can still be used.
    ///
    /// # Errors
    /// [`TableError`].
    fn join_tokens(&self) -> Result<Vec<JoinToken>, TableError> {
        all(self, Table::JoinTokens)
    }

    /// A client.
    ///
    /// # Errors
    /// [`TableError`].
    fn client(&self, id: &ClientId) -> Result<Option<Client>, TableError> {
        row(self, Table::Clients, id.as_str().as_bytes())
    }

    /// Every client.
    ///
    /// # Errors
    /// [`TableError`].
    fn clients(&self) -> Result<Vec<Client>, TableError> {
        all(self, Table::Clients)
    }

    /// Up to `limit` clients, in the order of their ids, after one of them.
    ///
    /// # Errors
    /// [`TableError`].
    fn clients_after(&self, after: Option<&ClientId>, limit: usize) -> Result<Vec<Client>, TableError> {
        let from = after.map_or_else(Vec::new, |id| [id.as_str().as_bytes(), &[0]].concat());
        let rows: Vec<Row> = self.scan(Table::Clients, &[], &from, limit)?;
        rows.iter().map(|(_, bytes)| record(Table::Clients, bytes)).collect()
    }

    /// What a client has agreed to; `None` if it is older than accounts are.
    ///
    /// # Errors
    /// [`TableError`].
    fn account(&self, client: &ClientId) -> Result<Option<Account>, TableError> {
        row(self, Table::Accounts, client.as_str().as_bytes())
    }

    /// How much a client has stored; `None` if it is not counted.
    ///
    /// # Errors
    /// [`TableError`].
    fn stored(&self, client: &ClientId) -> Result<Option<Stored>, TableError> {
        row(self, Table::Stored, client.as_str().as_bytes())
    }

    /// A family of refresh tokens that did not end, or whose last access token may still be good.
    ///
    /// # Errors
    /// [`TableError`].
    fn refresh_family(&self, client: &ClientId, family: &[u8; 16]) -> Result<Option<RefreshFamily>, TableError> {
        row(self, Table::RefreshFamilies, &[client.as_str().as_bytes(), &[0], family].concat())
    }

    /// The client that a family of refresh tokens belongs to. Looks through all of them.
    ///
    /// # Errors
    /// [`TableError`].
    fn refresh_family_owner(&self, family: &[u8; 16]) -> Result<Option<ClientId>, TableError> {
        let mut from = Vec::new();
        loop {
            let rows = self.scan(Table::RefreshFamilies, &[], &from, CHUNK)?;
            let owner = rows.iter().find_map(|(key, _)| key.strip_suffix(family)?.strip_suffix(&[0]));
            if let Some(owner) = owner {
                let id = str::from_utf8(owner).map_err(|_| TableError::Key { table: Table::RefreshFamilies })?;
                return Ok(Some(ClientId::from_text(id)));
            }
            match rows.last() {
                Some((last, _)) if rows.len() == CHUNK => from = [last.as_slice(), &[0]].concat(),
                _ => return Ok(None),
            }
        }
    }

    /// The administrator whose token has this BLAKE3 hash.
    ///
    /// # Errors
    /// [`TableError`].
    fn administrator_by_token(&self, token_hash: &[u8; 32]) -> Result<Option<Administrator>, TableError> {
        row(self, Table::Administrators, token_hash)
    }

    /// Every administrator.
    ///
    /// # Errors
    /// [`TableError`].
    fn administrators(&self) -> Result<Vec<Administrator>, TableError> {
        all(self, Table::Administrators)
    }

    /// A key that access tokens are signed with.
    ///
    /// # Errors
    /// [`TableError`].
    fn signing_key(&self, id: &str) -> Result<Option<SigningKey>, TableError> {
        row(self, Table::SigningKeys, id.as_bytes())
    }

    /// Every key that access tokens are signed with.
    ///
    /// # Errors
    /// [`TableError`].
    fn signing_keys(&self) -> Result<Vec<SigningKey>, TableError> {
        all(self, Table::SigningKeys)
    }

    /// The revocation of the access token with this id, if it was revoked and its time is not long over.
    ///
    /// # Errors
    /// [`TableError`].
    fn revoked_token(&self, id: &str) -> Result<Option<RevokedToken>, TableError> {
        row(self, Table::RevokedTokens, id.as_bytes())
    }

    /// The asset at a path.
    ///
    /// # Errors
    /// [`TableError`].
    fn asset_at(&self, path: &str) -> Result<Option<Asset>, TableError> {
        row(self, Table::Assets, path.as_bytes())
    }

    /// The asset with this id.
    ///
    /// # Errors
    /// [`TableError`].
    fn asset(&self, id: &AssetId) -> Result<Option<Asset>, TableError> {
        match self.get(Table::AssetIds, id.as_str().as_bytes())? {
            Some(path) => row(self, Table::Assets, &path),
            None => Ok(None),
        }
    }

    /// Who may read an asset of this view.
    ///
    /// # Errors
    /// [`TableError`].
    fn visibility(&self, asset: &Asset) -> Result<Visibility, TableError> {
        if Visibility::is_fixed_at(&asset.path) {
            return Ok(Visibility::Restricted);
        }
        let row = self.get(Table::RestrictedAssets, asset.id.as_str().as_bytes())?;
        Ok(row.map_or(Visibility::Public, |_| Visibility::Restricted))
    }

    /// A page of the assets of a client, in the order of their paths, after the path `after`.
    ///
    /// # Errors
    /// [`TableError`].
    fn assets_of(&self, client: &ClientId, filter: &AssetFilter<'_>, after: Option<&str>, limit: usize) -> Result<AssetPage, TableError> {
        let base = [client.as_str().as_bytes(), &[0]].concat();
        let prefix = [&base, filter.prefix.as_bytes()].concat();
        // The first key after `after` is `after` with the smallest byte behind it.
        let mut from = after.map_or_else(|| prefix.clone(), |path| [&base, path.as_bytes(), &[0]].concat());
        // One more than fit shows whether there are more.
        let chunk = limit.saturating_add(1).clamp(CHUNK, CHUNK_MAX);
        let mut assets = Vec::new();
        loop {
            let rows = self.scan(Table::ClientAssets, &prefix, &from, chunk)?;
            let more = rows.len() == chunk;
            if let Some((last, _)) = rows.last() {
                from = [last, [0].as_slice()].concat();
            }
            // As far as no other client has paths between these, they are read in one go. A look for each takes several times as long.
            let first = rows.first().map_or(&[][..], |(key, _)| &key[base.len()..]);
            let mut read = self.scan(Table::Assets, &[], first, rows.len())?.into_iter().peekable();
            for (key, _) in &rows {
                let path = &key[base.len()..];
                while read.next_if(|(before, _)| before.as_slice() < path).is_some() {}
                let asset = match read.next_if(|(at, _)| at == path) {
                    Some((_, bytes)) => Some(record::<Asset>(Table::Assets, &bytes)?),
                    None => row::<Asset, _>(self, Table::Assets, path)?,
                };
                let Some(asset) = asset else { continue };
                if filter.mime.is_some_and(|mime| !mime_matches(mime, &asset.mime)) {
                    continue;
                }
                if assets.len() == limit {
                    return Ok(AssetPage { assets, has_more: true });
                }
                assets.push(asset);
            }
            if !more {
                return Ok(AssetPage { assets, has_more: false });
            }
        }
    }

    /// A page of what is directly below a prefix: assets, and folders for all that is further below, in the order of paths, after `after`,
    /// which is a path or a folder. What is in a folder is passed over and not read, but for a few keys.
    ///
    /// # Errors
    /// [`TableError`].
    fn folder_of(&self, client: &ClientId, prefix: &str, after: Option<&str>, limit: usize) -> Result<FolderPage, TableError> {
        let base = [client.as_str().as_bytes(), &[0]].concat();
        let within = [&base, prefix.as_bytes()].concat();
        let mut from = after.map_or_else(|| within.clone(), |after| [&base, behind(after).as_slice()].concat());
        let mut page = FolderPage { folders: Vec::new(), assets: Vec::new(), has_more: false };
        let mut chunk = CHUNK_BEHIND_FOLDER;
        loop {
            let rows = self.scan(Table::ClientAssets, &within, &from, chunk)?;
            let more = rows.len() == chunk;
            chunk = (2 * chunk).min(CHUNK);
            let mut passed: Option<Vec<u8>> = None;
            for (key, _) in rows {
                if passed.as_ref().is_some_and(|end| key < *end) {
                    continue;
                }
                if page.folders.len() + page.assets.len() == limit {
                    page.has_more = true;
                    return Ok(page);
                }
                let path = str::from_utf8(&key[base.len()..]).map_err(|_| TableError::Key { table: Table::ClientAssets })?;
                match path[prefix.len()..].find('/') {
                    Some(at) => {
                        let folder = &path[..=prefix.len() + at];
                        passed = Some([&base, behind(folder).as_slice()].concat());
                        page.folders.push(folder.to_owned());
                    }
                    None => page.assets.extend(row::<Asset, _>(self, Table::Assets, path.as_bytes())?),
                }
                from = [&key, [0].as_slice()].concat();
            }
            if !more {
                return Ok(page);
            }
            // A folder that goes on beyond what was read: on behind it, with a few keys, since the next may be a folder too.
            if let Some(end) = passed.filter(|end| from < *end) {
                from = end;
                chunk = CHUNK_BEHIND_FOLDER;
            }
        }
    }

    /// An upload that is open, or was until a short time ago.
    ///
    /// # Errors
    /// [`TableError`].
    fn upload(&self, id: &UploadId) -> Result<Option<Upload>, TableError> {
        row(self, Table::Uploads, id.as_str().as_bytes())
    }

    /// A blob that an asset, or a piece of an upload, refers to.
    ///
    /// # Errors
    /// [`TableError`].
    fn blob(&self, hash: BlobHash) -> Result<Option<Blob>, TableError> {
        row(self, Table::Blobs, &hash.0)
    }

    /// Up to `limit` assets whose versions are at least `from`, in the order of their versions.
    ///
    /// # Errors
    /// [`TableError`].
    fn versions_from(&self, from: u64, limit: usize) -> Result<Vec<Asset>, TableError> {
        let rows = self.scan(Table::Versions, &[], &from.to_be_bytes(), limit)?;
        let mut assets = Vec::with_capacity(rows.len());
        for (_, path) in rows {
            let asset = row(self, Table::Assets, &path)?;
            assets.push(asset.ok_or(TableError::Dangling { table: Table::Versions })?);
        }
        Ok(assets)
    }

    /// What a node says it holds.
    ///
    /// # Errors
    /// [`TableError`].
    fn report(&self, node: NodeId) -> Result<Option<NodeReport>, TableError> {
        row(self, Table::Reports, &node.0.to_be_bytes())
    }

    /// What all placements have in common; `None` if no client ever had one.
    ///
    /// # Errors
    /// [`TableError`].
    fn placement_mark(&self) -> Result<Option<PlacementMark>, TableError> {
        row(self, Table::Placements, &[])
    }

    /// Where the assets of a client are held; `None` if it never was otherwise than everywhere.
    ///
    /// # Errors
    /// [`TableError`].
    fn client_placement(&self, client: &ClientId) -> Result<Option<ClientPlacement>, TableError> {
        row(self, Table::Placements, client.as_str().as_bytes())
    }

    /// Where the assets of clients are held that have, or had, a rule for it.
    ///
    /// # Errors
    /// [`TableError`].
    fn client_placements(&self) -> Result<Vec<(ClientId, ClientPlacement)>, TableError> {
        // Every key but the empty one, which is that of the mark.
        let rows: Vec<Row> = self.scan(Table::Placements, &[], &[0], usize::MAX)?;
        let client = |(key, value): Row| {
            let id = str::from_utf8(&key).map_err(|_| TableError::Key { table: Table::Placements })?;
            Ok((ClientId::from_text(id), record(Table::Placements, &value)?))
        };
        rows.into_iter().map(client).collect()
    }

    /// A zone, whoever's it is.
    ///
    /// # Errors
    /// [`TableError`].
    fn zone(&self, id: ZoneId) -> Result<Option<Zone>, TableError> {
        row(self, Table::Zones, &id.0)
    }

    /// The zone that has this host name.
    ///
    /// # Errors
    /// [`TableError`].
    fn zone_of_host(&self, host: &str) -> Result<Option<Zone>, TableError> {
        match self.get(Table::ZoneHosts, host.as_bytes())? {
            Some(id) => row(self, Table::Zones, &id),
            None => Ok(None),
        }
    }

    /// Every zone of every client.
    ///
    /// # Errors
    /// [`TableError`].
    fn zones(&self) -> Result<Vec<Zone>, TableError> {
        all(self, Table::Zones)
    }

    /// The zones of a client, in the order in which they were made: how many there are, and up to `limit` of them after the first `skip`.
    ///
    /// # Errors
    /// [`TableError`].
    fn zones_of(&self, client: &ClientId, skip: usize, limit: usize) -> Result<(usize, Vec<Zone>), TableError> {
        let prefix = [client.as_str().as_bytes(), &[0]].concat();
        // No more than a client may have.
        let ids = self.scan(Table::ClientZones, &prefix, &prefix, usize::MAX)?;
        let page = ids.iter().skip(skip).take(limit);
        let zones = page.map(|(_, id)| row(self, Table::Zones, id)?.ok_or(TableError::Dangling { table: Table::ClientZones }));
        Ok((ids.len(), zones.collect::<Result<_, _>>()?))
    }

    /// Where the shield of a zone is to be, if its owner has said it.
    ///
    /// # Errors
    /// [`TableError`].
    fn zone_shield(&self, id: ZoneId) -> Result<Option<String>, TableError> {
        let shield: Option<ZoneShield> = row(self, Table::ZoneShields, &id.0)?;
        Ok(shield.map(|shield| shield.region))
    }

    /// What the purges of a zone have in common, by its number.
    ///
    /// # Errors
    /// [`TableError`].
    fn zone_purge_mark(&self, number: u64) -> Result<ZonePurgeMark, TableError> {
        Ok(row(self, Table::ZonePurgeMarks, &number.to_be_bytes())?.unwrap_or_default())
    }

    /// The purges of a zone that are kept, from an index on, by its number: with their indices, the oldest first.
    ///
    /// # Errors
    /// [`TableError`].
    fn zone_purges_from(&self, number: u64, from: u64) -> Result<Vec<(u64, ZonePurge)>, TableError> {
        let number = number.to_be_bytes();
        // No more than are kept of one zone.
        let rows = self.scan(Table::ZonePurges, &number, &[number, from.to_be_bytes()].concat(), usize::MAX)?;
        let purge = |(key, value): Row| {
            let index = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            Ok((index.ok_or(TableError::Key { table: Table::ZonePurges })?, record(Table::ZonePurges, &value)?))
        };
        rows.into_iter().map(purge).collect()
    }

    /// A purge of a zone, by the zone's number and its own index.
    ///
    /// # Errors
    /// [`TableError`].
    fn zone_purge(&self, number: u64, index: u64) -> Result<Option<ZonePurge>, TableError> {
        row(self, Table::ZonePurges, &[number.to_be_bytes(), index.to_be_bytes()].concat())
    }

    /// The last report of what clients used at a node that was taken.
    ///
    /// # Errors
    /// [`TableError`].
    fn usage_mark(&self, node: NodeId) -> Result<Option<UsageMark>, TableError> {
        row(self, Table::UsageMarks, &node.0.to_be_bytes())
    }

    /// What a client used in the hours, or on the days, from `from` to before `until`, by their numbers since 1970. Those in which it
    /// used nothing are left out.
    ///
    /// # Errors
    /// [`TableError`].
    fn usage(&self, client: &ClientId, unit: UsageUnit, from: u32, until: u32) -> Result<Vec<(u32, UsageCounts)>, TableError> {
        let table = match unit {
            UsageUnit::Hour => Table::UsageHours,
            UsageUnit::Day => Table::UsageDays,
        };
        let prefix = usage_prefix(client);
        let first = [prefix.as_slice(), &from.to_be_bytes()].concat();
        let rows: Vec<Row> = self.scan(table, &prefix, &first, until.saturating_sub(from) as usize)?;
        let number = |key: &[u8]| key.last_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(TableError::Key { table });
        let rows = rows.iter().map(|(key, bytes)| Ok((number(key)?, record(table, bytes)?)));
        let rows: Vec<(u32, UsageCounts)> = rows.collect::<Result<_, TableError>>()?;
        Ok(rows.into_iter().filter(|(number, _)| *number < until).collect())
    }

    /// Bytes that a client's requests were answered with in the 30 days that end with the day of `now_s`, in Unix seconds.
    ///
    /// # Errors
    /// [`TableError`].
    fn bandwidth(&self, client: &ClientId, now_s: u64) -> Result<u64, TableError> {
        let tomorrow = UsageUnit::Day.number_at(now_s) + 1;
        let days = self.usage(client, UsageUnit::Day, tomorrow.saturating_sub(BANDWIDTH_DAYS), tomorrow)?;
        Ok(days.iter().fold(0, |sum, (_, counts)| sum.saturating_add(counts.bytes_out)))
    }

    /// Up to `limit` purges at or after an index, with their indices.
    ///
    /// # Errors
    /// [`TableError`].
    fn purges_from(&self, from: u64, limit: usize) -> Result<Vec<(u64, Purge)>, TableError> {
        self.scan(Table::Purges, &[], &from.to_be_bytes(), limit)?
            .into_iter()
            .map(|(key, value)| {
                let index = key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                Ok((index, record(Table::Purges, &value)?))
            })
            .collect()
    }
}

impl<T: ReadTables + ?Sized> Query for T {}

/// Which assets a list is to have.
#[derive(Debug, Clone, Copy, Default)]
pub struct AssetFilter<'a> {
    /// What their paths start with.
    pub prefix: &'a str,
    /// Their MIME type: `type/subtype`, `type/*` or `type`.
    pub mime: Option<&'a str>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetPage {
    /// The assets, in the order of their paths.
    pub assets: Vec<Asset>,
    /// Whether the list goes on.
    pub has_more: bool,
}

/// What is directly below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPage {
    /// The folders, each with a slash at its end, in order.
    pub folders: Vec<String>,
    /// The assets, in the order of their paths.
    pub assets: Vec<Asset>,
    /// Whether there is more behind the last of both.
    pub has_more: bool,
}

/// The first path that can follow a path, or all that is in a folder.
fn behind(path_or_folder: &str) -> Vec<u8> {
    match path_or_folder.strip_suffix('/') {
        // '0' is the byte after '/'.
        Some(folder) => [folder.as_bytes(), b"0"].concat(),
        None => [path_or_folder.as_bytes(), &[0]].concat(),
    }
}

fn mime_matches(wanted: &str, mime: &str) -> bool {
    let essence = mime.split(';').next().unwrap_or(mime).trim();
    let family = essence.split('/').next().unwrap_or(essence);
    match wanted.strip_suffix("/*") {
        Some(wanted) => family.eq_ignore_ascii_case(wanted),
        None if wanted.contains('/') => essence.eq_ignore_ascii_case(wanted),
        None => family.eq_ignore_ascii_case(wanted),
    }
}

fn row<R: Record, T: ReadTables + ?Sized>(tables: &T, table: Table, key: &[u8]) -> Result<Option<R>, TableError> {
    tables.get(table, key)?.map(|bytes| record(table, &bytes)).transpose()
}

fn all<R: Record, T: ReadTables + ?Sized>(tables: &T, table: Table) -> Result<Vec<R>, TableError> {
    let rows: Vec<Row> = tables.scan(table, &[], &[], usize::MAX)?;
    rows.iter().map(|(_, bytes)| record(table, bytes)).collect()
}

fn record<R: Record>(table: Table, bytes: &[u8]) -> Result<R, TableError> {
    decode(bytes).map_err(|source| TableError::Row { table, source })
}
