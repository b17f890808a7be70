//! The bytes of every record that was ever released, beside this file: `<name>.v<version>.hex`.
//!
//! What stands in a log or on a disk must be readable for ever, and nothing in the types says so: a field moved, a variant put
//! in between, and old bytes mean something else. So a file is written once and never changed. What may be added:
//!
//! * a new variant or kind: add a case, run with `NCORE_GOLDEN_WRITE=1`, commit the new file;
//! * a new version of a kind: the same, under the new version; the case of the old version stays, and decodes through its migration.

mod answers;
mod commands;
mod outcomes;
mod rows;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs, io,
    path::{Path, PathBuf},
};

use ncore_model::{
    AdministratorId, AssetId, BlobHash, ClientId, NodeId, Precondition, Record, RequestId, Upload, UploadId, UploadPart, UploadTarget,
    Visibility, Zone, ZoneBypass, ZoneFence, ZoneId, ZoneOrigin, ZoneSettings, decode, encode,
};

/// Set to `1`, files that are missing are written. Files that are there are never changed.
const WRITE: &str = "NCORE_GOLDEN_WRITE";

/// A name, and the bytes that must be in its file.
struct Golden {
    name: String,
    bytes: Vec<u8>,
}

/// The golden bytes of a record, which decode to it.
fn record<R: Record + PartialEq + Debug>(name: &str, value: &R) -> Golden {
    let bytes = encode(value).expect("encodes");
    assert_eq!(decode::<R>(&bytes).as_ref(), Ok(value), "{name}");
    Golden { name: format!("{name}.v{}", R::VERSION), bytes }
}

/// Encoding gives what is in the file. That the file decodes to the value follows: [`record`] decodes the same bytes.
#[test]
fn the_bytes_of_every_record_are_as_ever() {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for golden in all() {
        assert!(names.insert(golden.name.clone()), "two cases are called {}", golden.name);
        if let Err(reason) = compare(&golden) {
            wrong.push(reason);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Every file has its case: one that lost it would no longer be watched.
#[test]
fn every_file_has_a_case() {
    let names: BTreeSet<String> = all().into_iter().map(|golden| golden.name).collect();
    let lost: Vec<PathBuf> = fs::read_dir(directory())
        .expect("lists")
        .map(|entry| entry.expect("reads").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .filter(|path| path.file_stem().and_then(|stem| stem.to_str()).is_none_or(|stem| !names.contains(stem)))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

fn all() -> Vec<Golden> {
    [commands::all(), outcomes::all(), rows::all(), answers::all()].into_iter().flatten().collect()
}

fn compare(golden: &Golden) -> Result<(), String> {
    let path = directory().join(format!("{}.hex", golden.name));
    let text = to_text(&golden.bytes);
    match fs::read_to_string(&path) {
        Ok(kept) if kept == text => Ok(()),
        Ok(kept) => Err(format!("{}: these bytes were released and must not change:\n{kept}and now they are:\n{text}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && std::env::var_os(WRITE).is_some_and(|value| value == "1") => {
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        }
        Err(error) => Err(format!("{}: {error}; if the case is new, run once with {WRITE}=1 and commit the file", path.display())),
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// 32 bytes a line.
fn to_text(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n").collect()
}

/// Names as the cluster makes them, and always the same.
fn request() -> RequestId {
    RequestId([0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x70, 0x01, 0x80, 0x02, 1, 2, 3, 4, 5, 6])
}

fn client() -> ClientId {
    ClientId::from_text("cl_00000000000000000001")
}

fn administrator() -> AdministratorId {
    AdministratorId::from_text("ad_00000000000000000003")
}

fn asset_id() -> AssetId {
    AssetId::from_text("as_00000000000000000002")
}

fn upload_id() -> UploadId {
    UploadId::from_text("up_00000000000000000003")
}

fn zone_id() -> ZoneId {
    ZoneId([0xD1; 16])
}

fn zone() -> Zone {
    Zone {
        id: zone_id(),
        number: 70_000,
        client: client(),
        name: "Büro".into(),
        origins: vec![
            ZoneOrigin { url: "https://origin.example/base".into(), weight: 300, backup: false },
            ZoneOrigin { url: "http://[2001:db8::1]:8080/base".into(), weight: 1, backup: true },
        ],
        host_header: Some("www.example".into()),
        cdn_hostname: "z0123456789ab.cdn.example".into(),
        domains: vec!["static.example".into()],
        settings: zone_settings(),
        created_at_ms: 1_700_000_000_000,
        updated_at_ms: 1_700_000_360_000,
        version: 70_001,
    }
}

/// None as it is by default.
fn zone_settings() -> ZoneSettings {
    ZoneSettings {
        cache_ttl_s: Some(3_600),
        cache_query_strings: false,
        bypass: ZoneBypass { everything: true, prefixes: vec!["/admin/".into()], cookies: vec!["session".into()] },
        negative_ttl_s: Some(10),
        stale_on_error_s: Some(86_400),
        stale_while_revalidate_s: Some(60),
        fence: ZoneFence::Refuse,
        tiers: false,
        cache_set_cookie: true,
        cache_authorization: true,
        cors: true,
    }
}

fn upload() -> Upload {
    Upload {
        id: upload_id(),
        client: client(),
        length: 1_234_567,
        target: UploadTarget {
            path: "bilder/übersicht.webp".into(),
            mime: Some("image/webp".into()),
            cache_ttl_s: Some(86_400),
            visibility: Some(Visibility::Restricted),
            precondition: Precondition::Absent,
        },
        note: "filename eA==".into(),
        parts: vec![UploadPart { blob: BlobHash([0xB3; 32]), size: 70_000 }],
        asset: None,
        created_at_ms: 1_700_000_000_000,
        expires_at_ms: 1_700_086_400_000,
    }
}

fn asset() -> ncore_model::Asset {
    ncore_model::Asset {
        id: asset_id(),
        client: client(),
        path: "bilder/übersicht.webp".into(),
        mime: "image/webp".into(),
        size: 1_234_567,
        sha256: [0xA5; 32],
        blob: BlobHash([0xB3; 32]),
        cache_ttl_s: 86_400,
        created_at_ms: 1_700_000_000_000,
        modified_at_ms: 1_700_000_360_000,
        node: NodeId(3),
        version: 70_000,
    }
}
