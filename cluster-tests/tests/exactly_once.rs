//! A write whose answer is lost, repeated elsewhere with the same key, is done once (promise 9).
//!
//! In each round an upload loses its answer, in one of three ways: the answer is seen on its way back and is lost there
//! (so the write is done), the client gives up at a random moment, or the node that has the upload is cut off from the
//! others at a random moment (so nobody knows). Then the same upload goes to
//! another node, now and then with another leader. That the id is the same proves little, because an asset keeps its id when
//! its content is replaced. So in some rounds where the write is known to be done something else happens in between:
//! the path is overwritten, or the asset deleted. A repetition that were executed would bring the old content back.

use anyhow::{Result, bail, ensure};
use cluster_tests::client::{Api, Asset, Outcome, Upload, sha256};
use cluster_tests::link::{Cut, Gate};
use cluster_tests::run::{Limit, Run, property};
use cluster_tests::workload::{Content, Settler};
use cluster_tests::{Cluster, wait};
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_write_is_done_once() -> Result<()> {
    property("exactly_once", Limit::minutes(4, 15), exactly_once).await
}

async fn exactly_once(run: Run) -> Result<()> {
    let cluster = Cluster::builder().seed(run.seed()).start().await?;
    let api = cluster.api("exactly-once").await?;
    let gates = cluster.nodes().iter().map(|node| cluster.gate(node)).collect::<Result<Vec<_>>>()?;
    let rounds = run.scaled(30, 100);
    let mut rng = run.seed().rng("rounds");
    let mut tally = Tally::default();
    for number in 0..rounds {
        if number % 10 == 9 {
            change_leader(&run, &cluster, &mut rng).await?;
        }
        // A token for a few rounds: requests are limited by token.
        let api = api.clone().with_own_token();
        let round = Round { number, run: &run, cluster: &cluster, api: &api, gates: &gates };
        round.play(&mut rng, &mut tally).await?;
    }
    run.say(format_args!("{rounds} rounds: {tally:?}"));
    ensure!(tally.answers_lost > 0 && tally.given_up > 0, "the run did not try what it is for");
    cluster.converged(Duration::from_secs(60)).await?;
    for node in cluster.nodes() {
        let listed = api.at(node).list("once/").await.done()?.len();
        ensure!(listed == rounds - tally.deleted, "{} lists {listed} assets", node.name());
    }
    cluster.shutdown().await
}

#[derive(Debug, Default)]
struct Tally {
    answers_lost: usize,
    given_up: usize,
    overwritten: usize,
    deleted: usize,
}

/// What the client did not learn.
enum Lost {
    /// The write was done; its answer was on its way.
    Answer,
    /// Nothing is known.
    Everything,
}

struct Round<'a> {
    number: usize,
    run: &'a Run,
    cluster: &'a Cluster,
    api: &'a Api,
    gates: &'a [Gate],
}

impl Round<'_> {
    async fn play(&self, rng: &mut StdRng, tally: &mut Tally) -> Result<()> {
        let path = format!("once/{}", self.number);
        let first = Upload::new(&path, self.content("first", rng)).key(format!("{}-{path}", self.run.seed()));
        let gate = &self.gates[rng.random_range(0..self.gates.len())];
        match self.lose(gate, &first, rng).await? {
            Lost::Everything => {
                tally.given_up += 1;
                let asset = self.repeat(&first).await?;
                self.holds(&asset.id, &first).await
            }
            Lost::Answer => {
                tally.answers_lost += 1;
                let asset = self.the_one_at(&path).await?;
                match rng.random_range(0..3) {
                    0 => self.overwritten_in_between(&asset, &first, rng, tally).await,
                    1 => self.deleted_in_between(&asset, &first, tally).await,
                    _ => {
                        let again = self.repeat(&first).await?;
                        ensure!(again.id == asset.id, "{path} was {} and is now {}", asset.id, again.id);
                        self.holds(&asset.id, &first).await
                    }
                }
            }
        }
    }

    async fn overwritten_in_between(&self, asset: &Asset, first: &Upload, rng: &mut StdRng, tally: &mut Tally) -> Result<()> {
        tally.overwritten += 1;
        let second = Upload::new(first.path(), self.content("second", rng)).key(format!("{}-second-{}", self.run.seed(), self.number));
        self.settle(&second, "second").await?;
        let again = self.repeat(first).await?;
        ensure!(again.id == asset.id, "the repetition answers with {again:?}, the first time it was {asset:?}");
        let now = self.the_one_at(first.path()).await?;
        self.holds(&now.id, &second).await
    }

    async fn deleted_in_between(&self, asset: &Asset, first: &Upload, tally: &mut Tally) -> Result<()> {
        tally.deleted += 1;
        wait::until(Duration::from_secs(30), "the asset to be deleted", || async {
            match self.api.at(self.cluster.node(0)).delete(&asset.id).await {
                Outcome::Ok(()) => Ok(()),
                // An earlier attempt without an answer has done it.
                Outcome::Rejected(problem) if problem.status == 404 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        let again = self.repeat(first).await?;
        ensure!(again.id == asset.id, "the repetition made {again:?} after {asset:?} was deleted");
        for node in self.cluster.nodes() {
            let there = self.api.at(node).up_to_date();
            let found = wait::until(Duration::from_secs(30), "an answer", || async { there.find(first.path()).await.done() }).await?;
            ensure!(found.is_none(), "{}: the repetition brought back {found:?}", node.name());
        }
        Ok(())
    }

    /// Sends the upload through a gate and loses what comes back.
    async fn lose(&self, gate: &Gate, upload: &Upload, rng: &mut StdRng) -> Result<Lost> {
        // The token must be there before: its answer would be held, too.
        wait::until(Duration::from_secs(30), "a token", || async { self.api.at(self.cluster.node(0)).log_in().await }).await?;
        let through = self.api.at_url(gate.url());
        let moment = Duration::from_micros(rng.random_range(200..20_000));
        match rng.random_range(0..10) {
            0..2 => {
                let answer = tokio::time::timeout(moment, through.upload(upload)).await;
                gate.reset();
                return answer.map_or(Ok(Lost::Everything), |outcome| told(&outcome));
            }
            2..4 => {
                let node = self.cluster.node(rng.random_range(0..self.cluster.nodes().len()));
                let there = self.api.at(node);
                let (outcome, ()) = tokio::join!(there.upload(upload), async {
                    tokio::time::sleep(moment).await;
                    self.cluster.links().isolate(node.slot(), Cut::Refused);
                });
                self.cluster.links().heal_all();
                return told(&outcome);
            }
            _ => {}
        }
        // What the previous round left behind is no answer of this one.
        wait::until(ANSWER, "the gate to be empty", || async { (gate.answers().held() == 0).then_some(()) }).await?;
        gate.answers().adjust(|settings| settings.open = false);
        let answered = tokio::select! {
            outcome = through.upload(upload) => {
                gate.answers().adjust(|settings| settings.open = true);
                bail!("an answer came through a closed gate: {outcome:?}")
            }
            held = wait::until(ANSWER, "the answer to be on its way", || async { (gate.answers().held() > 0).then_some(()) }) => held,
        };
        gate.reset();
        gate.answers().adjust(|settings| settings.open = true);
        // An answer is no proof that it was a good one, and none may have come from a cluster between two leaders.
        let found = self.api.at(self.cluster.node(0)).up_to_date().find(upload.path()).await;
        match (answered, found) {
            (Ok(()), Outcome::Ok(Some(_))) => Ok(Lost::Answer),
            _ => Ok(Lost::Everything),
        }
    }

    /// Sends the upload again, directly to nodes chosen at random.
    async fn repeat(&self, upload: &Upload) -> Result<Asset> {
        self.settle(upload, "repeat").await
    }

    async fn settle(&self, upload: &Upload, purpose: &str) -> Result<Asset> {
        let rng = self.run.seed().rng(&format!("{purpose} {}", self.number));
        Settler::new(self.api, self.cluster.nodes(), rng).upload(upload).await
    }

    /// The only asset at a path, as all nodes see it.
    async fn the_one_at(&self, path: &str) -> Result<Asset> {
        let mut seen: Option<Asset> = None;
        for node in self.cluster.nodes() {
            let there = self.api.at(node).up_to_date();
            let what = format!("{path} at {}", node.name());
            let listed = wait::until(Duration::from_secs(30), &what, || async { there.list(path).await.done() }).await?;
            let mut here: Vec<Asset> = listed.into_iter().filter(|asset| asset.path == path).collect();
            ensure!(here.len() == 1, "{} lists {here:?}", node.name());
            let asset = here.remove(0);
            ensure!(seen.as_ref().is_none_or(|seen| seen.id == asset.id), "{} has {asset:?}, another {seen:?}", node.name());
            seen = Some(asset);
        }
        seen.ok_or_else(|| anyhow::anyhow!("there are no nodes"))
    }

    /// The asset `id` has the content of `upload` at every node.
    async fn holds(&self, id: &str, upload: &Upload) -> Result<()> {
        let expected = sha256(upload.content());
        let asset = self.the_one_at(upload.path()).await?;
        ensure!(asset.id == id, "{} is {} and not {id}", upload.path(), asset.id);
        ensure!(asset.sha256.as_deref() == Some(&*expected), "{asset:?} should have the SHA-256 {expected}");
        Ok(())
    }

    fn content(&self, which: &str, rng: &mut StdRng) -> bytes::Bytes {
        let seed = self.run.seed().derive(&format!("{which} {}", self.number));
        Content::new(seed, rng.random_range(1..200_000)).bytes()
    }
}

/// What a client knows that got this answer after all.
fn told(outcome: &Outcome<Asset>) -> Result<Lost> {
    match outcome {
        Outcome::Ok(_) => Ok(Lost::Answer),
        Outcome::Unavailable(_) | Outcome::Unknown(_) => Ok(Lost::Everything),
        Outcome::Rejected(problem) => bail!("refused for good: {problem}"),
    }
}

async fn change_leader(run: &Run, cluster: &Cluster, rng: &mut StdRng) -> Result<()> {
    let leader = cluster.leader().await?;
    if rng.random_bool(0.5) {
        run.say(format_args!("kill -9 the leader, {}", leader.name()));
        leader.kill_9().await?;
        leader.start()?;
    } else {
        let heir = cluster.follower().await?;
        run.say(format_args!("the lead passes from {} to {}", leader.name(), heir.name()));
        // It is refused while the heir lags.
        let (operator, id) = (leader.operator(), heir.id()?);
        wait::until(Duration::from_secs(30), "the lead to pass", || operator.member("transfer-leader", id)).await?;
    }
    leader.ready(Duration::from_secs(60)).await
}

/// How long a write may take before its answer is on its way, an election included.
const ANSWER: Duration = Duration::from_secs(15);
