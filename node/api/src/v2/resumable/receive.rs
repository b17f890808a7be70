//! A body that is bytes of an upload.

use axum::body::Body;
use ncore_domain::{Domain, Pieces, Received, Receiver, ResumableError, Seen};
use ncore_model::Upload;
use tokio::task;
use tracing::Instrument;

use super::checksum::Checksum;
use crate::{
    problem::{Kind, Problem},
    v2::message::incoming::Incoming,
};

/// Why bytes were not taken.
pub(super) struct Refused {
    pub(super) problem: Problem,
    /// How many bytes of the upload are there, if another number was expected.
    pub(super) there: Option<u64>,
}

impl From<ResumableError> for Refused {
    fn from(error: ResumableError) -> Self {
        let there = if let ResumableError::Offset { there } = error { Some(there) } else { None };
        Self { problem: error.into(), there }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, there: None }
    }
}

/// Takes a body for an upload that was found. That goes on if the client goes away: what came counts all the same.
pub(super) async fn receive(
    domain: &Domain,
    found: Seen<Upload>,
    offset: u64,
    body: Body,
    checksum: Option<Checksum>,
) -> Result<Received, Refused> {
    let pieces = if checksum.is_some() { Pieces::Whole } else { Pieces::Cut };
    let receiver = domain.uploads().receive(found, offset, pieces)?;
    let taking = task::spawn(take(receiver, Incoming::new(body), checksum).in_current_span());
    taking.await.unwrap_or_else(|error| Err(Problem::internal(&error).into()))
}

async fn take(mut receiver: Receiver, mut body: Incoming, mut checksum: Option<Checksum>) -> Result<Received, Refused> {
    loop {
        match body.chunk().await {
            Ok(Some(bytes)) => {
                if let Some(checksum) = &mut checksum {
                    checksum.update(&bytes);
                }
                receiver.write(bytes).await?;
            }
            Ok(None) => break,
            // Bytes without a checksum count as far as they came.
            Err(problem) => {
                if checksum.is_none() {
                    receiver.finish().await?;
                }
                return Err(problem.into());
            }
        }
    }
    if checksum.is_some_and(|checksum| !checksum.holds()) {
        return Err(Problem::new(Kind::ChecksumMismatch, "nothing of this piece was kept").into());
    }
    Ok(receiver.finish().await?)
}
