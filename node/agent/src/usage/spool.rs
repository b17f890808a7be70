//! The report that is under way, and what is pending, on disk: what a node that starts again goes on from.
//!
//! The file is replaced as a whole. It is a row of records, each with its length before it: the report first, if there is one, then
//! what is pending, in records of the same kind with the sequence 0.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use ncore_model::{HourCounts, MAX_USAGE_COUNTS, NodeId, UsageReport, decode, encode};

/// Where it is kept.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    path: PathBuf,
}

/// What is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spooled {
    /// A report that may have been proposed, and may have been taken.
    pub(super) report: Option<UsageReport>,
    /// What no report has.
    pub(super) rest: Vec<HourCounts>,
}

/// The sequence of what is no report yet. Those of reports begin at 1.
const REST: u64 = 0;

impl Spool {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join("usage.spool") }
    }

    /// What was kept. A file that is damaged is set aside: what it had is lost, and none of it counts twice.
    pub(super) fn read(&self, node: NodeId) -> io::Result<Spooled> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Spooled::default()),
            Err(error) => return Err(error),
        };
        let Some(mut spooled) = parse(&bytes) else {
            tracing::error!(path = %self.path.display(), "the kept counts of usage are damaged, and are set aside");
            fs::rename(&self.path, self.path.with_extension("damaged"))?;
            return Ok(Spooled::default());
        };
        // Under another id this machine cannot find out what became of the report.
        spooled.report = spooled.report.filter(|report| report.node == node);
        Ok(spooled)
    }

    /// Replaces what is kept. When this returns it is on disk.
    pub(super) fn write(&self, node: NodeId, spooled: &Spooled) -> io::Result<()> {
        let rest = spooled.rest.chunks(MAX_USAGE_COUNTS);
        let rest = rest.map(|counts| UsageReport { node, incarnation: 0, sequence: REST, counts: counts.to_vec() });
        let mut bytes = Vec::new();
        for record in spooled.report.iter().cloned().chain(rest) {
            let record = encode(&record).map_err(io::Error::other)?;
            let length = u32::try_from(record.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&record);
        }
        let next = self.path.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        // Without this an older file may come back after a power cut, whose rest has been reported since.
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn parse(mut bytes: &[u8]) -> Option<Spooled> {
    let mut spooled = Spooled::default();
    while !bytes.is_empty() {
        let (length, more) = bytes.split_first_chunk()?;
        let (record, more) = more.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let report: UsageReport = decode(record).ok()?;
        match report.sequence {
            REST => spooled.rest.extend(report.counts),
            _ => spooled.report = Some(report),
        }
        bytes = more;
    }
    Some(spooled)
}

#[cfg(test)]
mod tests {
    use ncore_model::{ClientId, UsageCounts};

    use super::*;

    const NODE: NodeId = NodeId(3);

    fn spooled() -> Spooled {
        let counts = UsageCounts { statuses: [1, 0, 0, 0], bytes_out: 7, hits: 1, misses: 0 };
        let hour = |hour| HourCounts { client: ClientId::from_text("cl_a"), hour, counts };
        let report = UsageReport { node: NODE, incarnation: 9, sequence: 4, counts: vec![hour(1)] };
        Spooled { report: Some(report), rest: (2..2_000).map(hour).collect() }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let spool = Spool::new(dir.path());
        assert_eq!(spool.read(NODE).expect("reads"), Spooled::default());
        for kept in [spooled(), Spooled { report: None, ..spooled() }, Spooled::default()] {
            spool.write(NODE, &kept).expect("writes");
            assert_eq!(spool.read(NODE).expect("reads"), kept);
        }
    }

    #[test]
    fn a_report_of_another_node_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let spool = Spool::new(dir.path());
        spool.write(NODE, &spooled()).expect("writes");
        assert_eq!(spool.read(NodeId(4)).expect("reads"), Spooled { report: None, ..spooled() });
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let spool = Spool::new(dir.path());
        spool.write(NODE, &spooled()).expect("writes");
        let whole = fs::read(&spool.path).expect("reads");
        let mut flipped = whole.clone();
        flipped[40] ^= 1;
        for bytes in [&whole[..whole.len() - 1], &whole[..3], flipped.as_slice()] {
            fs::write(&spool.path, bytes).expect("writes");
            assert_eq!(spool.read(NODE).expect("reads"), Spooled::default());
            assert!(!spool.path.exists());
        }
    }
}
