//! Clients for which as much was served as they may have: every now and then, the days of their usage against their plan.
//!
//! Counts arrive with the reports of the nodes, so a client gets a little more than its quota: what all nodes serve for it between two
//! reports and two looks. Nothing of this is in the way of a request but one flag on the meter of its client.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ncore_model::{ClientId, Query};
use ncore_replica::Replica;
use ncore_telemetry::{Allowance, Usage};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{blocking::blocking, error::AgentError};

/// Clients that are read at a time.
const PAGE: usize = 256;

/// Tells the meters which clients have used up their bandwidth.
pub(crate) struct Allowances {
    replica: Arc<Replica>,
    usage: Arc<Usage>,
    every: Duration,
    spent: HashSet<ClientId>,
}

impl Allowances {
    /// Looks `every` so often.
    pub(crate) fn new(replica: Arc<Replica>, usage: Arc<Usage>, every: Duration) -> Self {
        Self { replica, usage, every, spent: HashSet::new() }
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), AgentError> {
        let looking = async {
            loop {
                self.look().await?;
                sleep(self.every).await;
            }
        };
        stop.run_until_cancelled(looking).await.unwrap_or(Ok(()))
    }

    async fn look(&mut self) -> Result<(), AgentError> {
        let replica = Arc::clone(&self.replica);
        let spent = blocking(move || spent(&replica, now_s())).await?;
        for client in spent.difference(&self.spent) {
            tracing::warn!(client = client.as_str(), "a client's bandwidth is used up: its assets and zones are refused");
            self.usage.meter(client.as_str()).allow(Allowance::Spent);
        }
        for client in self.spent.difference(&spent) {
            tracing::info!(client = client.as_str(), "a client has bandwidth again");
            self.usage.meter(client.as_str()).allow(Allowance::Left);
        }
        self.spent = spent;
        Ok(())
    }
}

/// The clients with a quota for which that much was served.
fn spent(replica: &Replica, now_s: u64) -> Result<HashSet<ClientId>, AgentError> {
    let mut spent = HashSet::new();
    let mut after: Option<ClientId> = None;
    loop {
        let page: Vec<(ClientId, bool)> = replica.read(|view| {
            let clients = view.clients_after(after.as_ref(), PAGE).map_err(AgentError::Row)?;
            let judged = clients.into_iter().map(|client| {
                let quota = view.account(&client.id)?.and_then(|account| account.plan.bandwidth_bytes);
                let Some(quota) = quota else { return Ok((client.id, false)) };
                let is_spent = view.bandwidth(&client.id, now_s)? >= quota;
                Ok((client.id, is_spent))
            });
            judged.collect::<Result<_, _>>().map_err(AgentError::Row)
        })?;
        let full = page.len() == PAGE;
        after = page.last().map(|(client, _)| client.clone());
        spent.extend(page.into_iter().filter_map(|(client, is_spent)| is_spent.then_some(client)));
        if !full {
            return Ok(spent);
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
