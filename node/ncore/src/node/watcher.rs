//! Looks at the node once a second: takes a sample of its figures, and notes what happened.
//!
//! It reads what other parts count or announce anyway, so nothing on the path of a request knows of it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ncore_agent::AgentMetrics;
use ncore_control::{Control, ControlPlane};
use ncore_freshness::FreshState;
use ncore_model::{Node, NodeState, Query};
use ncore_serving::{Outcome, ServingMetrics};
use ncore_telemetry::{EventKind, Events, History, Sample};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::machine;

const EVERY: Duration = Duration::from_secs(1);

/// What is looked at, and where it is noted.
pub(super) struct Watcher {
    pub(super) control: Arc<Control>,
    pub(super) serving: Arc<ServingMetrics>,
    pub(super) agent: Arc<AgentMetrics>,
    pub(super) data_dir: PathBuf,
    pub(super) connections_max: usize,
    pub(super) history: Arc<History>,
    pub(super) events: Arc<Events>,
}

/// How things were when they were last looked at.
#[derive(Default)]
struct Before {
    leader: Option<u64>,
    fenced: Option<bool>,
    fencings: u64,
    nodes: Option<Vec<Node>>,
    index: u64,
    quarantined: u64,
    repaired: u64,
    purges: u64,
    failed: u64,
}

impl Watcher {
    /// Looks until the node stops.
    pub(super) async fn run(self, leaving: CancellationToken) {
        self.events.push(EventKind::Started, format!("ncore {}", env!("CARGO_PKG_VERSION")));
        let mut before = Before { fencings: self.control.fencings(), ..Before::default() };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while leaving.run_until_cancelled(ticks.tick()).await.is_some() {
            let sample = self.sample();
            self.history.push(sample);
            self.note_cluster(&mut before);
            self.note_work(&mut before, &sample);
        }
        self.events.push(EventKind::Stopping, "no new viewers are taken soon");
    }

    fn sample(&self) -> Sample {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Sample {
            at_ms: u64::try_from(since).unwrap_or(u64::MAX),
            requests: Outcome::ALL.into_iter().map(|outcome| self.serving.requests(outcome)).sum(),
            statuses: self.serving.statuses(),
            hits: load(&self.serving.hits),
            misses: load(&self.serving.misses),
            sent_bytes: load(&self.serving.bytes_out),
            latency: self.serving.latency.counts(),
            connections: load(&self.serving.connections_active),
            connections_max: self.connections_max as u64,
            machine: machine::machine(),
            storage: machine::storage(&self.data_dir),
        }
    }

    fn note_cluster(&self, before: &mut Before) {
        let leader = self.control.leader();
        let revision = self.control.replica().revision().index;
        // The rows of nodes change only with the state.
        if revision != before.index || before.nodes.is_none() {
            before.index = revision;
            if let Ok(nodes) = self.control.replica().nodes() {
                if let Some(known) = &before.nodes {
                    self.note_nodes(known, &nodes);
                }
                before.nodes = Some(nodes);
            }
        }
        if leader != before.leader {
            let name = |id: u64| before.nodes.iter().flatten().find(|node| node.id.0 == id).map(|node| node.name.clone());
            match leader {
                Some(id) => self.events.push(EventKind::LeaderChanged, name(id).unwrap_or_else(|| format!("node {id}"))),
                None => self.events.push(EventKind::LeaderLost, "no changes can be made until there is another"),
            }
            before.leader = leader;
        }
        let (state, fencings) = (self.control.fresh_state(), self.control.fencings());
        let fenced = matches!(state, FreshState::Fenced(_));
        // A node is fenced when it starts: that is no event. One that was fenced and is fresh again within a second is two.
        if fencings != before.fencings {
            let reason = if let FreshState::Fenced(fence) = &state { fence.reason.as_str() } else { "for less than a second" };
            self.events.push(EventKind::Fenced, reason);
        }
        if !fenced && (before.fenced != Some(false) || fencings != before.fencings) {
            self.events.push(EventKind::Fresh, "the view of the cluster is up to date");
        }
        (before.fenced, before.fencings) = (Some(fenced), fencings);
    }

    fn note_nodes(&self, known: &[Node], nodes: &[Node]) {
        for node in nodes {
            let before = known.iter().find(|known| known.id == node.id).map(|known| known.state);
            let kind = match (before, node.state) {
                (None, NodeState::Active) => EventKind::NodeJoined,
                (Some(before), now) if before == now => continue,
                (Some(_), NodeState::Active) => EventKind::NodeActive,
                (_, NodeState::Draining) => EventKind::NodeDraining,
                (_, NodeState::Removed) => EventKind::NodeRemoved,
            };
            self.events.push(kind, format!("{} · {}", node.name, node.region));
        }
    }

    fn note_work(&self, before: &mut Before, sample: &Sample) {
        let counts = [
            (EventKind::Damaged, load(&self.agent.quarantined), &mut before.quarantined, "blobs set aside"),
            (EventKind::Repaired, load(&self.agent.repaired), &mut before.repaired, "blobs replaced"),
            (EventKind::Purged, load(&self.agent.purges), &mut before.purges, "purges carried out"),
            (EventKind::Failed, sample.statuses[4], &mut before.failed, "responses with 5xx"),
        ];
        for (kind, now, before, what) in counts {
            let more = now.saturating_sub(*before);
            if more > 0 {
                self.events.push(kind, format!("{what}: {more}"));
            }
            *before = now;
        }
    }
}

fn load(value: &AtomicU64) -> u64 {
    value.load(Ordering::Relaxed)
}
