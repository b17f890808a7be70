//! The stream of a node in Raft that does not lead, to the one that does: pings and acknowledgements, no entries.
//!
//! Its entries come through Raft. But the freshness of it and of all below it must be known to the leader, so it is a child like any
//! other.

use std::{sync::Arc, time::Duration};

use ncore_freshness::PingSeq;
use ncore_model::NodeId;
use ncore_proto::hub::v1::{Hello, down::Message as Down};
use ncore_replica::Replica;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Pulse, lines::Lines, wire};
use crate::{
    hub::{Candidate, Leadership, Link},
    peers::Peers,
};

/// The wait before a leader is tried again.
const BACKOFF: Duration = Duration::from_millis(100);

/// Runs until `stop`. `hello` is what this node says to the leader.
pub(crate) async fn keep_to_leader(
    own: NodeId,
    hello: Hello,
    peers: Arc<Peers>,
    replica: Arc<Replica>,
    leadership: Arc<Leadership>,
    pulse: Arc<Pulse>,
    stop: CancellationToken,
) {
    let lines = Lines::new(own, peers, replica);
    let mut leaders = leadership.watch();
    let keep = async {
        loop {
            let leader = leaders.borrow_and_update().node.filter(|leader| *leader != own.0);
            let link = async {
                match leader {
                    None => std::future::pending().await,
                    Some(leader) => stay(NodeId(leader), &hello, &lines, &pulse).await,
                }
            };
            tokio::select! {
                changed = leaders.changed() => if changed.is_err() { return },
                () = link => sleep(BACKOFF).await,
            }
        }
    };
    let both = async {
        tokio::select! {
            () = keep => {}
            () = lines.keep_open() => {}
        }
    };
    stop.run_until_cancelled(both).await;
}

/// Until the stream ends.
async fn stay(leader: NodeId, hello: &Hello, lines: &Lines, pulse: &Arc<Pulse>) {
    let Ok(channel) = lines.channel(leader) else { return };
    let candidate = Candidate { node: leader, address: String::new(), voter: true };
    let mut link = match Link::open_over(channel, candidate, hello.clone()).await {
        Ok(link) => link,
        Err(error) => {
            tracing::debug!(%leader, %error, "no stream to the leader");
            lines.forget(leader);
            return;
        }
    };
    tracing::debug!(%leader, "a stream to the leader");
    let upstream = pulse.attach(link.sender());
    loop {
        match link.next().await {
            Ok(Down::Pong(pong)) => upstream.pong(PingSeq(pong.seq), wire::revision_of(pong.read)),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%leader, %error, "the stream to the leader ended");
                lines.forget(leader);
                return;
            }
        }
    }
}
