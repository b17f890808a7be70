//! openraft's own test suite for stores, on the real log store and the real adapter.

use std::{io, sync::Arc, time::Duration};

use futures_util::Stream;
use openraft::{
    OptionalSend, StorageError,
    storage::{EntryResponder, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
};
use parking_lot::Mutex;

use super::open;
use crate::{
    closing::{Closed, closing},
    fatal::FatalCell,
    log::LogStore,
    machine::MachineAdapter,
    snapshot::{SnapshotData, SnapshotStore},
    test_machine::TestMachine,
    types::{LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
};

#[test]
fn openrafts_suite_passes() {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let open: Arc<Mutex<Vec<Closed>>> = Arc::default();
        Suite::test_all(Builder { open: Arc::clone(&open) }).await.unwrap();
        // A process that ends while a database is still being closed aborts.
        let all: Vec<Closed> = open.lock().drain(..).collect();
        for closed in all {
            assert!(closed.wait(Duration::from_secs(10)).await, "the database is closed");
        }
    });
}

/// Makes the stores that the suite asks for, and remembers those that are open.
struct Builder {
    open: Arc<Mutex<Vec<Closed>>>,
}

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(&dir.path().join("log"));
        let snapshots = Arc::new(SnapshotStore::open(dir.path(), FatalCell::new(), 0).unwrap());
        let machine = Arc::new(TestMachine::open(&dir.path().join("state")));
        let (machine_signal, machine_closed) = closing();
        let adapter = MachineAdapter::new(machine, Arc::clone(&snapshots), FatalCell::new(), machine_signal);
        self.open.lock().extend([opened.closed, machine_closed]);
        Ok((dir, opened.store, Machine { adapter, snapshots }))
    }
}

/// The adapter, in a place where snapshots come from another store without a network in between: those are taken over as
/// if they had been pulled.
struct Machine {
    adapter: MachineAdapter,
    snapshots: Arc<SnapshotStore>,
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = MachineAdapter;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.adapter.applied_state().await
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        self.adapter.apply(entries).await
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<MachineAdapter> {
        self.adapter.try_create_snapshot_builder(force).await
    }

    async fn get_snapshot_builder(&mut self) -> MachineAdapter {
        self.adapter.get_snapshot_builder().await
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let data = match snapshot {
            SnapshotData::Stored(stored) if self.snapshots.by_reference(stored.reference()).is_none() => {
                let received = self.snapshots.receive(stored.description().clone()).unwrap();
                assert!(stored.files().iter().all(|file| received.reuse(file, &stored.data_dir().join(&file.name))));
                SnapshotData::Received(received)
            }
            data => data,
        };
        self.adapter.install_snapshot(meta, data).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        // The adapter's snapshots are of its own type of machine; only the type differs here.
        let current = self.adapter.get_current_snapshot().await?;
        Ok(current.map(|snapshot| Snapshot { meta: snapshot.meta, snapshot: snapshot.snapshot }))
    }
}
