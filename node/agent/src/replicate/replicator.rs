//! The loop that keeps this node's blobs in step with the assets of the replica.
//!
//! ```text
//!   boot, new lineage: stand where the last own report stood
//!        │
//!        ▼
//!   walk what is new ─► audit a stretch of what is old ─► start jobs ─► publish holdings ─┐
//!        ▲                                                                                │
//!        └── woken by: new versions, the end of a job, damage, a retry that is due, time ┘
//! ```
//!
//! There is one path for boot, restart and steady state. Nothing is persisted here: the report in the replica says where to begin,
//! and the audit finds out whether that is still true. It walks through everything below the watermark at the start, from time to
//! time, and when a reader finds damage, because only it knows which versions have a damaged blob.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ncore_model::{BlobHash, MAX_EXCEPTIONS};
use ncore_transfer::Repair;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{JoinError, JoinSet},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use super::{
    job::{Fetcher, JobEnd},
    ledger::{Holdings, Ledger, Limits, Obtained},
    survey::{Stretch, Survey},
};
use crate::{
    error::AgentError,
    metrics::{AgentMetrics, add, set},
    settings::ReplicationSettings,
};

/// Versions that are looked up at a time.
const CHUNK: usize = 256;
/// The pause between two stretches of an audit, so that it takes a small part of a core.
const AUDIT_PACE: Duration = Duration::from_millis(2);

/// Fetches what this node must hold and lacks.
pub(crate) struct Replicator {
    settings: ReplicationSettings,
    survey: Survey,
    fetcher: Fetcher,
    metrics: Arc<AgentMetrics>,
    damage: mpsc::Receiver<Repair>,
    holdings: watch::Sender<Option<Holdings>>,
    /// Rung when there may be new versions.
    versions: Arc<Notify>,
    ledger: Ledger,
    /// The history that the ledger is about.
    lineage: Option<u32>,
    /// Whether there may be versions that were not walked.
    is_behind: bool,
    audit: Audit,
    /// Blobs under repair. While a ticket is kept, readers do not report its blob again.
    tickets: HashMap<BlobHash, Repair>,
    jobs: JoinSet<Result<JobEnd, AgentError>>,
    /// No job starts before.
    resting_until: Instant,
}

/// The walk through what is below the watermark.
struct Audit {
    /// The version to go on at; zero at the start of a pass.
    next: u64,
    /// When to go on.
    due: Instant,
    /// Begin anew when this pass is over.
    again: bool,
    /// The last change of placement when this pass began.
    placement: u64,
}

impl Audit {
    fn anew(due: Instant) -> Self {
        Self { next: 0, due, again: false, placement: 0 }
    }
}

impl Replicator {
    /// A replicator that takes blobs which were set aside from `damage`, and publishes what is held through `holdings`.
    pub(crate) fn new(
        survey: Survey,
        fetcher: Fetcher,
        settings: ReplicationSettings,
        damage: mpsc::Receiver<Repair>,
        holdings: watch::Sender<Option<Holdings>>,
        versions: Arc<Notify>,
    ) -> Self {
        let now = Instant::now();
        Self {
            ledger: Ledger::resume(limits(&settings), 0, &[], now),
            metrics: Arc::clone(&fetcher.metrics),
            survey,
            fetcher,
            settings,
            damage,
            holdings,
            versions,
            lineage: None,
            is_behind: true,
            audit: Audit::anew(now),
            tickets: HashMap::new(),
            jobs: JoinSet::new(),
            resting_until: now,
        }
    }

    /// Runs until `stop`. Jobs that are under way then are given up; what came of them stays in the store.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        let mut revisions = self.survey.replica.watch();
        let mut wake = tokio::time::interval(self.settings.wake.max(Duration::from_millis(1)));
        loop {
            if self.lineage != Some(self.survey.replica.revision().lineage) {
                self.stand().await?;
            }
            self.walk().await?;
            self.audit().await?;
            self.start_jobs();
            self.publish();
            let next = tokio::time::Instant::from_std(self.next_wake());
            let lineage = self.lineage;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // Not for every revision: most changes concern no version, and each look reads the state.
                () = self.versions.notified() => self.is_behind = true,
                // The replica outlives its watchers, so this does not end in vain.
                _ = revisions.wait_for(|revision| Some(revision.lineage) != lineage) => {}
                Some(end) = self.jobs.join_next() => self.finish_job(end)?,
                Some(repair) = self.damage.recv() => self.take_damage(repair),
                () = sleep_until(next) => {}
                _ = wake.tick() => self.is_behind = true,
            }
        }
    }

    /// Begins where the last own report stood.
    async fn stand(&mut self) -> Result<(), AgentError> {
        let standing = self.survey.standing().await?;
        let now = Instant::now();
        self.jobs.shutdown().await;
        self.tickets.clear();
        self.ledger = Ledger::resume(limits(&self.settings), standing.watermark, &standing.faults, now);
        self.lineage = Some(standing.lineage);
        self.is_behind = true;
        self.audit = Audit::anew(now);
        tracing::info!(
            lineage = standing.lineage,
            watermark = standing.watermark,
            exceptions = standing.faults.len(),
            "replication begins"
        );
        Ok(())
    }

    /// Looks at versions that are new, as far as there is room.
    async fn walk(&mut self) -> Result<(), AgentError> {
        let limit = self.ledger.room().min(CHUNK);
        if !self.is_behind || limit == 0 {
            return Ok(());
        }
        let Stretch { placement, versions } = self.survey.versions(self.ledger.walked() + 1, limit).await?;
        self.take_up(placement);
        self.is_behind = versions.len() == limit;
        self.ledger.walk(&versions, Instant::now());
        if !self.is_behind {
            self.ledger.walked_all(placement);
        }
        Ok(())
    }

    /// Looks at the next stretch of what is old, if it is time.
    async fn audit(&mut self) -> Result<(), AgentError> {
        if Instant::now() < self.audit.due {
            return Ok(());
        }
        let from = self.audit.next;
        let Stretch { placement, versions } = self.survey.versions(from, CHUNK).await?;
        if self.take_up(placement) && from > 0 {
            return Ok(());
        }
        if from == 0 {
            self.audit.placement = placement;
        }
        let last = versions.last().map(|version| version.version);
        // The last stretch reaches to the end, so that exceptions of versions that are gone are dropped there too.
        let to = last.filter(|last| versions.len() == CHUNK && *last < self.ledger.walked());
        if self.ledger.audit(from..=to.unwrap_or(u64::MAX), &versions, Instant::now()) {
            tracing::warn!(watermark = self.ledger.cursor(), "more is missing than a report may except: the watermark falls back");
            self.is_behind = true;
        }
        add(&self.metrics.audited, versions.len() as u64);
        let pause = match to {
            Some(last) => {
                self.audit.next = last + 1;
                AUDIT_PACE
            }
            None => {
                self.audit.next = 0;
                self.ledger.settle_placement(self.audit.placement);
                if std::mem::take(&mut self.audit.again) { AUDIT_PACE } else { self.settings.audit }
            }
        };
        self.audit.due = Instant::now() + pause;
        Ok(())
    }

    /// Hears of the last change of placement. True if it is a new one: the audit then begins at once, at the start.
    fn take_up(&mut self, placement: u64) -> bool {
        let is_new = self.ledger.hear_of_placement(placement);
        if is_new {
            tracing::info!(placement, "the placement of assets has changed: what this node must hold is gone through");
            self.audit = Audit::anew(Instant::now());
            self.is_behind = true;
        }
        is_new
    }

    fn start_jobs(&mut self) {
        let now = Instant::now();
        while now >= self.resting_until && self.jobs.len() < self.settings.fetches.max(1) {
            let Some(job) = self.ledger.next_job(now) else { break };
            self.jobs.spawn(self.fetcher.clone().run(job));
        }
    }

    fn finish_job(&mut self, end: Result<Result<JobEnd, AgentError>, JoinError>) -> Result<(), AgentError> {
        let end = match end {
            Ok(end) => end?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Ok(()),
            },
        };
        let now = Instant::now();
        if end.is_disk_full {
            self.resting_until = now + self.settings.full_pause;
        }
        if end.obtained != Obtained::Failed && self.tickets.remove(&end.blob).is_some() && end.obtained == Obtained::Held {
            add(&self.metrics.repaired, 1);
            tracing::info!(blob = %end.blob, "a damaged blob was replaced by a good copy");
        }
        self.ledger.finished(end.blob, end.obtained, now);
        Ok(())
    }

    /// Has a blob fetched again that was set aside, and has the versions looked for that have it.
    fn take_damage(&mut self, repair: Repair) {
        let blob = BlobHash::from(repair.hash());
        let now = Instant::now();
        self.ledger.damaged(blob, repair.size(), now);
        self.tickets.insert(blob, repair);
        self.audit.again |= self.audit.next > 0;
        self.audit.due = now;
    }

    fn publish(&self) {
        let holdings = self.ledger.holdings();
        set(&self.metrics.watermark, holdings.watermark);
        set(&self.metrics.exceptions, holdings.exceptions.len() as u64);
        set(&self.metrics.blobs_wanted, self.ledger.wanted() as u64);
        self.holdings.send_if_modified(|published| {
            let has_changed = published.as_ref() != Some(&holdings);
            if has_changed {
                *published = Some(holdings);
            }
            has_changed
        });
    }

    /// When there is something to do without being told of anything.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        if self.is_behind && self.ledger.room() > 0 {
            return now;
        }
        let job = self.ledger.next_due().filter(|_| self.jobs.len() < self.settings.fetches.max(1));
        let job = job.map(|due| due.max(self.resting_until));
        job.map_or(self.audit.due, |due| due.min(self.audit.due))
    }
}

fn limits(settings: &ReplicationSettings) -> Limits {
    Limits {
        window: settings.window.max(1),
        faults: MAX_EXCEPTIONS,
        tries: settings.tries,
        retry_first: settings.retry_first,
        retry_max: settings.retry_max,
    }
}
