//! Clients that each make one write, wait for its answer, and make the next.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::process::cpu_seconds;

/// How long the clients run before anything counts.
const WARM_UP: Duration = Duration::from_millis(700);

/// What takes writes.
pub(crate) trait Cluster: Send + Sync + 'static {
    /// Makes a write of a value of [`VALUE`] bytes under a key that was never used, for the client `client`, and waits until it is
    /// acknowledged.
    fn write(&self, client: usize) -> impl Future<Output = Result<()>> + Send;
    /// The processes of its members.
    fn processes(&self) -> Vec<u32>;
    /// How often its members have synced a file to disk so far, together.
    fn syncs(&self) -> impl Future<Output = Result<u64>>;
}

/// Bytes of each value that is written.
pub(crate) const VALUE: usize = 256;

/// What a slice of time gave.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    /// Acknowledged writes a second.
    pub(crate) writes_s: f64,
    /// How long they took, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Syncs to disk, of all members together, for each write.
    pub(crate) syncs_per_write: f64,
    /// CPU time, of all members together, for each write, in microseconds.
    pub(crate) cpu_us_per_write: f64,
    /// CPU time, of the member that takes most, for each write, in microseconds: what bounds the rate where each has a machine of its own.
    pub(crate) busiest_us_per_write: f64,
}

/// Lets so many clients write for so long.
pub(crate) async fn measure(cluster: &Arc<impl Cluster>, clients: usize, duration: Duration) -> Result<Slice> {
    let begin = Instant::now() + WARM_UP;
    let end = begin + duration;
    let mut running = JoinSet::new();
    for client in 0..clients {
        let cluster = Arc::clone(cluster);
        running.spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            loop {
                let sent = Instant::now();
                cluster.write(client).await?;
                let now = Instant::now();
                if now >= end {
                    return anyhow::Ok(latency);
                }
                if now >= begin {
                    latency.record(u64::try_from((now - sent).as_micros())?)?;
                }
            }
        });
    }
    tokio::time::sleep_until(begin.into()).await;
    let (syncs, before) = (cluster.syncs().await?, of_each(&cluster.processes())?);
    tokio::time::sleep_until(end.into()).await;
    let after = of_each(&cluster.processes())?;
    let cpu: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    let syncs = (cluster.syncs().await? - syncs) as f64;
    let mut latency = Histogram::<u64>::new(3)?;
    while let Some(client) = running.join_next().await {
        latency.add(client?.context("a write failed")?)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    let writes = latency.len() as f64;
    Ok(Slice {
        writes_s: writes / duration.as_secs_f64(),
        latency,
        syncs_per_write: syncs / writes,
        cpu_us_per_write: cpu.iter().sum::<f64>() * 1e6 / writes,
        busiest_us_per_write: cpu.iter().copied().fold(0.0, f64::max) * 1e6 / writes,
    })
}

fn of_each(processes: &[u32]) -> Result<Vec<f64>> {
    processes.iter().map(|process| cpu_seconds(*process)).collect()
}
