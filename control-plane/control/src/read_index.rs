//! A read index, at any node: from Raft where it runs, else asked of the leader.

use std::time::Duration;

use ncore_model::NodeId;
use ncore_proto::raft::v1::{ReadIndexRequest, Route, raft_client::RaftClient, read_index_reply::Outcome};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{control::Control, plane::ReadError};

/// The longest wait for one answer: the leader may have changed.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);
const BACKOFF: Duration = Duration::from_millis(30);

impl Control {
    /// An index such that a state which has applied it holds every change that was acknowledged before this call.
    pub(crate) async fn read_index_anywhere(&self, end: Instant) -> Result<u64, ReadError> {
        if let Some(raft) = self.raft() {
            return raft.read_index_anywhere(end).await.map_err(|_| ReadError::NoLeader);
        }
        loop {
            let leader = self.leader().map(NodeId);
            if let Some(leader) = leader
                && let Some(index) = self.ask_for_read_index(leader, end.min(Instant::now() + TRY_TIMEOUT)).await
            {
                return Ok(index);
            }
            if Instant::now() + BACKOFF >= end {
                return Err(ReadError::NoLeader);
            }
            sleep(BACKOFF).await;
        }
    }

    /// One question to the supposed leader; `None` if it gave no index, for whatever reason.
    async fn ask_for_read_index(&self, leader: NodeId, end: Instant) -> Option<u64> {
        let channel = self.peers().channel(leader).ok()?;
        let cluster_id = self.identity().current().cluster_id().0.to_vec().into();
        let route = Route { cluster_id, from: self.id().0, to: leader.0 };
        // A little less than all that is left, so that the leader's own answer arrives before the deadline does.
        let left = end.saturating_duration_since(Instant::now()).mul_f32(0.9);
        let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let mut client = RaftClient::new(channel);
        let asked = timeout_at(end, client.read_index(ReadIndexRequest { route: Some(route), deadline_ms })).await;
        match asked.ok()?.ok()?.into_inner().outcome? {
            Outcome::Index(index) => Some(index),
            Outcome::NotLeader(_) | Outcome::Unavailable(_) => None,
        }
    }
}
