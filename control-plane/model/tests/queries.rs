//! Reading the state: pages, filters and what follows from reports.

use std::{cell::Cell, collections::BTreeSet};

use ncore_model::{
    Asset, AssetFilter, AssetId, AssetPage, BlobHash, ClientId, CopyState, Exception, ExceptionState, MemoryTables, NodeId, NodeReport,
    Query, ReadTables, Revision, RevisionParseError, Row, Table, TableError, Tables, copy_state, encode, state_hash,
};
use proptest::prelude::*;

fn asset(client: &ClientId, path: &str, mime: &str) -> Asset {
    Asset {
        id: AssetId::from_text(path),
        client: client.clone(),
        path: path.into(),
        mime: mime.into(),
        size: 1,
        sha256: [1; 32],
        blob: BlobHash([1; 32]),
        cache_ttl_s: 1,
        created_at_ms: 1,
        modified_at_ms: 1,
        node: NodeId(1),
        version: 1,
    }
}

/// Tables with these assets, as far as lists read them.
fn tables(assets: &[Asset]) -> MemoryTables {
    let mut tables = MemoryTables::default();
    for asset in assets {
        tables.put(Table::Assets, asset.path.as_bytes(), encode(asset).expect("encodes"));
        let key = [asset.client.as_str().as_bytes(), &[0], asset.path.as_bytes()].concat();
        tables.put(Table::ClientAssets, &key, Vec::new());
    }
    tables
}

fn paths(page: &AssetPage) -> Vec<&str> {
    page.assets.iter().map(|asset| asset.path.as_str()).collect()
}

#[test]
fn a_list_has_the_assets_of_one_client() {
    let (one, two) = (ClientId::from_text("cl_1"), ClientId::from_text("cl_12"));
    let tables = tables(&[asset(&one, "a", "text/plain"), asset(&two, "b", "text/plain"), asset(&one, "c/d", "text/plain")]);
    let all = tables.assets_of(&one, &AssetFilter::default(), None, 10).expect("reads");
    assert_eq!((paths(&all), all.has_more), (vec!["a", "c/d"], false));
}

#[test]
fn mime_filters() {
    let client = ClientId::from_text("cl_1");
    let table = [
        ("image/png", "image/png", true),
        ("image/png", "IMAGE/PNG", true),
        ("image/png", "image/png; q=1", true),
        ("image/png", "image/jpeg", false),
        ("image/*", "image/jpeg", true),
        ("image/*", "Image/JPEG", true),
        ("image/*", "text/plain", false),
        ("image", "image/gif", true),
        ("image", "Image/gif", true),
        ("image", "imagemap/x", false),
    ];
    for (wanted, mime, expected) in table {
        let tables = tables(&[asset(&client, "a", mime)]);
        let filter = AssetFilter { mime: Some(wanted), ..AssetFilter::default() };
        let page = tables.assets_of(&client, &filter, None, 10).expect("reads");
        assert_eq!(page.assets.len() == 1, expected, "{wanted} of {mime}");
    }
}

proptest! {
    /// Page by page, a list is what filtering everything gives, whatever is dropped between; and it ends.
    #[test]
    fn pages_are_the_whole_list(
        names in prop::collection::btree_set("[a-c]{1,4}", 0..60),
        images in prop::collection::vec(any::<bool>(), 60),
        copies in 1usize..12,
        prefix in "[a-c]{0,2}",
        only_images in any::<bool>(),
        limit in 1usize..9,
    ) {
        let (client, other) = (ClientId::from_text("cl_1"), ClientId::from_text("cl_2"));
        let mut assets = vec![asset(&other, "aa/other", "image/png")];
        for (name, image) in names.iter().zip(images) {
            for copy in 0..copies {
                assets.push(asset(&client, &format!("{name}/{copy:02}"), if image { "image/png" } else { "text/plain" }));
            }
        }
        let tables = tables(&assets);
        let filter = AssetFilter { prefix: &prefix, mime: only_images.then_some("image/*") };
        let mut expected: Vec<&str> = assets
            .iter()
            .filter(|asset| asset.client == client && asset.path.starts_with(&prefix) && (!only_images || asset.mime == "image/png"))
            .map(|asset| asset.path.as_str())
            .collect();
        expected.sort_unstable();

        let mut listed: Vec<String> = Vec::new();
        loop {
            let after = listed.last().cloned();
            let page = tables.assets_of(&client, &filter, after.as_deref(), limit).expect("reads");
            prop_assert!(page.assets.len() <= limit);
            prop_assert!(!page.has_more || !page.assets.is_empty(), "a list that does not end");
            listed.extend(page.assets.iter().map(|asset| asset.path.clone()));
            prop_assert_eq!(page.has_more, listed.len() < expected.len());
            if !page.has_more {
                break;
            }
        }
        prop_assert_eq!(listed, expected);
    }

    /// One row more, less or changed is another state, across the reads that the hash is made of.
    #[test]
    fn a_state_hash_sees_every_row(count in 1usize..2_100, which in any::<prop::sample::Index>()) {
        // Every second key is the one before with a zero behind it: the next key that there can be.
        let key = |row: usize| [row.div_ceil(2).to_be_bytes().as_slice(), if row.is_multiple_of(2) { &[0] } else { &[] }].concat();
        let mut tables = MemoryTables::default();
        for row in 0..count {
            tables.put(Table::Versions, &key(row), vec![1]);
        }
        let whole = state_hash(&tables).expect("reads");
        // The rows at the seams of long reads, and any other.
        for row in [which.index(count), 1_023.min(count - 1), 1_024.min(count - 1)] {
            tables.put(Table::Versions, &key(row), vec![2]);
            prop_assert_ne!(state_hash(&tables).expect("reads"), whole);
            tables.delete(Table::Versions, &key(row));
            prop_assert_ne!(state_hash(&tables).expect("reads"), whole);
            tables.put(Table::Versions, &key(row), vec![1]);
        }
        prop_assert_eq!(state_hash(&tables).expect("reads"), whole);
    }

    #[test]
    fn a_revision_is_read_as_it_is_written(lineage in any::<u32>(), index in any::<u64>()) {
        let revision = Revision { lineage, index };
        prop_assert_eq!(revision.to_string().parse(), Ok(revision));
    }
}

#[test]
fn what_is_no_revision() {
    for text in ["", "1", "1.", ".1", "1.2.3", "-1.2", "a.b", "1.18446744073709551616", "4294967296.1"] {
        assert_eq!(text.parse::<Revision>(), Err(RevisionParseError), "{text:?}");
    }
    let (old, new) = (Revision { lineage: 1, index: 900 }, Revision { lineage: 2, index: 3 });
    assert!(old < new, "a later lineage is later");
}

#[test]
fn the_state_of_a_copy_follows_from_the_report() {
    let report = NodeReport {
        node: NodeId(1),
        incarnation: 1,
        sequence: 1,
        watermark: 10,
        exceptions: vec![
            Exception { version: 3, state: ExceptionState::Missing },
            Exception { version: 4, state: ExceptionState::Corrupt },
        ],
    };
    let table = [
        (None, 1, CopyState::Pending),
        (Some(&report), 1, CopyState::Verified),
        (Some(&report), 3, CopyState::Missing),
        (Some(&report), 4, CopyState::Corrupt),
        (Some(&report), 10, CopyState::Verified),
        (Some(&report), 11, CopyState::Pending),
    ];
    for (report, version, expected) in table {
        assert_eq!(copy_state(report, version), expected, "version {version}");
    }
}

proptest! {
    /// A folder's pages, put together, are what the whole list comes to when everything behind the next slash is one folder.
    #[test]
    fn folders_are_what_the_list_comes_to(
        paths in prop::collection::btree_set("[ab0.]{1,2}(/[ab0]{1,2}){0,3}", 1..60),
        prefix in prop_oneof![Just(String::new()), Just("a".to_owned()), Just("a/".to_owned()), Just("ab/b/".to_owned())],
        limit in 1usize..7,
        many in 0usize..400,
    ) {
        let (mut tables, client) = (MemoryTables::default(), ClientId::from_text("cl_1"));
        let crowd = (0..many).map(|number| format!("a/crowd/{number:04}"));
        for path in paths.iter().cloned().chain(crowd) {
            for (owner, path) in [(&client, path.clone()), (&ClientId::from_text("cl_2"), format!("{path}~"))] {
                keep(&mut tables, owner, &path);
            }
        }
        let all = tables.assets_of(&client, &AssetFilter { prefix: &prefix, mime: None }, None, usize::MAX).expect("reads").assets;
        let (mut folders, mut assets) = (BTreeSet::new(), Vec::new());
        for path in all.iter().map(|asset| asset.path.clone()) {
            match path[prefix.len()..].find('/') {
                Some(at) => { folders.insert(path[..=prefix.len() + at].to_owned()); }
                None => assets.push(path),
            }
        }
        let (mut seen_folders, mut seen_assets, mut after) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let page = tables.folder_of(&client, &prefix, after.as_deref(), limit).expect("reads");
            let count = page.folders.len() + page.assets.len();
            prop_assert!(count <= limit && (count == limit || !page.has_more));
            seen_folders.extend(page.folders.iter().cloned());
            seen_assets.extend(page.assets.iter().map(|asset| asset.path.clone()));
            after = page.folders.last().cloned().max(page.assets.last().map(|asset| asset.path.clone()));
            if !page.has_more {
                break;
            }
        }
        prop_assert_eq!(seen_folders, folders.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(seen_assets, assets);
    }
}

/// Tables that count the rows that they give.
struct Counted {
    tables: MemoryTables,
    rows: Cell<usize>,
}

impl ReadTables for Counted {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.rows.set(self.rows.get() + 1);
        self.tables.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, TableError> {
        let rows = self.tables.scan(table, prefix, from, limit)?;
        self.rows.set(self.rows.get() + rows.len());
        Ok(rows)
    }
}

/// However much is in them, to pass over a folder takes a few keys.
#[test]
fn what_is_in_a_folder_is_not_read() {
    let (mut tables, client) = (MemoryTables::default(), ClientId::from_text("cl_1"));
    for folder in 0..20 {
        for number in 0..1_000 {
            keep(&mut tables, &client, &format!("{folder:02}/{number}"));
        }
        keep(&mut tables, &client, &format!("{folder:02}.txt"));
    }
    let counted = Counted { tables, rows: Cell::new(0) };
    let page = counted.folder_of(&client, "", None, 100).expect("reads");
    assert_eq!((page.folders.len(), page.assets.len(), page.has_more), (20, 20, false));
    assert!(counted.rows.get() < 20 * 40, "{} rows", counted.rows.get());
}

fn keep(tables: &mut MemoryTables, client: &ClientId, path: &str) {
    let asset = Asset {
        id: AssetId::from_text(path),
        client: client.clone(),
        path: path.to_owned(),
        mime: "a/b".to_owned(),
        size: 0,
        sha256: [0; 32],
        blob: BlobHash([0; 32]),
        cache_ttl_s: 0,
        created_at_ms: 0,
        modified_at_ms: 0,
        node: NodeId(1),
        version: 1,
    };
    tables.put(Table::Assets, path.as_bytes(), encode(&asset).expect("encodes"));
    tables.put(Table::ClientAssets, &[client.as_str().as_bytes(), &[0], path.as_bytes()].concat(), Vec::new());
}
