//! Following a write up until its outcome is known.
//!
//! A client that gets no definite answer sends the same request with the same idempotency key to another node, until
//! one answers. That is what the product tells its users to do, and what makes "acknowledged" and "done once" testable.

use crate::client::{Api, Asset, Outcome, Upload};
use crate::cluster::Node;
use crate::wait;
use anyhow::{Result, anyhow};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use std::time::Duration;

/// Sends uploads to nodes chosen at random, each until it is settled.
#[derive(Debug)]
pub struct Settler<'a> {
    api: &'a Api,
    nodes: &'a [Node],
    rng: StdRng,
    deadline: Duration,
    attempts: u64,
}

impl<'a> Settler<'a> {
    /// A settler that gives up after two minutes.
    #[must_use]
    pub const fn new(api: &'a Api, nodes: &'a [Node], rng: StdRng) -> Self {
        Self { api, nodes, rng, deadline: Duration::from_secs(120), attempts: 0 }
    }

    /// Uploads until a node says that it is done.
    ///
    /// # Errors
    /// When it is refused for good, or not settled in time.
    pub async fn upload(&mut self, upload: &Upload) -> Result<Asset> {
        let what = format!("the upload of {} to be settled", upload.path());
        let (api, nodes, deadline) = (self.api, self.nodes, self.deadline);
        wait::until(deadline, &what, || {
            self.attempts += 1;
            let node = nodes.choose(&mut self.rng);
            async move {
                let node = node.ok_or_else(|| anyhow!("there are no nodes"))?;
                match api.at(node).upload(upload).await {
                    Outcome::Ok(asset) => Ok(Ok(asset)),
                    // The first attempt is still under way at some other node.
                    Outcome::Rejected(problem) if problem.status == 409 => Err(anyhow!("{}: {problem}", node.name())),
                    Outcome::Rejected(problem) => Ok(Err(anyhow!("{} refused for good: {problem}", node.name()))),
                    Outcome::Unavailable(cause) | Outcome::Unknown(cause) => Err(anyhow!("{}: {cause}", node.name())),
                }
            }
        })
        .await?
    }

    /// How many requests were sent so far.
    #[must_use]
    pub const fn attempts(&self) -> u64 {
        self.attempts
    }
}
