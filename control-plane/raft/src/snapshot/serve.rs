//! Sending one file of a snapshot.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, stream};
use ncore_proto::raft::v1 as pb;
use tokio::task;

use super::{manifest::FileDigest, store::SnapshotStore, stored::StoredSnapshot};

/// The file from `offset` to its end, read as fast as the receiver takes it and the node's rate allows. The snapshot is held until the stream ends.
pub(crate) async fn file_chunks(
    snapshots: Arc<SnapshotStore>,
    stored: Arc<StoredSnapshot>,
    file: &FileDigest,
    offset: u64,
) -> io::Result<impl Stream<Item = io::Result<pb::FetchChunk>> + Send + use<>> {
    let path = stored.data_dir().join(&file.name);
    let size = file.size;
    let opened = task::spawn_blocking(move || File::open(path)).await.map_err(io::Error::other)??;
    let opened = Arc::new(opened);
    Ok(stream::try_unfold(offset, move |offset| {
        let (opened, snapshots, held) = (Arc::clone(&opened), Arc::clone(&snapshots), Arc::clone(&stored));
        async move {
            let length = usize::try_from(size.saturating_sub(offset)).unwrap_or(CHUNK).min(CHUNK);
            if length == 0 {
                return Ok(None);
            }
            snapshots.may_send(length as u64).await;
            let data = task::spawn_blocking(move || read_at(&opened, offset, length)).await.map_err(io::Error::other)??;
            snapshots.count_sent(data.len() as u64);
            drop(held);
            let next = offset + data.len() as u64;
            Ok(Some((pb::FetchChunk { offset, data }, next)))
        }
    }))
}

fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, offset)?;
    Ok(data.into())
}

const CHUNK: usize = 256 << 10;
