//! What a backup says of itself. It is written last: a backup without one is not a backup.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use ncore_proto::admin::v1::BackupHeader;
use serde::{Deserialize, Serialize};

/// The version of the shape.
const FORMAT: u32 = 1;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The version of this shape.
    pub(crate) format: u32,
    /// Which cluster it is of, in hexadecimal.
    pub(crate) cluster_id: String,
    /// The state that it holds: lineage,
    pub(crate) lineage: u32,
    /// and index of the last entry.
    pub(crate) index: u64,
    /// The hash of that state, in hexadecimal.
    pub(crate) state_hash: String,
    /// The time of the log, in Unix milliseconds.
    pub(crate) log_time_ms: u64,
    /// The schema level of the state. A build must reach it to restore it.
    pub(crate) schema_level: u32,
    /// Whether it includes everything that was acknowledged before it was made; if not, what one node had.
    pub(crate) confirmed: bool,
    /// The node that made it.
    pub(crate) node: String,
    /// The version of its software.
    pub(crate) software: String,
    /// When, by the clock of the machine.
    pub(crate) made_at: Timestamp,
    /// The files, in the order of their names.
    pub(crate) files: Vec<ManifestFile>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestFile {
    /// Its name, without a directory.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// BLAKE3 of its content, in hexadecimal.
    pub(crate) blake3: String,
}

/// What the names of backups of one cluster sort by: when it was made, to the second, then the lineage and the index of its state, as
/// numbers. Other names come first among those of their time.
pub(crate) fn age_of(name: &str) -> (&str, Option<(u32, u64)>) {
    let (made_at, revision) = name.split_once('-').unwrap_or((name, ""));
    let numbers = revision.split_once('.').and_then(|(lineage, index)| Some((lineage.parse().ok()?, index.parse().ok()?)));
    (made_at, numbers)
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

impl Manifest {
    /// The manifest of what a node sends, as yet without files.
    pub(crate) fn of(header: &BackupHeader) -> Self {
        Self {
            format: FORMAT,
            cluster_id: header.cluster_id.clone(),
            lineage: header.lineage,
            index: header.index,
            state_hash: hex::encode(&header.state_hash),
            log_time_ms: header.log_time_ms,
            schema_level: header.schema_level,
            confirmed: header.confirmed,
            node: header.node.clone(),
            software: header.software.clone(),
            made_at: Timestamp::now(),
            files: Vec::new(),
        }
    }

    /// The name of the backup. Names sort by [`age_of`].
    pub(crate) fn name(&self) -> String {
        format!("{}-{}.{}", self.made_at.strftime("%Y%m%dT%H%M%SZ"), self.lineage, self.index)
    }

    /// How many bytes its files have.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a manifest. The names in it are safe to use as names of files.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let header: Header = serde_json::from_slice(bytes).context("it is not JSON of a manifest")?;
        ensure!(header.format == FORMAT, "it is of format {}, and this build reads {FORMAT}", header.format);
        let manifest: Self = serde_json::from_slice(bytes).context("it is not a manifest")?;
        for file in &manifest.files {
            let plain = !matches!(file.name.as_str(), "" | "." | "..") && !file.name.contains(['/', '\\', '\0']);
            ensure!(plain, "it names a file {:?}", file.name);
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::{FORMAT, Manifest, ManifestFile, age_of};

    fn manifest(name: &str) -> Manifest {
        Manifest {
            format: FORMAT,
            cluster_id: "07".repeat(16),
            lineage: 2,
            index: 1_000_042,
            state_hash: "ab".repeat(32),
            log_time_ms: 1_700_000_000_123,
            schema_level: 2,
            confirmed: true,
            node: "eu-ams-1".to_owned(),
            software: "0.1.0".to_owned(),
            made_at: "2026-11-26T23:04:01Z".parse().expect("a time"),
            files: vec![ManifestFile { name: name.to_owned(), size: 7, blake3: "cd".repeat(32) }],
        }
    }

    #[test]
    fn a_manifest_comes_back() {
        let written = manifest("000012.sst");
        assert_eq!(Manifest::decode(&written.encode().expect("encodes")).expect("decodes"), written);
        assert_eq!(written.name(), "20261126T230401Z-2.1000042");
    }

    #[test]
    fn names_sort_by_age_also_within_a_second() {
        let oldest_first = [
            "20261126T230401Z-1.99",
            "20261126T230402Z",
            "20261126T230402Z-1.49",
            "20261126T230402Z-1.114",
            "20261126T230402Z-2.7",
            "20261126T230402Z-10.1",
            "20261126T230403Z-1.3",
        ];
        for pair in oldest_first.windows(2) {
            assert!(age_of(pair[0]) < age_of(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn half_a_manifest_is_none() {
        let bytes = manifest("000012.sst").encode().expect("encodes");
        for len in 0..bytes.len() - 2 {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn what_leads_out_of_the_directory_is_refused() {
        for name in ["", ".", "..", "../CURRENT", "a/b", "/etc/passwd"] {
            assert!(Manifest::decode(&manifest(name).encode().expect("encodes")).is_err(), "{name:?}");
        }
        let newer = Manifest { format: FORMAT + 1, ..manifest("a") };
        assert!(Manifest::decode(&newer.encode().expect("encodes")).expect_err("refused").to_string().contains("format 2"));
    }
}
