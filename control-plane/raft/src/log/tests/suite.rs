//! openraft's own test suite for stores, on the real log store and the real adapter.

use std::{io, sync::Arc};

use futures_util::Stream;
use openraft::{
    OptionalSend, StorageError,
    storage::{EntryResponder, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
};

use super::open;
use crate::{
    closing::closing,
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
        Suite::test_all(Builder).await.unwrap();
    });
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(&dir.path().join("log"));
        let snapshots = Arc::new(SnapshotStore::open(dir.path(), FatalCell::new()).unwrap());
        let machine = Arc::new(TestMachine::open(&dir.path().join("state")));
        let adapter = MachineAdapter::new(machine, Arc::clone(&snapshots), FatalCell::new(), closing().0);
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
