//! A state machine for tests: keys and values in RocksDB, with real checkpoints.
//!
//! A command is `key=value`; its outcome is the value that the key had before. The state lives in `state.<n>`, the pointer
//! file `current` says which; installing a checkpoint makes the next one and moves the pointer.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::{Buf, BufMut, Bytes};
use ncore_raft::{AppliedMark, CommittedEntry, CommittedPayload, Fatal, LogPosition, StateMachine};
use parking_lot::RwLock;
use rocksdb::{DB, Options, WriteBatch, checkpoint::Checkpoint};

pub(crate) struct TestMachine {
    dir: PathBuf,
    open: RwLock<Open>,
}

struct Open {
    generation: u64,
    db: DB,
}

impl TestMachine {
    pub(crate) fn open(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let generation = fs::read_to_string(dir.join("current")).map_or(0, |text| text.parse().unwrap());
        let db = DB::open(&options(), state_dir(dir, generation)).unwrap();
        Self { dir: dir.to_owned(), open: RwLock::new(Open { generation, db }) }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        self.open.read().db.get(user_key(key.as_bytes())).unwrap().map(Bytes::from)
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.open.read().db.prefix_iterator(b"k/").count()
    }
}

impl StateMachine for TestMachine {
    fn applied(&self) -> Result<AppliedMark, Fatal> {
        read_mark(&self.open.read().db)
    }

    fn apply(&self, batch: Vec<CommittedEntry>) -> Result<Vec<Bytes>, Fatal> {
        let open = self.open.read();
        let mut writes = WriteBatch::default();
        let mut fresh = std::collections::HashMap::new();
        let mut outcomes = Vec::new();
        for entry in batch {
            writes.put(POSITION, position_bytes(entry.position));
            outcomes.push(match entry.payload {
                CommittedPayload::Blank => Bytes::new(),
                CommittedPayload::Membership(membership) => {
                    writes.put(MEMBERSHIP, membership);
                    Bytes::new()
                }
                CommittedPayload::Command(command) => {
                    let split = command.iter().position(|byte| *byte == b'=').expect("key=value");
                    let (key, value) = (user_key(&command[..split]), command.slice(split + 1..));
                    writes.put(&key, &value);
                    let stored = open.db.get(&key).map_err(|error| Fatal::new("read", error))?.map(Bytes::from);
                    fresh.insert(key, value).or(stored).unwrap_or_default()
                }
            });
        }
        open.db.write(writes).map_err(|error| Fatal::new("apply", error))?;
        Ok(outcomes)
    }

    fn checkpoint(&self, dir: &Path) -> Result<AppliedMark, Fatal> {
        let failed = |error| Fatal::new("write a checkpoint", error);
        let open = self.open.read();
        Checkpoint::new(&open.db).and_then(|checkpoint| checkpoint.create_checkpoint(dir)).map_err(failed)?;
        read_mark(&DB::open_for_read_only(&options(), dir, false).map_err(failed)?)
    }

    fn install(&self, dir: &Path) -> Result<(), Fatal> {
        let mut open = self.open.write();
        let generation = open.generation + 1;
        let target = state_dir(&self.dir, generation);
        copy_checkpoint(dir, &target).map_err(|error| Fatal::new("copy a checkpoint", error))?;
        let db = DB::open(&options(), &target).map_err(|error| Fatal::new("open the new state", error))?;
        let pointer = self.dir.join("current.new");
        fs::write(&pointer, generation.to_string())
            .and_then(|()| fs::File::open(&pointer)?.sync_all())
            .and_then(|()| fs::rename(&pointer, self.dir.join("current")))
            .map_err(|error| Fatal::new("switch to the new state", error))?;
        let old = std::mem::replace(&mut *open, Open { generation, db });
        drop(old.db);
        fs::remove_dir_all(state_dir(&self.dir, old.generation)).map_err(|error| Fatal::new("remove the old state", error))
    }
}

fn copy_checkpoint(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?.path();
        let target = to.join(file.file_name().unwrap());
        if file.extension().is_some_and(|extension| extension == "sst") {
            fs::hard_link(&file, &target)?;
        } else {
            fs::copy(&file, &target)?;
        }
    }
    fs::File::open(to)?.sync_all()
}

fn read_mark(db: &DB) -> Result<AppliedMark, Fatal> {
    let get = |key| db.get(key).map_err(|error| Fatal::new("read the mark", error));
    let position = get(POSITION)?.map(|bytes| {
        let mut bytes = bytes.as_slice();
        LogPosition { term: bytes.get_u64(), node: bytes.get_u64(), index: bytes.get_u64() }
    });
    Ok(AppliedMark { position, membership: get(MEMBERSHIP)?.unwrap_or_default().into() })
}

fn position_bytes(position: LogPosition) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u64(position.term);
    bytes.put_u64(position.node);
    bytes.put_u64(position.index);
    bytes
}

fn user_key(key: &[u8]) -> Vec<u8> {
    [b"k/".as_slice(), key].concat()
}

fn state_dir(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("state.{generation}"))
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.set_prefix_extractor(rocksdb::SliceTransform::create_fixed_prefix(2));
    // Small files that stay, so that a snapshot has several and shares them with the next.
    options.set_write_buffer_size(8 << 20);
    options.set_disable_auto_compactions(true);
    options
}

const POSITION: &[u8] = b"m/position";
const MEMBERSHIP: &[u8] = b"m/membership";
