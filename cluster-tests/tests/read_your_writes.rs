//! Whoever presents a revision is answered from a state that includes it, at a node that lags as well (promise 3).
//!
//! What the leader sends to one follower takes a while, so that follower is always behind. A client writes at the
//! leader and goes on at the follower, with the revision that it was given. And every answer to the client, a refusal
//! too, must carry a revision from which the client can go on: one that includes what the answer tells.

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::Cluster;
use cluster_tests::client::{Outcome, Upload};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::Content;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_node_answers_from_the_revision_presented() -> Result<()> {
    property("read_your_writes", Limit::minutes(2, 4), read_your_writes).await
}

async fn read_your_writes(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("read-your-writes").await?;
    let leader = cluster.leader().await?;
    let lagging = cluster.follower().await?;
    // Well below the time after which a follower misses its leader.
    cluster.links().delay(leader.slot(), lagging.slot(), Duration::from_millis(100));
    let (here, there) = (api.at(&leader), api.at(&lagging).up_to_date());
    for round in 0..run.scaled(10, 40) {
        let path = format!("mine/{round}");
        let content = Content::new(run.seed().derive(&path), 20_000);
        let asset = here.upload(&Upload::new(&path, content.bytes()).key(&path)).await.done()?;
        let found = there.find(&path).await.done()?;
        ensure!(found.is_some_and(|found| found.id == asset.id), "{path} is not seen at {}", lagging.name());
        let described = there.asset(&asset.id).await.done().context("an asset just uploaded")?;
        ensure!(described.sha256.as_deref() == Some(&*content.sha256()), "{described:?}");

        here.delete(&asset.id).await.done()?;
        let deleted = api.newest().context("the answer to a delete carries no revision")?;
        // Nothing is presented here: what matters is what comes with the answer.
        match api.at(&lagging).delete(&asset.id).await {
            Outcome::Rejected(problem) if problem.status == 404 => {
                let told = problem.revision.context("a refusal carries no revision")?;
                ensure!(
                    told >= deleted,
                    "{} says that {} is gone, as of {told}, but it was deleted at {deleted}",
                    lagging.name(),
                    asset.id
                );
            }
            other => bail!("deleted twice: {other:?}"),
        }
        let found = there.find(&path).await.done()?;
        ensure!(found.is_none(), "{path} is seen at {} after it was deleted", lagging.name());
    }
    cluster.links().heal_all();
    cluster.converged(Duration::from_secs(30)).await?;
    cluster.shutdown().await
}
