//! Fetching a snapshot's files from another node.
//!
//! One file at a time, from where its part ends. A broken connection is opened again; what bounds the transfer is not its
//! length but how long and how often nothing arrives. Dropping the future stops it at any point; what was written stays
//! and the next attempt goes on from there.

use std::{sync::Arc, time::Duration};

use ncore_proto::raft::v1 as pb;
use tokio::{sync::watch, task, time};
use tonic::{Code, Status};

use super::{
    disk::DiskError,
    manifest::FileDigest,
    received::{PartialFile, ReceivedSnapshot},
};
use crate::network::{ConnectError, Lane, Peers};

/// Where from, and with how much patience.
pub(crate) struct Puller<'a> {
    pub(crate) peers: &'a Peers,
    pub(crate) source: &'a pb::Member,
    pub(crate) limits: PullLimits,
    /// Bytes present, of all files.
    pub(crate) present: &'a watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PullLimits {
    /// The longest wait for the next bytes.
    pub(crate) idle: Duration,
    /// Attempts in a row that may bring nothing.
    pub(crate) fruitless: u32,
}

/// Why a snapshot could not be fetched. What was fetched stays for the next attempt.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error("the source does not hold the snapshot any more")]
    Gone,
    #[error("the source sent nothing in {attempts} attempts")]
    Silent {
        attempts: u32,
        #[source]
        last: FetchError,
    },
    #[error("the file `{0}` arrived damaged again and again")]
    Damaged(String),
    #[error("could not write {}", .0.path.display())]
    Disk(#[source] DiskErrorSource),
}

/// Why one attempt ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no connection")]
    Connect(#[source] ConnectError),
    #[error("the stream broke")]
    Stream(#[source] Box<Status>),
    #[error("nothing arrived in time")]
    Idle,
    #[error("the stream ended early, or sent what was not asked for")]
    Malformed,
}

/// A [`DiskError`] in the place of an error's source.
#[derive(Debug, thiserror::Error)]
#[error("{}", .source)]
pub(crate) struct DiskErrorSource {
    pub(crate) path: std::path::PathBuf,
    pub(crate) source: std::io::Error,
}

/// How one attempt at a file ended. The part comes back in every case.
enum Attempt {
    Complete(PartialFile),
    Broken(PartialFile, FetchError),
}

impl Puller<'_> {
    /// Fetches every file that is not complete yet.
    pub(crate) async fn pull(&self, received: &Arc<ReceivedSnapshot>) -> Result<(), PullError> {
        for file in &received.description().files {
            if !received.has(file) {
                self.pull_file(received, file).await?;
            }
        }
        Ok(())
    }

    async fn pull_file(&self, received: &Arc<ReceivedSnapshot>, file: &FileDigest) -> Result<(), PullError> {
        let reference = &received.description().reference;
        let (mut fruitless, mut damaged) = (0, 0);
        let mut part = open_part(received, file).await?;
        loop {
            let before = part.length();
            match self.fetch(reference, file, part).await? {
                Attempt::Complete(complete) => {
                    if finish(received, file, complete).await? {
                        return Ok(());
                    }
                    damaged += 1;
                    if damaged >= DAMAGED {
                        return Err(PullError::Damaged(file.name.clone()));
                    }
                    self.present.send_modify(|present| *present = present.saturating_sub(file.size));
                    part = open_part(received, file).await?;
                }
                Attempt::Broken(_, FetchError::Stream(status)) if status.code() == Code::NotFound => return Err(PullError::Gone),
                Attempt::Broken(rest, error) => {
                    fruitless = if rest.length() > before { 0 } else { fruitless + 1 };
                    tracing::debug!(file = file.name, offset = rest.length(), error = %error, "snapshot transfer interrupted");
                    if fruitless >= self.limits.fruitless {
                        return Err(PullError::Silent { attempts: fruitless, last: error });
                    }
                    part = rest;
                    time::sleep(PAUSE * (fruitless + 1)).await;
                }
            }
        }
    }

    /// One attempt: from the part's end to the file's.
    async fn fetch(&self, reference: &str, file: &FileDigest, mut part: PartialFile) -> Result<Attempt, PullError> {
        if part.length() == file.size {
            return Ok(Attempt::Complete(part));
        }
        let mut chunks = match self.open_stream(reference, file, part.length()).await {
            Ok(chunks) => chunks,
            Err(error) => return Ok(Attempt::Broken(part, error)),
        };
        while part.length() < file.size {
            let chunk = match time::timeout(self.limits.idle, chunks.message()).await {
                Err(_) => return Ok(Attempt::Broken(part, FetchError::Idle)),
                Ok(Err(status)) => return Ok(Attempt::Broken(part, FetchError::Stream(Box::new(status)))),
                Ok(Ok(None)) => return Ok(Attempt::Broken(part, FetchError::Malformed)),
                Ok(Ok(Some(chunk))) => chunk,
            };
            let arrived = chunk.data.len() as u64;
            if chunk.offset != part.length() || arrived == 0 || part.length() + arrived > file.size {
                return Ok(Attempt::Broken(part, FetchError::Malformed));
            }
            part = blocking(move || part.append(&chunk.data).map(|()| part)).await?;
            self.present.send_modify(|present| *present += arrived);
        }
        Ok(Attempt::Complete(part))
    }

    async fn open_stream(&self, reference: &str, file: &FileDigest, offset: u64) -> Result<tonic::Streaming<pb::FetchChunk>, FetchError> {
        let open = async {
            let client = self.peers.client(self.source.node, &self.source.address, Lane::Bulk).await;
            let mut client = client.map_err(FetchError::Connect)?;
            let request = pb::FetchRequest {
                route: Some(self.peers.route_to(self.source.node)),
                reference: reference.to_owned(),
                file: file.name.clone(),
                offset,
            };
            let stream = client.fetch_snapshot(request).await.map_err(|status| FetchError::Stream(Box::new(status)))?;
            Ok(stream.into_inner())
        };
        time::timeout(self.limits.idle, open).await.unwrap_or(Err(FetchError::Idle))
    }
}

async fn open_part(received: &Arc<ReceivedSnapshot>, file: &FileDigest) -> Result<PartialFile, PullError> {
    let (received, file) = (Arc::clone(received), file.clone());
    blocking(move || received.open_part(&file)).await
}

async fn finish(received: &Arc<ReceivedSnapshot>, file: &FileDigest, part: PartialFile) -> Result<bool, PullError> {
    let (received, file) = (Arc::clone(received), file.clone());
    blocking(move || received.complete(&file, part)).await
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> Result<T, DiskError> + Send + 'static) -> Result<T, PullError> {
    task::spawn_blocking(call).await.expect("file operations do not panic").map_err(PullError::from)
}

impl From<DiskError> for PullError {
    fn from(error: DiskError) -> Self {
        Self::Disk(DiskErrorSource { path: error.path, source: error.source })
    }
}

/// Wrong content this often is not an accident of the network any more.
const DAMAGED: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);
