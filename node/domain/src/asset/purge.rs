//! Purges that the log holds to a limit: whatever nodes die, it lets in no more than the limit in any stretch of its time.

use std::time::Duration;

use ncore_control::Committed;
use ncore_model::{Command, Idempotency, MAX_PURGES_COUNTED, PurgeAssets, PurgeLimit, PurgeWithin, Query, Rejection};
use tokio::time::{Instant, sleep_until};

use super::Assets;
use crate::error::ChangeError;

impl Assets {
    /// Has a purge put into the log. Where there may be one more in a moment, it waits for that: who counts before the log does is ahead of it
    /// by as long as the way to the leader takes.
    pub(super) async fn purge_within(
        &self,
        purge: PurgeAssets,
        once: Option<Idempotency>,
        limit: Option<PurgeLimit>,
    ) -> Result<Committed, ChangeError> {
        let begun = Instant::now();
        let until = begun + self.cluster.request_deadline();
        // A greater one is beyond what a row can hold, and what nodes count has to do.
        let limit = limit.filter(|limit| limit.limit <= MAX_PURGES_COUNTED);
        let command = match limit {
            Some(limit) if self.log_counts_purges().await? => Command::PurgeWithin(PurgeWithin { purge, limit }),
            _ => Command::PurgeAssets(purge),
        };
        loop {
            let frees_at = match self.cluster.change_until(command.clone(), once, until).await {
                Err(ChangeError::Rejected { rejection: Rejection::TooManyPurges { after_ms }, revision }) => {
                    let frees_at = Instant::now().checked_add(Duration::from_millis(after_ms)).filter(|at| *at <= begun + PATIENCE);
                    frees_at.ok_or(ChangeError::Rejected { rejection: Rejection::TooManyPurges { after_ms }, revision })?
                }
                settled => return settled,
            };
            sleep_until(frees_at).await;
        }
    }

    async fn log_counts_purges(&self) -> Result<bool, ChangeError> {
        let cluster = self.cluster.read(|view| view.cluster()).await.map_err(ChangeError::Unreadable)?;
        Ok(cluster.value.is_some_and(|cluster| cluster.schema_level >= COUNTED_LEVEL))
    }
}

/// How long a purge waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// The schema level from which on the log counts purges.
const COUNTED_LEVEL: u32 = 7;
