//! What clients asked and what they were told, in the order in which it can have mattered.
//!
//! Each operation has an interval, from just before its request was sent to just after its answer was read. Whether
//! one operation came before another is told by a counter and not by a clock, so no two events coincide. An operation
//! without an answer is never closed: it may take effect at any later time, or not at all. Closing it as failed
//! would hide exactly the faults that matter.
//!
//! ```
//! use cluster_tests::history::Recorder;
//!
//! let recorder = Recorder::new();
//! let call = recorder.invoke(0, "put a");
//! call.returned("ok");
//! let lost = recorder.invoke(1, "put b");
//! drop(lost); // no answer: the operation stays open
//! let history = recorder.history();
//! assert!(history.operations[0].outcome.is_some() && history.operations[1].outcome.is_none());
//! ```

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Collects operations from concurrent clients; clones collect into the same history.
#[derive(Debug)]
pub struct Recorder<O, R>(Arc<Inner<O, R>>);

#[derive(Debug)]
struct Inner<O, R> {
    log: Mutex<Log<O, R>>,
    start: Instant,
}

#[derive(Debug)]
struct Log<O, R> {
    /// `None` for what turned out not to have happened.
    operations: Vec<Option<Operation<O, R>>>,
    events: u64,
}

/// A finished record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History<O, R> {
    /// In the order of their invocations.
    pub operations: Vec<Operation<O, R>>,
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation<O, R> {
    /// Who asked. A client has one operation at a time, or several if it has left some open.
    pub client: u64,
    /// What was asked.
    pub op: O,
    /// What was answered; `None` if nothing was.
    pub outcome: Option<R>,
    /// When it was sent.
    pub invoked: Moment,
    /// When the answer was read.
    pub returned: Option<Moment>,
}

/// A point in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// Number of the event in the history: the order.
    pub event: u64,
    /// Microseconds since the history began: for people.
    pub at_us: u64,
}

impl<O, R> Recorder<O, R> {
    /// An empty history that begins now.
    #[must_use]
    pub fn new() -> Self {
        let log = Mutex::new(Log { operations: Vec::new(), events: 0 });
        Self(Arc::new(Inner { log, start: Instant::now() }))
    }

    /// Notes that an operation is about to be sent.
    pub fn invoke(&self, client: u64, op: O) -> Call<O, R> {
        let mut log = self.0.log.lock();
        let invoked = log.moment(self.0.start);
        log.operations.push(Some(Operation { client, op, outcome: None, invoked, returned: None }));
        Call { inner: Arc::clone(&self.0), index: log.operations.len() - 1 }
    }

    /// How many operations were invoked so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.log.lock().operations.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was recorded so far.
    #[must_use]
    pub fn history(&self) -> History<O, R>
    where
        O: Clone,
        R: Clone,
    {
        History { operations: self.0.log.lock().operations.iter().flatten().cloned().collect() }
    }
}

impl<O, R> Default for Recorder<O, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O, R> Clone for Recorder<O, R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<O, R> Log<O, R> {
    fn moment(&mut self, start: Instant) -> Moment {
        self.events += 1;
        Moment { event: self.events, at_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) }
    }
}

/// An operation that was sent. Dropped without an answer, it stays open for ever.
#[derive(Debug)]
#[must_use = "an operation whose call is dropped stays open"]
pub struct Call<O, R> {
    inner: Arc<Inner<O, R>>,
    index: usize,
}

impl<O, R> Call<O, R> {
    /// Notes the answer.
    pub fn returned(self, outcome: R) {
        let mut log = self.inner.log.lock();
        let moment = log.moment(self.inner.start);
        if let Some(operation) = &mut log.operations[self.index] {
            operation.outcome = Some(outcome);
            operation.returned = Some(moment);
        }
    }

    /// Strikes the operation out: it is certain that it never took and never will take effect.
    pub fn did_not_happen(self) {
        self.inner.log.lock().operations[self.index] = None;
    }
}

impl<O: Serialize + DeserializeOwned, R: Serialize + DeserializeOwned> History<O, R> {
    /// Writes the history as JSON, one operation a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut file = BufWriter::new(file);
        for operation in &self.operations {
            serde_json::to_writer(&mut file, operation).context("write an operation")?;
            file.write_all(b"\n").context("write an operation")?;
        }
        file.flush().with_context(|| format!("write {}", path.display()))
    }

    /// Reads what [`History::save`] wrote.
    ///
    /// # Errors
    /// When the file is missing or has another content.
    pub fn load(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let operations = BufReader::new(file).lines().map(|line| Ok(serde_json::from_str(&line?)?));
        let operations: Result<_> = operations.collect();
        Ok(Self { operations: operations.with_context(|| format!("read {}", path.display()))? })
    }
}

#[cfg(test)]
mod tests {
    use super::{History, Recorder};

    #[test]
    fn keeps_order_and_survives_a_file() {
        let recorder = Recorder::<String, u32>::new();
        let a = recorder.invoke(0, "a".into());
        let b = recorder.invoke(1, "b".into());
        b.returned(2);
        let c = recorder.invoke(1, "c".into());
        a.returned(1);
        recorder.invoke(2, "refused".into()).did_not_happen();
        drop(c);
        let history = recorder.history();
        let events: Vec<_> = history.operations.iter().map(|op| (op.invoked.event, op.returned.map(|at| at.event))).collect();
        assert_eq!(events, [(1, Some(5)), (2, Some(3)), (4, None)]);

        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("history.jsonl");
        history.save(&path).expect("save");
        assert_eq!(History::load(&path).expect("load"), history);
    }
}
