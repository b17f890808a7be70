//! Where a session takes entries from: the ring, and behind it the log.

use std::time::Duration;

use ncore_raft::EntriesError;
use tokio::time::sleep;

use super::{Hub, frame::Frame, ring::Read};

/// How long to wait for the log to know that what was applied is committed.
const LOOK: Duration = Duration::from_millis(5);

/// What there is for a child.
#[derive(Debug)]
pub(super) enum Supply {
    /// These frames, which begin at the place that was asked for.
    Frames(Vec<Frame>),
    /// Nothing new yet.
    Nothing,
    /// The entry is not here any more; this is the first that is.
    Compacted {
        /// The first index that is here.
        oldest: u64,
    },
    /// The node is stopping.
    Stopped,
}

impl Hub {
    /// Entries from `next` on.
    pub(super) async fn supply(&self, next: u64) -> Supply {
        match self.ring.read(next, self.settings.read_bytes) {
            Read::Nothing => Supply::Nothing,
            Read::Before { oldest } => self.supply_from_log(next, oldest).await,
            Read::Frames(mut frames) => {
                // Only of the first frame the child may have a part.
                match frames.first().map(|frame| frame.from(next)) {
                    Some(Ok(Some(cut))) => frames[0] = cut,
                    _ => return Supply::Stopped,
                }
                Supply::Frames(frames)
            }
        }
    }

    async fn supply_from_log(&self, next: u64, oldest: u64) -> Supply {
        let Some(raft) = self.raft.get() else { return Supply::Compacted { oldest } };
        match raft.committed_entries(next, self.settings.read_bytes).await {
            Ok(entries) if entries.is_empty() => {
                // They are applied, so they are committed, and the engine is about to say so.
                sleep(LOOK).await;
                Supply::Frames(Vec::new())
            }
            Ok(entries) => Supply::Frames(Frame::encode(&entries).into_iter().collect()),
            Err(EntriesError::Purged { first }) => Supply::Compacted { oldest: first },
            Err(EntriesError::Stopped) => Supply::Stopped,
        }
    }
}
