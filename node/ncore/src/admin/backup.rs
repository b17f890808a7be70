//! A checkpoint of the state, streamed to the operator's command.
//!
//! The checkpoint is made of hard links, so it costs no time and hardly any room, and it stays as it is while the state goes on.
//! It lives as long as its stream: whoever breaks off leaves nothing behind.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ncore_control::{Control, ControlPlane};
use ncore_model::{Query, Revision, state_hash};
use ncore_proto::admin::v1::{BackupFile, BackupHeader, BackupPiece, backup_piece::Piece};
use ncore_replica::{Replica, ReplicaError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::internal;

const DIRECTORY: &str = "backup";
/// Bytes of a file in one piece.
const PIECE: usize = 256 << 10;
/// Pieces that wait to be sent.
const QUEUE: usize = 8;
/// How long to wait for the leader to say what was acknowledged. Without it there is a backup all the same, of what this node has.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(5);

/// Makes backups, one at a time.
pub(super) struct Backups {
    control: Arc<Control>,
    dir: PathBuf,
    node: String,
    turn: Arc<Semaphore>,
}

/// What a backup is sent as.
pub(super) type Pieces = ReceiverStream<Result<BackupPiece, Status>>;

impl Backups {
    /// Makes them below `data_dir`, where a crash may have left one.
    pub(super) fn new(control: Arc<Control>, data_dir: &Path, node: String) -> io::Result<Self> {
        let dir = data_dir.join(DIRECTORY);
        remove(&dir)?;
        Ok(Self { control, dir, node, turn: Arc::new(Semaphore::new(1)) })
    }

    /// Makes one, and begins to send it.
    pub(super) async fn begin(&self) -> Result<Pieces, Status> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => Status::failed_precondition("this node is sending another backup"),
            TryAcquireError::Closed => Status::unavailable("this node is stopping"),
        })?;
        let confirmed = self.control.read_index(CONFIRM_DEADLINE).await.is_ok();
        let checkpoint = Checkpoint { dir: self.dir.clone(), _turn: turn };
        let (replica, node) = (Arc::clone(self.control.replica()), self.node.clone());
        let made = tokio::task::spawn_blocking(move || {
            let header = BackupHeader { node, confirmed, ..checkpoint.make(&replica)? };
            Ok::<_, Status>((checkpoint, header))
        });
        let (checkpoint, header) = made.await.map_err(internal)??;
        let (pieces, stream) = mpsc::channel(QUEUE);
        tokio::task::spawn_blocking(move || {
            let sent = checkpoint.send(header, &pieces);
            // If nobody listens any more there is nobody to tell.
            drop(checkpoint);
            if let Err(error) = sent {
                let _ = pieces.blocking_send(Err(internal(error)));
            }
        });
        Ok(ReceiverStream::new(stream))
    }
}

/// A checkpoint on disk, until it is dropped.
struct Checkpoint {
    dir: PathBuf,
    _turn: OwnedSemaphorePermit,
}

impl Checkpoint {
    fn make(&self, replica: &Replica) -> Result<BackupHeader, Status> {
        remove(&self.dir).map_err(internal)?;
        replica.checkpoint(&self.dir).map_err(internal)?;
        let (revision, cluster, hash) = Replica::read_checkpoint(&self.dir, |view| {
            let cluster = view.cluster().map_err(ReplicaError::Table)?;
            Ok::<_, ReplicaError>((view.revision(), cluster, state_hash(view).map_err(ReplicaError::Table)?))
        })
        .map_err(internal)?;
        let cluster = cluster.ok_or_else(|| Status::unavailable("there is no cluster yet"))?;
        let Revision { lineage, index } = revision;
        Ok(BackupHeader {
            cluster_id: hex::encode(cluster.cluster_id),
            lineage,
            index,
            log_time_ms: cluster.log_time_ms,
            schema_level: cluster.schema_level,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            state_hash: Bytes::copy_from_slice(&hash),
            files: self.files().map_err(internal)?,
            ..BackupHeader::default()
        })
    }

    fn files(&self) -> io::Result<Vec<BackupFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|_| io::Error::other("a file of a checkpoint has an odd name"))?;
            files.push(BackupFile { name, size: entry.metadata()?.len() });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    /// Sends header and files, as fast as they are taken. Ends early, and well, when nobody listens any more.
    fn send(&self, header: BackupHeader, pieces: &mpsc::Sender<Result<BackupPiece, Status>>) -> io::Result<()> {
        let files = header.files.clone();
        let send = |piece| pieces.blocking_send(Ok(BackupPiece { piece: Some(piece) })).is_ok();
        if !send(Piece::Header(header)) {
            return Ok(());
        }
        for file in files {
            let mut reader = File::open(self.dir.join(&file.name))?.take(file.size);
            let mut left = file.size;
            while left > 0 {
                let mut data = Vec::with_capacity(PIECE);
                let read = reader.by_ref().take(PIECE as u64).read_to_end(&mut data)? as u64;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                left -= read;
                if !send(Piece::Data(data.into())) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.dir) {
            tracing::warn!(%error, path = %self.dir.display(), "the files of a backup could not be removed; the next start will");
        }
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
