//! The log in files: lines of JSON, in `access.jsonl`; a file that is full becomes `access.1.jsonl`, that one `access.2.jsonl`, and so on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

use super::{line::AccessLine, record::AccessRecord};

/// Where the log is written, and how much of it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFileSettings {
    /// The directory.
    pub dir: PathBuf,
    /// A file that has as many bytes is closed.
    pub bytes_max: u64,
    /// How many files stay, the one that is being written included; at least 1.
    pub files: usize,
}

pub(super) struct AccessFile {
    settings: AccessFileSettings,
    node: String,
    open: Option<(File, u64)>,
    buffer: Vec<u8>,
}

impl AccessFile {
    pub(super) fn new(settings: AccessFileSettings, node: &str) -> Self {
        Self { settings, node: node.to_owned(), open: None, buffer: Vec::new() }
    }

    /// Writes these records. After an error the file is opened anew with the next ones; those at hand may be there in part.
    pub(super) fn write(&mut self, records: &[AccessRecord]) -> io::Result<()> {
        let written = self.try_write(records);
        self.buffer.clear();
        if written.is_err() {
            self.open = None;
        }
        written
    }

    fn try_write(&mut self, records: &[AccessRecord]) -> io::Result<()> {
        for record in records {
            serde_json::to_writer(&mut self.buffer, &AccessLine::new(record, &self.node))?;
            self.buffer.push(b'\n');
            if self.buffer.len() >= BUFFER_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// Writes whole lines only, so no line is in two files.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (mut file, mut bytes) = match self.open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        if bytes > 0 && bytes + self.buffer.len() as u64 > self.settings.bytes_max {
            drop(file);
            self.rotate()?;
            (file, bytes) = self.open()?;
        }
        file.write_all(&self.buffer)?;
        bytes += self.buffer.len() as u64;
        self.buffer.clear();
        self.open = Some((file, bytes));
        Ok(())
    }

    fn open(&self) -> io::Result<(File, u64)> {
        fs::create_dir_all(&self.settings.dir)?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // It has the addresses of people.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let file = options.open(self.path(0))?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }

    fn rotate(&self) -> io::Result<()> {
        let files = self.settings.files.max(1);
        for number in (0..files).rev() {
            let moved =
                if number + 1 == files { fs::remove_file(self.path(number)) } else { fs::rename(self.path(number), self.path(number + 1)) };
            match moved {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn path(&self, number: usize) -> PathBuf {
        let name = if number == 0 { "access.jsonl".to_owned() } else { format!("access.{number}.jsonl") };
        self.settings.dir.join(name)
    }
}

/// As much is written at once.
const BUFFER_BYTES: usize = 64 << 10;
