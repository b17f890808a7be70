//! Collects, keeps, and proposes.

use std::{path::Path, sync::Arc};

use ncore_control::{Change, Committed, ControlPlane};
use ncore_model::{Command, Outcome, Query, Rejection, RequestId, UsageMark, UsageReport};
use ncore_telemetry::Usage;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    pending::Pending,
    spool::{Spool, Spooled},
};
use crate::{
    blocking::blocking,
    error::AgentError,
    metrics::{AgentMetrics, add, set},
    settings::UsageSettings,
};

/// Tells the cluster what clients used here.
pub(crate) struct UsageReporter {
    control: Arc<dyn ControlPlane>,
    usage: Arc<Usage>,
    settings: UsageSettings,
    metrics: Arc<AgentMetrics>,
    spool: Spool,
    pending: Pending,
    /// The report that is proposed until it is taken.
    under_way: Option<UsageReport>,
    /// The place of the last report.
    last: UsageMark,
}

/// What the cluster says of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It is taken.
    Taken,
    /// It was taken before: the answer was lost, or this is another life.
    TakenBefore,
    /// It is not, or nobody knows.
    None,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is nothing more to report.
    Done,
    /// A report was taken.
    Taken,
    /// It was not, or nobody knows: the same one again, later.
    NotNow,
}

impl UsageReporter {
    /// `dir` is where it keeps what is not reported yet.
    pub(crate) fn new(
        control: Arc<dyn ControlPlane>,
        usage: Arc<Usage>,
        dir: &Path,
        incarnation: u64,
        settings: UsageSettings,
        metrics: Arc<AgentMetrics>,
    ) -> Self {
        let (spool, pending) = (Spool::new(dir), Pending::default());
        let last = UsageMark { incarnation, sequence: 0 };
        Self { control, usage, settings, metrics, spool, pending, under_way: None, last }
    }

    /// Runs until `stop`, and then reports what was counted to the end.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        self.take_up().await?;
        // What a report takes is part of its time: what a crash can lose is to be bounded while reports fail, too.
        let mut ticks = interval(self.settings.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.report(&stop).await?;
        }
        // What is not taken in time is in the spool by then, for the next life.
        timeout(self.settings.farewell, self.report(&CancellationToken::new())).await.unwrap_or(Ok(()))
    }

    /// Goes on from what an earlier life left.
    async fn take_up(&mut self) -> Result<(), AgentError> {
        let (spool, node) = (self.spool.clone(), self.control.node_id());
        let Spooled { report, rest } = blocking(move || spool.read(node).map_err(AgentError::Spool)).await?;
        // A life whose clock is behind that of an earlier one goes on with the order of that: a report that is not later than the last one
        // would be taken for one that was taken.
        self.last = report.as_ref().map_or(self.last, |report| report.mark().max(self.last));
        self.under_way = report;
        let dropped = rest.into_iter().map(|counts| self.pending.add(counts)).filter(|found_a_place| !found_a_place).count();
        add(&self.metrics.usage_dropped, dropped as u64);
        Ok(())
    }

    /// Collects, and proposes until everything is taken or something is in the way.
    async fn report(&mut self, stop: &CancellationToken) -> Result<(), AgentError> {
        let began = Instant::now();
        let collected = self.usage.collect();
        let has_new = !collected.is_empty();
        add(&self.metrics.usage_dropped, self.pending.collect(collected));
        if has_new && self.under_way.is_some() && !self.keep().await? {
            return Ok(());
        }
        loop {
            let step = self.step(stop).await?;
            set(&self.metrics.usage_pending, self.pending.len() as u64);
            match step {
                // What is left is on disk, and what was counted meanwhile is not.
                Step::Taken if began.elapsed() < self.settings.every / 2 => {}
                Step::Taken | Step::Done | Step::NotNow => return Ok(()),
            }
        }
    }

    async fn step(&mut self, stop: &CancellationToken) -> Result<Step, AgentError> {
        if self.under_way.is_none() {
            let counts = self.pending.take();
            if counts.is_empty() {
                return Ok(Step::Done);
            }
            self.last.sequence += 1;
            let (node, UsageMark { incarnation, sequence }) = (self.control.node_id(), self.last);
            self.under_way = Some(UsageReport { node, incarnation, sequence, counts });
            if !self.keep().await? {
                self.take_back();
                return Ok(Step::NotNow);
            }
        }
        let Some(report) = self.under_way.clone() else { return Ok(Step::Done) };
        let answer = stop.run_until_cancelled(self.propose(report)).await.transpose()?.unwrap_or(Answer::None);
        let (counter, step) = match answer {
            Answer::Taken => (&self.metrics.usage_reports, Step::Taken),
            Answer::TakenBefore => (&self.metrics.usage_reports_repeated, Step::Taken),
            Answer::None => (&self.metrics.usage_reports_failed, Step::NotNow),
        };
        add(counter, 1);
        if step == Step::Taken {
            self.under_way = None;
        }
        Ok(step)
    }

    /// A report that is not on disk was not proposed: it is none.
    fn take_back(&mut self) {
        for counts in self.under_way.take().into_iter().flat_map(|report| report.counts) {
            // There is a place: it came from there.
            self.pending.add(counts);
        }
    }

    /// Whether report and rest are on disk now. If not, nothing is proposed that is not kept, and the counts stay in memory.
    async fn keep(&self) -> Result<bool, AgentError> {
        let spooled = Spooled { report: self.under_way.clone(), rest: self.pending.all().collect() };
        let (spool, node) = (self.spool.clone(), self.control.node_id());
        let written = blocking(move || Ok(spool.write(node, &spooled))).await?;
        if let Err(error) = &written {
            tracing::warn!(%error, "the counts of usage cannot be kept, and are not reported");
        }
        Ok(written.is_ok())
    }

    async fn propose(&self, report: UsageReport) -> Result<Answer, AgentError> {
        let (replica, node, mark) = (Arc::clone(self.control.replica()), report.node, report.mark());
        let taken = blocking(move || replica.usage_mark(node).map_err(AgentError::Row)).await?;
        if taken.is_some_and(|taken| taken >= mark) {
            return Ok(Answer::TakenBefore);
        }
        let change = Change {
            request: RequestId(*Uuid::now_v7().as_bytes()),
            idempotency: None,
            command: Command::ReportUsage(report),
            deadline: self.settings.deadline,
        };
        Ok(match self.control.propose(change).await {
            // It is not later than what was taken, and was made once: so it was taken itself.
            Ok(Committed { outcome: Outcome::Rejected(Rejection::Superseded), .. }) => Answer::TakenBefore,
            Ok(Committed { outcome: Outcome::Rejected(rejection), .. }) => {
                tracing::debug!(%rejection, "a report of usage was rejected");
                Answer::None
            }
            Ok(_) => Answer::Taken,
            Err(error) => {
                tracing::debug!(%error, "a report of usage was not taken");
                Answer::None
            }
        })
    }
}
