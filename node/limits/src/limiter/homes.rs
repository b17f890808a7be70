//! Asking homes: this node's own books, and those of others.

use ncore_model::NodeId;
use ncore_proto::limits::v1::{TakeRequest, limits_client::LimitsClient};
use tokio::time::timeout;

use super::{PATIENCE, Shared};
use crate::{
    ask::{Ask, Grant},
    metrics::add,
    nodes::BoxError,
    reach::Doubt,
    wire,
};

impl Shared {
    /// What the books of this node say. `None` if it has no such limit.
    pub(crate) fn consult(&self, node: NodeId, ask: &Ask) -> Option<Grant> {
        let nodes = self.members().len();
        self.ledger.lock().ask(self.now_ms(), node, ask, nodes)
    }

    pub(super) fn ask_own_books(&self, ask: &Ask, now_ms: u64) -> Option<Grant> {
        let grant = self.consult(self.own, ask);
        self.tell_purse(ask, grant.as_ref(), now_ms);
        grant
    }

    /// Asks a home for one subject, and tells its purse.
    pub(super) async fn ask_home(&self, home: NodeId, ask: &Ask, now_ms: u64) -> Option<Grant> {
        if home == self.own {
            return self.ask_own_books(ask, now_ms);
        }
        self.ask_for_all(home, std::slice::from_ref(ask), now_ms).await.into_iter().flatten().next()
    }

    /// Asks a home for several subjects, at most [`wire::ASKS_MAX`], and tells their purses; for none, it is asked for a sign of life. Gives the
    /// grants in the order of the asks, and none at all if there is no answer.
    pub(super) async fn ask_for_all(&self, home: NodeId, asks: &[Ask], now_ms: u64) -> Option<Vec<Grant>> {
        match self.call(home, asks).await {
            Ok(grants) => {
                if self.reach.lock().answered(home) == Doubt::Known {
                    tracing::info!(node = %home, "counts requests again");
                }
                for (ask, grant) in asks.iter().zip(&grants) {
                    self.tell_purse(ask, Some(grant), now_ms);
                }
                Some(grants)
            }
            Err(error) => {
                add(&self.metrics.asks_failed);
                if self.reach.lock().failed(home, self.now_ms()) == Doubt::New {
                    tracing::warn!(node = %home, error, "does not answer how many requests may be let in; this node goes by its share");
                }
                for ask in asks {
                    self.tell_purse(ask, None, now_ms);
                }
                None
            }
        }
    }

    async fn call(&self, home: NodeId, asks: &[Ask]) -> Result<Vec<Grant>, BoxError> {
        let channel = self.nodes.channel(home)?;
        let mut client = LimitsClient::new(channel).max_decoding_message_size(wire::MESSAGE_BYTES_MAX);
        let request = TakeRequest { node_id: self.own.0, asks: asks.iter().map(wire::ask_to).collect() };
        let reply = timeout(PATIENCE, client.take(request)).await??.into_inner();
        if reply.grants.len() != asks.len() {
            return Err("it answered something else than what it was asked".into());
        }
        Ok(reply.grants.iter().map(wire::grant_from).collect())
    }

    /// It may have been forgotten meanwhile.
    fn tell_purse(&self, ask: &Ask, grant: Option<&Grant>, asked_at_ms: u64) {
        let mut purses = self.purses.lock();
        let Some(purse) = purses.find(&ask.key) else { return };
        match grant {
            Some(grant) => purse.granted(asked_at_ms, ask, grant),
            None => purse.unanswered(),
        }
    }
}
