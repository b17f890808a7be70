//! Putting a node together from its directory.

use std::{error::Error, fs, io, path::Path, sync::Arc};

use bytes::Bytes;
use openraft::{async_runtime::watch::WatchReceiver, errors::Fatal};
use parking_lot::Mutex;
use tokio::task;

use super::{Inner, LOG, RaftNode, Resources};
use crate::{
    closing::{self, ClosedSignal},
    config::RaftConfig,
    error::OpenError,
    fatal::{FatalCell, FatalReason},
    log::{DiskSync, Flusher, LogDb, LogLimits, LogStore},
    machine::{MachineAdapter, StateMachine},
    network::{Network, PeerConnector, Peers, keep_open},
    receive::Reception,
    record::Identity,
    snapshot::{Schedule, SnapshotStore},
    types::{MetricsWatch, Raft},
};

/// Opens a node. `disk` is what the flusher syncs: the log's database, unless a test puts something in between.
pub(crate) async fn open(
    config: RaftConfig,
    machine: Arc<dyn StateMachine>,
    connector: Arc<dyn PeerConnector>,
    disk: impl FnOnce(Arc<LogDb>) -> Box<dyn DiskSync> + Send + 'static,
) -> Result<RaftNode, OpenError> {
    let engine = Arc::new(config.engine().map_err(OpenError::Config)?);
    let fatal = FatalCell::new();
    let (log_signal, log_closed) = closing::closing();
    let (machine_signal, machine_closed) = closing::closing();
    let limits = LogLimits { ring_bytes: config.ring_bytes, read_bytes: config.batch_bytes };
    let (dir, cell, snapshot_rate) = (config.dir.clone(), fatal.clone(), config.snapshot_rate);
    let opened = task::spawn_blocking(move || open_files(&dir, &cell, limits, snapshot_rate, log_signal, disk)).await;
    let (log, snapshots) = opened.expect("opening files does not panic")?;
    claim(&log, &config, &fatal).await?;

    let peers = Arc::new(Peers::new(connector, &config));
    let network = Network { peers: Arc::clone(&peers), log: log.clone() };
    let adapter = MachineAdapter::new(machine, Arc::clone(&snapshots), fatal.clone(), machine_signal);
    let raft = Raft::new(config.node_id, engine, network.clone(), log.clone(), adapter).await;
    let raft = raft.map_err(|error| OpenError::Data(reason_of(&fatal, error)))?;
    cover_purged(&raft, &log, &snapshots).await;

    let schedule = Schedule {
        entries: config.snapshot_entries,
        bytes: config.snapshot_bytes,
        interval: config.snapshot_interval,
        keep_bytes: config.keep_bytes,
    };
    let tasks = vec![
        tokio::spawn(schedule.run(raft.clone(), log.clone(), Arc::clone(&snapshots))),
        tokio::spawn(watch_engine(raft.metrics(), fatal.clone())),
        tokio::spawn(keep_open(raft.server_metrics(), network)),
    ];
    let resources = Mutex::new(Some(Resources { log, tasks, closed: [log_closed, machine_closed] }));
    let inner = Inner { config, raft, peers, snapshots, reception: Reception::default(), fatal, resources };
    Ok(RaftNode { inner: Arc::new(inner) })
}

/// Blocking.
fn open_files(
    dir: &Path,
    fatal: &FatalCell,
    limits: LogLimits,
    snapshot_rate: u64,
    closed: ClosedSignal,
    disk: impl FnOnce(Arc<LogDb>) -> Box<dyn DiskSync>,
) -> Result<(LogStore, Arc<SnapshotStore>), OpenError> {
    fs::create_dir_all(dir).map_err(|source| OpenError::Directory { path: dir.to_owned(), source })?;
    let db = Arc::new(LogDb::open(&dir.join(LOG), closed).map_err(OpenError::Database)?);
    let snapshots = SnapshotStore::open(dir, fatal.clone(), snapshot_rate).map_err(OpenError::Data)?;
    let flusher = Flusher::start(disk(Arc::clone(&db)), fatal.clone()).map_err(OpenError::Thread)?;
    let log = LogStore::open(db, flusher, fatal.clone(), limits).map_err(OpenError::Data)?;
    Ok((log, Arc::new(snapshots)))
}

/// Makes sure that the log is this node's. Two logs under one id can split a cluster.
async fn claim(log: &LogStore, config: &RaftConfig, fatal: &FatalCell) -> Result<(), OpenError> {
    let own = Identity { cluster_id: Bytes::copy_from_slice(&config.cluster_id), node: config.node_id };
    match log.identity().map_err(OpenError::Data)? {
        Some(found) if found == own => Ok(()),
        Some(found) => Err(OpenError::OtherNode { node_id: found.node, cluster_id: found.cluster_id.into() }),
        None => log.claim(&own).await.map_err(|error| OpenError::Data(reason_of(fatal, error))),
    }
}

/// After a power loss the state may have outlived the newest entries of the log. openraft then declares everything up to
/// the state purged, and the snapshot, which is to stand for what was purged, does not reach that far: take one that does.
async fn cover_purged(raft: &Raft, log: &LogStore, snapshots: &SnapshotStore) {
    let (_, purged) = log.ends();
    let covered = snapshots.current().and_then(|stored| stored.meta().last_log_id);
    if purged > covered {
        // Only fails when the node stops.
        let _ = raft.trigger().snapshot().await;
    }
}

/// Raises the alarm when the engine stops for a reason that was not found on our side of it.
async fn watch_engine(mut metrics: MetricsWatch, fatal: FatalCell) {
    loop {
        let state = metrics.borrow_watched().running_state.clone();
        let error = match state {
            Ok(()) if metrics.changed().await.is_ok() => continue,
            // It has gone without a word.
            Ok(()) => metrics.borrow_watched().running_state.clone().err().unwrap_or(Fatal::Panicked),
            Err(error) => error,
        };
        if error != Fatal::Stopped {
            fatal.raise(FatalReason::Engine(Arc::new(error)));
        }
        return;
    }
}

fn reason_of(fatal: &FatalCell, error: impl Error + Send + Sync + 'static) -> FatalReason {
    fatal.get().unwrap_or_else(|| FatalReason::Engine(Arc::new(error)))
}

impl DiskSync for Box<dyn DiskSync> {
    fn sync(&self) -> io::Result<()> {
        (**self).sync()
    }
}
