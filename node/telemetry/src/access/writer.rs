//! The thread that takes records to where they belong.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle, park_timeout},
    time::Duration,
};

use super::{
    file::{AccessFile, AccessFileSettings},
    log::AccessLog,
};

/// How long a record waits, unless many come.
const EVERY: Duration = Duration::from_millis(100);
/// Room for records that stays between two takings.
const BATCH_KEPT: usize = 1_024;

/// Works for an [`AccessLog`] until it is stopped or dropped.
#[derive(Debug)]
pub struct AccessWriter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AccessWriter {
    /// Begins to work. With `file`, what is recorded is also written there, as records of the node called `node`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(log: Arc<AccessLog>, file: Option<AccessFileSettings>, node: &str) -> io::Result<Self> {
        let mut file = file.map(|settings| AccessFile::new(settings, node));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = Builder::new().name("access-log".to_owned()).spawn(move || {
            log.collected_by_this_thread();
            let mut batch = Vec::new();
            loop {
                park_timeout(EVERY);
                // Before the records are taken: what came before the end is among them.
                let ends = stopped.load(Ordering::Acquire);
                log.collect(&mut batch, file.as_mut());
                batch.shrink_to(BATCH_KEPT);
                if ends {
                    return;
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for AccessWriter {
    /// Takes what has come until now, and ends.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It panics in a test alone, if at all, and there the panic was said.
            let _ = thread.join();
        }
    }
}
