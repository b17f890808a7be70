//! What stands in front of the nodes: it asks each for `/readyz`, and sends nothing new to one that is not ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_tests::Node;
use tokio::task::AbortHandle;

/// A balancer over the nodes of a cluster.
pub(crate) struct Balancer {
    places: Vec<Place>,
    asking: parking_lot::Mutex<Vec<AbortHandle>>,
}

struct Place {
    node: Node,
    /// As it said last.
    ready: AtomicBool,
    /// Taken out by hand.
    out: AtomicBool,
}

impl Balancer {
    /// Begins to ask the nodes, all of which must be ready.
    pub(crate) fn over(nodes: &[Node]) -> Arc<Self> {
        let place = |node: &Node| Place { node: node.clone(), ready: AtomicBool::new(true), out: AtomicBool::new(false) };
        let balancer = Arc::new(Self { places: nodes.iter().map(place).collect(), asking: parking_lot::Mutex::default() });
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().unwrap_or_default();
        for at in 0..nodes.len() {
            let (client, weak) = (client.clone(), Arc::downgrade(&balancer));
            let task = tokio::spawn(async move {
                while let Some(balancer) = weak.upgrade() {
                    let place = &balancer.places[at];
                    let answer = client.get(format!("{}/readyz", place.node.url())).send().await;
                    place.ready.store(answer.is_ok_and(|answer| answer.status().is_success()), Ordering::Relaxed);
                    drop(balancer);
                    tokio::time::sleep(PERIOD).await;
                }
            });
            balancer.asking.lock().push(task.abort_handle());
        }
        balancer
    }

    /// The node for a request whose client is nearest to the node in slot `home`. If none said in time that it is ready, as on a
    /// machine that stands still for a second, that is no reason to turn everybody away.
    pub(crate) fn choose(&self, home: usize) -> &Node {
        let mut nearest_first = (0..self.places.len()).map(|step| &self.places[(home + step) % self.places.len()]);
        &nearest_first.find(|place| place.is_up()).unwrap_or(&self.places[home]).node
    }

    /// Takes a node out, and waits until requests that it was sent before have ended.
    pub(crate) async fn take_out(&self, slot: usize) {
        self.places[slot].out.store(true, Ordering::Relaxed);
        // What the operator of a build that does not announce its stop has to wait for: nothing says when it is over.
        tokio::time::sleep(LINGER).await;
    }

    /// Ends [`Balancer::take_out`].
    pub(crate) fn put_back(&self, slot: usize) {
        self.places[slot].out.store(false, Ordering::Relaxed);
    }
}

impl Place {
    fn is_up(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.out.load(Ordering::Relaxed)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for task in self.asking.get_mut() {
            task.abort();
        }
    }
}

/// How often a node is asked: several times within the `listen.stop_delay` of 2 s.
const PERIOD: Duration = Duration::from_millis(200);
const ANSWER: Duration = Duration::from_secs(1);
/// Longer than the slowest read of the load.
const LINGER: Duration = Duration::from_secs(6);
