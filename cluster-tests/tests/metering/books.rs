//! The counts of the cluster, looked at when nothing is under way, and compared with the truth since the last time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use cluster_tests::{Cluster, Node, wait};

use super::load::{CUSTOMERS, Load};
use super::truth::{Bounds, Figures, HOUR_S, Kill, Series};

/// What one node says of a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reading {
    hours: Series,
    days: Series,
}

/// What is settled.
#[derive(Default)]
pub(crate) struct Books {
    /// How many answers are in it.
    answers: usize,
    readings: Vec<Reading>,
}

/// How the counts compare, of all customers together.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Answers, the questions for counts included,
    pub(crate) answers: usize,
    /// and those of them that are not certain.
    pub(crate) unclear: usize,
    pub(crate) truth: Bounds,
    pub(crate) counted: Figures,
    /// What the crashes might have cost.
    pub(crate) at_risk: Figures,
}

impl Books {
    /// Waits until everything that was counted before has been reported, and holds what every node says against the truth: in every
    /// figure, of every customer, hour and day. Less is let pass as far as `kills` may have cost it; more never.
    ///
    /// # Errors
    /// If the counts are not the truth.
    pub(crate) async fn settle(&mut self, cluster: &Cluster, load: &Load, kills: &[Kill]) -> Result<Settled> {
        let end = Instant::now() + PATIENCE;
        loop {
            all_reported(cluster.nodes(), load).await?;
            let due = load.truth.len();
            let verdict = match readings(cluster.nodes(), load).await {
                Ok(readings) => self.compare(load, &readings, due, kills).map(|settled| (settled, readings)),
                Err(error) => Err(NotSo::Yet(error)),
            };
            match verdict {
                Ok((settled, readings)) => {
                    (self.answers, self.readings) = (due, readings);
                    return Ok(settled);
                }
                Err(NotSo::Ever(error)) => return Err(error),
                Err(NotSo::Yet(error)) if Instant::now() > end => return Err(error),
                Err(NotSo::Yet(_)) => {}
            }
        }
    }

    fn compare(&self, load: &Load, readings: &[Reading], due: usize, kills: &[Kill]) -> Result<Settled, NotSo> {
        let unclear = load.truth.unclear(self.answers..due);
        let (truth, counted, at_risk) = (Bounds::default(), Figures::default(), Figures::default());
        let mut settled = Settled { answers: due - self.answers, unclear, truth, counted, at_risk };
        for (customer, reading) in readings.iter().enumerate() {
            let before = self.readings.get(customer).cloned().unwrap_or_default();
            for (unit, now, before) in [(1, &reading.hours, &before.hours), (24, &reading.days, &before.days)] {
                for number in now.keys().chain(before.keys()).copied().collect::<BTreeSet<u32>>() {
                    let is_in = |hour: u32| hour / unit == number;
                    let (now, before) = (at(now, number), at(before, number));
                    let what = format!("customer {customer}, {} {number}", if unit == 1 { "hour" } else { "day" });
                    if !before.is_within(&now) {
                        return Err(NotSo::Ever(anyhow::anyhow!("{what}: {now:?}, and before {before:?}")));
                    }
                    let counted = now - before;
                    let truth = load.truth.bounds(self.answers..due, customer, is_in);
                    let with_these_questions = load.truth.bounds(self.answers..load.truth.len(), customer, is_in);
                    if !counted.is_within(&with_these_questions.most) {
                        let error = anyhow::anyhow!("{what}: MORE than the truth: {counted:?} of {with_these_questions:?}");
                        return Err(NotSo::Ever(error));
                    }
                    let at_risk = kills.iter().map(|kill| load.truth.at_risk(kill, customer, is_in));
                    let at_risk = at_risk.fold(Figures::default(), |sum, cost| sum + cost);
                    let is_enough = truth.least.is_within(&(counted + at_risk));
                    if !is_enough || !counted.is_within(&truth.most) {
                        let error = anyhow::anyhow!("{what}: {counted:?} counted of {truth:?}, and {at_risk:?} might be lost");
                        return Err(NotSo::Yet(error));
                    }
                    if unit == 1 {
                        settled.counted += counted;
                        settled.at_risk += at_risk;
                        settled.truth.least += truth.least;
                        settled.truth.most += truth.most;
                    }
                }
            }
        }
        Ok(settled)
    }
}

/// Why the counts are not the truth.
enum NotSo {
    Yet(anyhow::Error),
    /// No waiting mends it.
    Ever(anyhow::Error),
}

fn at(series: &Series, number: u32) -> Figures {
    series.get(&number).copied().unwrap_or_default()
}

/// Waits until each node has had two more reports taken: the first may have been made before, the second has what was counted until now.
async fn all_reported(nodes: &[Node], load: &Load) -> Result<()> {
    for _ in 0..2 {
        let mut before = Vec::new();
        for node in nodes {
            before.push(wait::until(PATIENCE, "the figures of a node", || node.figure(REPORTS)).await?);
        }
        for node in nodes {
            load.nudge(node, 0).await;
        }
        for (node, before) in nodes.iter().zip(before) {
            let what = format!("a report of {}", node.name());
            wait::until(PATIENCE, &what, || async {
                let taken = node.figure(REPORTS).await?;
                ensure!(taken > before, "{taken} taken");
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// What all nodes say, which must be the same: else a report was taken meanwhile, or a node is behind.
async fn readings(nodes: &[Node], load: &Load) -> Result<Vec<Reading>> {
    let mut readings: Vec<Reading> = Vec::new();
    for customer in 0..CUSTOMERS {
        for node in nodes {
            let reading = Reading {
                hours: load.counts(node, customer, "hour").await?.series(HOUR_S)?,
                days: load.counts(node, customer, "day").await?.series(HOUR_S * 24)?,
            };
            match readings.get(customer) {
                None => readings.push(reading),
                Some(first) if *first != reading => bail!("{} says {reading:?}, and others {first:?}", node.name()),
                Some(_) => {}
            }
        }
    }
    readings.last().context("there are customers")?;
    Ok(readings)
}

const REPORTS: &str = "ncore_usage_reports_total{result=\"ok\"}";
const PATIENCE: Duration = Duration::from_secs(60);
