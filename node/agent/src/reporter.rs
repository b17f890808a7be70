//! Tells the cluster what this node holds.
//!
//! It compares what is held with what the replica says was reported, and proposes a report if they differ. So it cannot loop on its
//! own reports: once one is applied here, both are the same. It does not matter either whether an earlier report took place whose
//! answer was lost, or was made by an earlier life of the node.

use std::sync::Arc;

use ncore_control::{Change, Committed, ControlPlane};
use ncore_model::{Command, NodeReport, Outcome, Query, Rejection, RequestId};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    blocking::blocking,
    error::AgentError,
    metrics::{AgentMetrics, add},
    replicate::Holdings,
    settings::ReportSettings,
};

/// Proposes reports, one at a time.
pub(crate) struct Reporter {
    control: Arc<dyn ControlPlane>,
    incarnation: u64,
    settings: ReportSettings,
    metrics: Arc<AgentMetrics>,
    holdings: watch::Receiver<Option<Holdings>>,
    /// The sequence of the last report that was proposed in this life.
    sequence: u64,
}

/// What a look at holdings and replica led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The replica has what is held.
    Same,
    /// A report was taken.
    Reported,
    /// A report was not taken, or nobody knows.
    Failed,
}

impl Reporter {
    pub(crate) fn new(
        control: Arc<dyn ControlPlane>,
        incarnation: u64,
        settings: ReportSettings,
        metrics: Arc<AgentMetrics>,
        holdings: watch::Receiver<Option<Holdings>>,
    ) -> Self {
        Self { control, incarnation, settings, metrics, holdings, sequence: 0 }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        stop.run_until_cancelled(self.keep_in_step()).await.unwrap_or(Ok(()))
    }

    async fn keep_in_step(&mut self) -> Result<(), AgentError> {
        loop {
            match self.step().await? {
                // The end of the replicator is noticed elsewhere; time goes on waking this task.
                Step::Same => drop(timeout(self.settings.wake, self.holdings.changed()).await),
                Step::Reported => {}
                Step::Failed => sleep(self.settings.retry).await,
            }
            sleep(self.settings.coalesce).await;
        }
    }

    async fn step(&mut self) -> Result<Step, AgentError> {
        let Some(held) = self.holdings.borrow_and_update().clone() else { return Ok(Step::Same) };
        let (replica, node) = (Arc::clone(self.control.replica()), self.control.node_id());
        let known = blocking(move || replica.report(node).map_err(AgentError::Row)).await?;
        if is_same(known.as_ref(), &held) {
            return Ok(Step::Same);
        }
        let known = known.map_or((0, 0), |known| (known.incarnation, known.sequence));
        if known.0 > self.incarnation {
            tracing::error!(node = %node, newer = known.0, own = self.incarnation, "a newer start of this node reports: is it running twice?");
            add(&self.metrics.reports_failed, 1);
            return Ok(Step::Failed);
        }
        let reported = if known.0 == self.incarnation { known.1 } else { 0 };
        self.sequence = self.sequence.max(reported) + 1;
        let Holdings { watermark, exceptions } = held;
        self.propose(NodeReport { node, incarnation: self.incarnation, sequence: self.sequence, watermark, exceptions }).await
    }

    async fn propose(&self, report: NodeReport) -> Result<Step, AgentError> {
        let change = Change {
            request: RequestId(*Uuid::now_v7().as_bytes()),
            idempotency: None,
            command: Command::ReportHoldings(report),
            deadline: self.settings.deadline,
        };
        // A request whose outcome is not known needs no second try: the next report is newer, and the sequence keeps them apart.
        match self.control.propose(change).await {
            Ok(Committed { outcome: Outcome::Rejected(rejection), .. }) => {
                add(&self.metrics.reports_failed, 1);
                match rejection {
                    Rejection::Superseded => tracing::debug!("a report came after a newer one"),
                    rejection => tracing::warn!(%rejection, "a report was rejected"),
                }
                Ok(Step::Failed)
            }
            Ok(_) => {
                add(&self.metrics.reports, 1);
                Ok(Step::Reported)
            }
            Err(error) => {
                add(&self.metrics.reports_failed, 1);
                tracing::debug!(%error, "a report was not taken");
                Ok(Step::Failed)
            }
        }
    }
}

/// Whether a report says what is held. Having reported nothing is the same as holding nothing.
fn is_same(report: Option<&NodeReport>, held: &Holdings) -> bool {
    match report {
        Some(report) => report.watermark == held.watermark && report.exceptions == held.exceptions,
        None => *held == Holdings::default(),
    }
}
