//! What must be true of any log whatever: the invariants that `lib.rs` states, looked at after every entry.

mod sequence;

use std::collections::{BTreeMap, BTreeSet};

use ncore_model::{
    Applied, Asset, BeginLineage, BlobHash, Command, CopyState, Founder, IDEMPOTENCY_RETENTION_MS, MemoryTables, Node, NodeReport,
    NodeState, Outcome, Placements, Proposal, Query, REFRESH_MARGIN_MS, REQUEST_RETENTION_MS, ReadTables, Rejection, RequestId, Revision,
    Row, Stored, Table, Tables, Upload, Zone, ZonePurge, apply, begin_lineage, decode, state_hash,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{FileFailurePersistence, TestRunner},
};
use sequence::{LogEntry, logs};

/// The tables of the answers, of the log's time, and of what is forgotten when that comes: what a rejection may change. Blobs are
/// counted from the others.
const ANSWERS: [Table; 10] = [
    Table::Cluster,
    Table::Requests,
    Table::Keys,
    Table::Expiry,
    Table::RevokedTokens,
    Table::RefreshFamilies,
    Table::Uploads,
    Table::ClientUploads,
    Table::PurgeCounts,
    Table::Blobs,
];
/// The most answers that an entry forgets.
const FORGET_PER_ENTRY: usize = 16;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))), ..ProptestConfig::default() })]

    /// Everything that is looked at after every entry.
    #[test]
    fn the_invariants_hold_after_every_entry(log in logs(80)) {
        let mut tables = MemoryTables::default();
        let mut once = Once::default();
        for (index, proposal) in proposals(&log) {
            let before = tables.clone();
            let applied = apply(&mut tables, index, proposal).expect("applies");
            once.check(&before, &tables, index, proposal, &applied)?;
            check_frame(&before, &tables, proposal, &applied)?;
            check_placements(&before, &tables, index)?;
            check_assets(&tables)?;
            check_accounts(&before, &tables, proposal)?;
            check_nodes(&tables)?;
            check_zones(&before, &tables, index, proposal, &applied)?;
            check_forgetting(&before, &tables)?;
        }
    }

    /// The same log gives the same answers and the same state, also when the second half follows on nothing but the rows of the first.
    #[test]
    fn apply_is_deterministic(log in logs(80), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(log.len());
        let run = |tables: &mut MemoryTables, log: &[LogEntry]| -> Vec<Applied> {
            proposals(log).map(|(index, proposal)| apply(tables, index, proposal).expect("applies")).collect()
        };
        let mut whole = MemoryTables::default();
        let answers = run(&mut whole, &log);
        let mut first = MemoryTables::default();
        let mut answers_in_parts = run(&mut first, &log[..cut]);
        let mut second = MemoryTables::default();
        for table in Table::ALL {
            for (key, value) in rows(&first, table) {
                second.put(table, &key, value);
            }
        }
        answers_in_parts.extend(run(&mut second, &log[cut..]));
        prop_assert_eq!(answers, answers_in_parts);
        prop_assert_eq!(state_hash(&whole).expect("reads"), state_hash(&second).expect("reads"));
        prop_assert_eq!(whole, second);
    }

    /// A lineage begins from any state, with any member of it. It loses no asset and no answer, and the invariants hold while the
    /// log goes on in it.
    #[test]
    fn a_lineage_begins_anywhere(log in logs(80), cut in any::<prop::sample::Index>(), member in any::<prop::sample::Index>()) {
        const GAP: u64 = 1_000_000;
        let cut = cut.index(log.len());
        let mut tables = MemoryTables::default();
        let mut base = 0;
        for (index, proposal) in proposals(&log[..cut]) {
            apply(&mut tables, index, proposal).expect("applies");
            base = index;
        }
        let members = tables.members().expect("reads");
        prop_assume!(!members.is_empty());
        let survivor = members[member.index(members.len())].id;
        let begin = BeginLineage { number: 2, base, at_ms: 0, founder: Founder::Survivor(survivor) };
        let before = tables.clone();
        let begun = begin_lineage(&mut tables, base + GAP, &begin).expect("applies").expect("begins");
        prop_assert_eq!(begun.removed.len(), members.len() - 1);
        for table in Table::ALL {
            if !matches!(table, Table::Cluster | Table::Nodes | Table::Reports | Table::JoinTokens | Table::Placements) {
                prop_assert_eq!(rows(&before, table), rows(&tables, table), "{}", table.as_str());
            }
        }
        let again = BeginLineage { at_ms: 1, ..begin };
        prop_assert!(begin_lineage(&mut tables.clone(), base + 2 * GAP, &again).expect("applies").is_err());
        for (index, proposal) in proposals(&log[cut..]) {
            let before = tables.clone();
            let applied = apply(&mut tables, index + GAP, proposal).expect("applies");
            prop_assert_eq!(applied.lineage, 2);
            check_frame(&before, &tables, proposal, &applied)?;
            check_assets(&tables)?;
            check_nodes(&tables)?;
            check_forgetting(&before, &tables)?;
        }
        let known = [base, base + 1].map(|index| tables.includes(Revision { lineage: 1, index }).expect("reads"));
        prop_assert_eq!(known, [true, false]);
    }

    /// When the log's time moves on, what is kept of the answers comes down to those of the last entries.
    #[test]
    fn answers_do_not_pile_up(log in logs(120)) {
        let mut tables = MemoryTables::default();
        let mut index = 0;
        let mut now_ms = 0;
        for (at, proposal) in proposals(&log) {
            apply(&mut tables, at, proposal).expect("applies");
            index = at;
            now_ms = now_ms.max(proposal.log_time_ms);
        }
        prop_assume!(tables.cluster().expect("reads").is_some());
        // Far enough for the ids that came from clocks ahead, and for the refresh tokens that live longest.
        for _ in 0..count(&tables, Table::Expiry) {
            index += 1;
            now_ms += 2 * IDEMPOTENCY_RETENTION_MS + REFRESH_MARGIN_MS;
            let quiet = Proposal { request: quiet_request(now_ms), idempotency: None, log_time_ms: now_ms, command: Command::RaiseSchema { level: 9 } };
            apply(&mut tables, index, &quiet).expect("applies");
        }
        for table in [Table::Expiry, Table::Requests] {
            prop_assert!(count(&tables, table) <= 1, "{} rows of {}", count(&tables, table), table.as_str());
        }
        for table in [Table::Keys, Table::Uploads, Table::ClientUploads] {
            prop_assert_eq!(count(&tables, table), 0, "{}", table.as_str());
        }
        check_assets(&tables)?;
    }
}

/// What is known of the requests and keys so far, from the outside.
#[derive(Default)]
struct Once {
    carried_out: BTreeSet<RequestId>,
    answers: BTreeMap<RequestId, Applied>,
    /// By scope: the payload, the answer, and when it was given.
    keys: BTreeMap<[u8; 32], ([u8; 32], Applied, u64)>,
    now_ms: u64,
}

impl Once {
    /// A request is carried out or refused once, its answer is the same for as long as it is accepted at all, and an answer that
    /// is given again changes nothing.
    fn check(
        &mut self,
        before: &MemoryTables,
        after: &MemoryTables,
        index: u64,
        proposal: &Proposal,
        applied: &Applied,
    ) -> Result<(), TestCaseError> {
        if before.cluster().expect("reads").is_some() || after.cluster().expect("reads").is_some() {
            self.now_ms = self.now_ms.max(proposal.log_time_ms);
        }
        let too_old = proposal.request.issued_ms() + REQUEST_RETENTION_MS <= self.now_ms.max(proposal.log_time_ms);
        let expired = Applied { outcome: Outcome::Rejected(Rejection::RequestExpired), index, lineage: applied.lineage };
        let unchanged = content(before) == content(after) && !has_more_uploads(before, after);
        if let Some(known) = self.answers.get(&proposal.request) {
            prop_assert!(applied == known || (too_old && *applied == expired), "{known:?} became {applied:?}");
            prop_assert!(unchanged, "a second delivery changed something");
            return Ok(());
        }
        if too_old {
            prop_assert_eq!(applied, &expired);
            prop_assert!(unchanged, "a request that is too old changed something");
            return Ok(());
        }
        self.answers.insert(proposal.request, applied.clone());
        if let Some(key) = &proposal.idempotency
            && let Some((payload, known, at_ms)) = self.keys.get(&key.scope)
        {
            let refused = Applied { outcome: Outcome::Rejected(Rejection::KeyReused), ..known.clone() };
            let expected = if *payload == key.payload { known } else { &refused };
            if at_ms + IDEMPOTENCY_RETENTION_MS > self.now_ms || applied == expected {
                prop_assert_eq!(applied, expected);
                prop_assert!(unchanged, "a key that was used changed something");
                return Ok(());
            }
        }
        prop_assert_eq!(applied.index, index, "not carried out, and not known either");
        prop_assert!(self.carried_out.insert(proposal.request), "carried out twice");
        match (&applied.outcome, &proposal.idempotency) {
            (Outcome::Rejected(_), _) => prop_assert!(unchanged, "{:?} changed something", applied.outcome),
            (_, Some(key)) => {
                self.keys.insert(key.scope, (key.payload, applied.clone(), self.now_ms));
            }
            (_, None) => {}
        }
        Ok(())
    }
}

/// A command writes to the tables of its kind, and what it says it did is what can be read.
fn check_frame(before: &MemoryTables, after: &MemoryTables, proposal: &Proposal, applied: &Applied) -> Result<(), TestCaseError> {
    let allowed: &[Table] = match &proposal.command {
        Command::InitCluster(_) => &[Table::Nodes],
        Command::AddNode(_) => &[Table::Nodes, Table::JoinTokens, Table::Placements],
        Command::UpdateNode(_) => &[Table::Nodes, Table::Placements],
        Command::SetNodeState { .. } => &[Table::Nodes, Table::Reports, Table::Relays, Table::Placements, Table::UsageMarks],
        Command::SetVoter { .. } => &[Table::Nodes],
        Command::SetRelay { .. } => &[Table::Relays],
        Command::CreateJoinToken(_) | Command::RevokeJoinToken { .. } => &[Table::JoinTokens],
        Command::AddClient(_) | Command::SetClientStatus(_) => &[Table::Clients],
        Command::AddSigningKey(_) => &[Table::SigningKeys],
        Command::PutAsset(_) => &[Table::Assets, Table::AssetIds, Table::ClientAssets, Table::Versions, Table::Blobs, Table::Stored],
        Command::CreateUpload(_) | Command::AppendUpload(_) | Command::EndUpload(_) => &[Table::Uploads],
        Command::CompleteUpload(_) => {
            &[Table::Assets, Table::AssetIds, Table::ClientAssets, Table::Versions, Table::RestrictedAssets, Table::Uploads, Table::Stored]
        }
        Command::PutAssetAs(_) | Command::DeleteAsset(_) | Command::DeleteAssets(_) => {
            &[Table::Assets, Table::AssetIds, Table::ClientAssets, Table::Versions, Table::Blobs, Table::RestrictedAssets, Table::Stored]
        }
        Command::PatchAsset(_) => &[Table::Assets],
        Command::DescribeAsset(_) => &[Table::Assets, Table::RestrictedAssets],
        Command::MoveAsset(_) => &[Table::Assets, Table::AssetIds, Table::ClientAssets, Table::Versions],
        Command::PurgeAssets(_) => &[Table::Purges],
        Command::PurgeWithin(_) => &[Table::Purges, Table::PurgeCounts],
        Command::ReportHoldings(_) => &[Table::Reports],
        Command::ReportUsage(_) => &[Table::UsageMarks, Table::UsageHours, Table::UsageDays],
        Command::RaiseSchema { .. } => &[],
        Command::RevokeToken(_) => &[Table::RevokedTokens],
        Command::SetPlacement(_) | Command::RemovePlacement { .. } => &[Table::Placements],
        Command::RegisterClient(_) | Command::UpdateClient(_) | Command::RotateSecret(_) => {
            &[Table::Clients, Table::Accounts, Table::Stored, Table::RefreshFamilies]
        }
        Command::DeleteClient { .. } => &[
            Table::Clients,
            Table::Accounts,
            Table::Stored,
            Table::RefreshFamilies,
            Table::Placements,
            Table::UsageHours,
            Table::UsageDays,
        ],
        Command::AddRefreshToken(_) | Command::UseRefreshToken(_) | Command::RevokeRefreshToken { .. } => &[Table::RefreshFamilies],
        Command::RemoveSigningKey { .. } => &[Table::SigningKeys],
        Command::AddAdministrator(_) | Command::RemoveAdministrator { .. } => &[Table::Administrators],
        Command::CreateZone(_) => &[Table::Zones, Table::ClientZones, Table::ZoneHosts],
        Command::CreateShieldedZone(_) => &[Table::Zones, Table::ClientZones, Table::ZoneHosts, Table::ZoneShields],
        Command::UpdateZone(_) => &[Table::Zones, Table::ZoneHosts],
        Command::ShieldZone(_) => &[Table::Zones, Table::ZoneHosts, Table::ZoneShields],
        Command::RemoveZone(_) => {
            &[Table::Zones, Table::ClientZones, Table::ZoneHosts, Table::ZonePurges, Table::ZonePurgeMarks, Table::ZoneShields]
        }
        Command::PurgeZone(_) => &[Table::ZonePurges, Table::ZonePurgeMarks],
    };
    for table in [Table::RevokedTokens, Table::PurgeCounts] {
        let is_new = rows(after, table).iter().any(|row| !rows(before, table).contains(row));
        prop_assert!(!is_new || allowed.contains(&table), "{} added to {}", proposal.command.as_str(), table.as_str());
    }
    let has_more_uploads = has_more_uploads(before, after);
    prop_assert!(!has_more_uploads || allowed.contains(&Table::Uploads), "{} wrote an upload", proposal.command.as_str());
    for table in Table::ALL {
        if !ANSWERS.contains(&table) && !allowed.contains(&table) {
            prop_assert_eq!(rows(before, table), rows(after, table), "{} wrote to {}", proposal.command.as_str(), table.as_str());
        }
    }
    let carried_out = !matches!(applied.outcome, Outcome::Rejected(_)) && (content(before) != content(after) || has_more_uploads);
    if let Some(cluster) = before.cluster().expect("reads").filter(|_| carried_out) {
        prop_assert!(
            proposal.command.schema_level() <= cluster.schema_level,
            "{} at level {}",
            proposal.command.as_str(),
            cluster.schema_level
        );
    }
    // An answer of another index is one that was given before, and the asset may be another by now.
    let fresh = content(before) != content(after);
    match &applied.outcome {
        Outcome::AssetCreated(asset) | Outcome::AssetReplaced(asset) | Outcome::AssetPatched(asset) | Outcome::AssetMoved(asset)
            if fresh =>
        {
            prop_assert_eq!(after.asset_at(&asset.path).expect("reads"), Some(asset.clone()));
        }
        Outcome::AssetDeleted(id) if fresh => prop_assert_eq!(after.asset(id).expect("reads"), None),
        _ => {}
    }
    Ok(())
}

/// References are counted, and every asset is found by its path, its id, its client and its version.
fn check_assets(tables: &MemoryTables) -> Result<(), TestCaseError> {
    let mut references: BTreeMap<BlobHash, u64> = BTreeMap::new();
    let (mut ids, mut owned, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for (path, bytes) in rows(tables, Table::Assets) {
        let asset: Asset = decode(&bytes).expect("decodes");
        prop_assert_eq!(asset.path.as_bytes(), &path);
        *references.entry(asset.blob).or_default() += 1;
        ids.push((asset.id.as_str().as_bytes().to_vec(), path.clone()));
        owned.push(([asset.client.as_str().as_bytes(), &[0], &path].concat(), Vec::new()));
        versions.push((asset.version.to_be_bytes().to_vec(), path));
    }
    let mut open = Vec::new();
    for (id, bytes) in rows(tables, Table::Uploads) {
        let upload: Upload = decode(&bytes).expect("decodes");
        prop_assert_eq!(upload.id.as_str().as_bytes(), &id);
        prop_assert!(upload.asset.is_none() || upload.parts.is_empty(), "an asset keeps the pieces of its upload");
        prop_assert!(upload.asset.is_some() || upload.offset() < upload.length.max(1), "all is there, and there is no asset");
        for part in &upload.parts {
            *references.entry(part.blob).or_default() += 1;
        }
        if upload.asset.is_none() {
            open.push(([upload.client.as_str().as_bytes(), &[0], &id].concat(), upload.length.to_be_bytes().to_vec()));
        }
    }
    open.sort();
    prop_assert_eq!(rows(tables, Table::ClientUploads), open);
    for (id, _) in rows(tables, Table::RestrictedAssets) {
        prop_assert!(ids.iter().any(|(known, _)| *known == id), "visibility of an asset that is gone");
    }
    for (table, mut expected) in [(Table::AssetIds, ids), (Table::ClientAssets, owned), (Table::Versions, versions)] {
        expected.sort();
        prop_assert_eq!(rows(tables, table), expected, "{}", table.as_str());
    }
    let counted: BTreeMap<BlobHash, u64> = rows(tables, Table::Blobs)
        .into_iter()
        .map(|(hash, _)| {
            let hash = BlobHash(hash.try_into().expect("is a hash"));
            (hash, tables.blob(hash).expect("reads").expect("is there").references)
        })
        .collect();
    prop_assert_eq!(counted, references);
    Ok(())
}

/// What is counted of a client is what it has, it grows beyond its quota by no upload, and no two uses of a refresh token succeed.
fn check_accounts(before: &MemoryTables, after: &MemoryTables, proposal: &Proposal) -> Result<(), TestCaseError> {
    let mut used: BTreeMap<String, Stored> = BTreeMap::new();
    for (_, bytes) in rows(after, Table::Assets) {
        let asset: Asset = decode(&bytes).expect("decodes");
        let usage = used.entry(asset.client.as_str().to_owned()).or_default();
        *usage = Stored { assets: usage.assets + 1, bytes: usage.bytes + asset.size };
    }
    for client in after.clients().expect("reads") {
        let counted = after.stored(&client.id).expect("reads");
        let account = after.account(&client.id).expect("reads");
        prop_assert_eq!(counted.is_some(), account.is_some());
        let Some(counted) = counted else { continue };
        prop_assert_eq!(counted, used.get(client.id.as_str()).copied().unwrap_or_default());
        let quota = account.and_then(|account| account.plan.storage_bytes).unwrap_or(u64::MAX);
        if let (Command::PutAsset(_) | Command::PutAssetAs(_), Some(was)) = (&proposal.command, before.stored(&client.id).expect("reads")) {
            prop_assert!(counted.bytes <= was.bytes.max(quota), "{counted:?} is more than {was:?} and {quota}");
        }
    }
    for table in [Table::Accounts, Table::Stored] {
        for (key, _) in rows(after, table) {
            let client = ncore_model::ClientId::from_text(str::from_utf8(&key).expect("text"));
            prop_assert!(after.client(&client).expect("reads").is_some(), "{} of nobody", table.as_str());
        }
    }
    if let Command::UseRefreshToken(used) = &proposal.command {
        let (was, is) = (before.refresh_family(&used.client, &used.family), after.refresh_family(&used.client, &used.family));
        if let (Some(was), Some(is)) = (was.expect("reads"), is.expect("reads")) {
            prop_assert!(is == was || (was.secret_hash == used.secret_hash && is.secret_hash == used.next_hash && is.uses == was.uses + 1));
        }
    }
    Ok(())
}

/// Every member can apply the level, has a name of its own, and only members report.
fn check_nodes(tables: &MemoryTables) -> Result<(), TestCaseError> {
    let Some(cluster) = tables.cluster().expect("reads") else {
        return Ok(());
    };
    let members = tables.members().expect("reads");
    let mut names = BTreeSet::new();
    for node in &members {
        prop_assert!(node.schema.includes(cluster.schema_level), "{} cannot apply level {}", node.name, cluster.schema_level);
        prop_assert!(names.insert(&node.name), "two members are called {}", node.name);
    }
    for node in tables.nodes().expect("reads") {
        let reported = tables.report(node.id).expect("reads").is_some();
        prop_assert!(!reported || node.state != NodeState::Removed, "{} is removed and reports", node.name);
    }
    Ok(())
}

/// Every host of a zone is found and is one zone's alone, each zone is its client's, purges are of zones that there are, and what was purged
/// stays purged.
fn check_zones(
    before: &MemoryTables,
    after: &MemoryTables,
    index: u64,
    proposal: &Proposal,
    applied: &Applied,
) -> Result<(), TestCaseError> {
    let zones = after.zones().expect("reads");
    let (mut hosts, mut owned) = (Vec::new(), Vec::new());
    for zone in &zones {
        prop_assert_eq!(zone.fault(), None);
        prop_assert!(after.client(&zone.client).expect("reads").is_some(), "a zone of nobody");
        hosts.extend(zone.hosts().map(|host| (host.as_bytes().to_vec(), zone.id.0.to_vec())));
        owned.push(([zone.client.as_str().as_bytes(), &[0], &zone.number.to_be_bytes()].concat(), zone.id.0.to_vec()));
        for client in after.clients().expect("reads") {
            prop_assert!(!zone.hosts().any(|host| client.domains.iter().any(|domain| domain == host)), "a host of two owners");
        }
        prop_assert!(
            before.zone(zone.id).expect("reads").is_none_or(|was| after_all_purges(before, &was, after, zone)),
            "a purge is forgotten"
        );
    }
    for (table, mut expected) in [(Table::ZoneHosts, hosts), (Table::ClientZones, owned)] {
        expected.sort();
        prop_assert_eq!(rows(after, table), expected, "{}", table.as_str());
    }
    for table in [Table::ZonePurges, Table::ZonePurgeMarks] {
        for (key, _) in rows(after, table) {
            prop_assert!(zones.iter().any(|zone| key.starts_with(&zone.number.to_be_bytes())), "{} of no zone", table.as_str());
        }
    }
    for (key, _) in rows(after, Table::ZoneShields) {
        prop_assert!(zones.iter().any(|zone| key == zone.id.0), "a shield of no zone");
    }
    if let (Command::PurgeZone(purge), Outcome::Purged, true) = (&proposal.command, &applied.outcome, applied.index == index) {
        let zone = after.zone(purge.zone).expect("reads").expect("is there");
        prop_assert_eq!(after.zone_purge(zone.number, index).expect("reads").map(|kept| kept.targets), Some(purge.targets.clone()));
    }
    Ok(())
}

/// Whether each purge that was kept still is, or falls under the floor.
fn after_all_purges(before: &MemoryTables, was: &Zone, after: &MemoryTables, is: &Zone) -> bool {
    let mark = after.zone_purge_mark(is.number).expect("reads");
    let kept = before.zone_purges_from(was.number, 0).expect("reads");
    let lost = |(index, _): &&(u64, ZonePurge)| after.zone_purge(is.number, *index).expect("reads").is_none();
    let was = before.zone_purge_mark(was.number).expect("reads");
    was.zone_at <= mark.zone_at && was.floor <= mark.floor && kept.iter().filter(lost).all(|(index, _)| *index <= mark.floor)
}

/// Where an asset must be held does not change unless the index of the change stands in the state: what a node reported before
/// does not count as verified then.
fn check_placements(before: &MemoryTables, after: &MemoryTables, index: u64) -> Result<(), TestCaseError> {
    let members = after.members().expect("reads");
    let (mut then, mut now) = (Placements::read(before).expect("reads"), Placements::read(after).expect("reads"));
    for (_, bytes) in rows(after, Table::Assets) {
        let asset: Asset = decode(&bytes).expect("decodes");
        if before.asset_at(&asset.path).expect("reads").is_none_or(|known| known.version != asset.version) {
            continue;
        }
        let (was, is) = (then.of(before, &asset).expect("reads"), now.of(after, &asset).expect("reads"));
        prop_assert!(is.since <= now.changed_at() && now.changed_at() <= index);
        let known = |node: &&Node| before.node(node.id).expect("reads").is_some();
        for node in members.iter().filter(known).filter(|node| is.is_on(node.id) && !was.is_on(node.id)) {
            prop_assert_eq!(is.since, index, "{} must hold {} from now on", node.name, asset.path);
            let report = after.report(node.id).expect("reads").map(|report| NodeReport { watermark: index - 1, ..report });
            prop_assert!(is.state(report.as_ref(), asset.version) != CopyState::Verified);
        }
    }
    Ok(())
}

/// Every answer, and every revocation, has its day, and as many of those that are due go as may go at once.
fn check_forgetting(before: &MemoryTables, after: &MemoryTables) -> Result<(), TestCaseError> {
    let mut answers: Vec<Vec<u8>> = Vec::new();
    for table in [Table::Requests, Table::Keys, Table::RevokedTokens, Table::RefreshFamilies, Table::Uploads, Table::PurgeCounts] {
        answers.extend(rows(after, table).into_iter().map(|(key, _)| [[table as u8].as_slice(), &key].concat()));
    }
    let mut scheduled: Vec<Vec<u8>> = rows(after, Table::Expiry).into_iter().map(|(key, _)| key[8..].to_vec()).collect();
    scheduled.sort();
    answers.sort();
    prop_assert_eq!(scheduled, answers);

    let (Some(_), Some(cluster)) = (before.cluster().expect("reads"), after.cluster().expect("reads")) else {
        return Ok(());
    };
    let due = |tables: &MemoryTables| {
        rows(tables, Table::Expiry).iter().filter(|(key, _)| key.as_slice() < (cluster.log_time_ms + 1).to_be_bytes().as_slice()).count()
    };
    // A refresh token that is due may also be ended by the entry.
    prop_assert!(due(after) <= due(before).saturating_sub(FORGET_PER_ENTRY));
    let overlooked = rows(after, Table::Expiry).into_iter().any(|(key, _)| key < cluster.forgotten_until_ms.to_be_bytes().to_vec());
    prop_assert!(!overlooked, "an answer is never forgotten");
    Ok(())
}

fn proposals(log: &[LogEntry]) -> impl Iterator<Item = (u64, &Proposal)> {
    log.iter().filter_map(|entry| Some((entry.index, entry.proposal.as_ref()?)))
}

/// Every row but those of the answers, and the schema level.
fn content(tables: &MemoryTables) -> (Vec<Vec<Row>>, Option<u32>) {
    let rows = Table::ALL.into_iter().filter(|table| !ANSWERS.contains(table)).map(|table| rows(tables, table)).collect();
    (rows, tables.cluster().expect("reads").map(|cluster| cluster.schema_level))
}

/// Whether there is an upload that was not there before, or was not as it is now.
fn has_more_uploads(before: &MemoryTables, after: &MemoryTables) -> bool {
    let known = rows(before, Table::Uploads);
    rows(after, Table::Uploads).iter().any(|row| !known.contains(row))
}

fn rows(tables: &MemoryTables, table: Table) -> Vec<Row> {
    tables.scan(table, &[], &[], usize::MAX).expect("scans")
}

fn count(tables: &MemoryTables, table: Table) -> usize {
    rows(tables, table).len()
}

fn quiet_request(ms: u64) -> RequestId {
    let mut bytes = [0xEE; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    RequestId(bytes)
}

/// The logs would prove nothing if nothing were carried out in them.
#[test]
fn every_command_is_carried_out_in_the_logs() {
    let mut runner = TestRunner::deterministic();
    let mut carried_out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut given_again = 0;
    for _ in 0..1_500 {
        let log = logs(80).new_tree(&mut runner).expect("makes a log").current();
        let mut tables = MemoryTables::default();
        for (index, proposal) in proposals(&log) {
            let applied = apply(&mut tables, index, proposal).expect("applies");
            given_again += usize::from(applied.index != index);
            let done = applied.index == index && !matches!(applied.outcome, Outcome::Rejected(_));
            *carried_out.entry(proposal.command.as_str()).or_default() += usize::from(done);
        }
    }
    assert_eq!(carried_out.len(), 46);
    assert!(carried_out.values().all(|times| *times >= 20), "{carried_out:?}");
    assert!(given_again >= 200, "{given_again}");
}
