//! Commands into the log.
//!
//! A proposal has two phases. Until openraft has taken it, giving up is safe: nothing was written. From then on only the
//! answer tells; without one the command may or may not commit, and the caller is told exactly that.

use bytes::Bytes;
use futures_util::StreamExt;
use openraft::{
    errors::ClientWriteError,
    raft::{WriteResponse, WriteResult},
};
use tokio::time::{self, Instant};

use super::{
    Proposed,
    retry::{Deflected, Pauses, deflected},
};
use crate::{
    convert,
    error::ProposeError,
    types::{Command, Raft, TypeConfig},
};

pub(crate) struct Proposer<'a> {
    pub(crate) raft: &'a Raft,
    pub(crate) command_bytes: usize,
}

/// What became of one attempt.
enum Attempt {
    /// Every command has its result.
    Settled(Vec<Result<Proposed, ProposeError>>),
    /// Nothing was written.
    Deflected(Deflected),
}

impl Proposer<'_> {
    pub(crate) async fn propose(
        &self,
        commands: Vec<Bytes>,
        deadline: Instant,
    ) -> Result<Vec<Result<Proposed, ProposeError>>, ProposeError> {
        if commands.iter().any(|command| command.len() > self.command_bytes) {
            return Err(ProposeError::TooLarge { limit: self.command_bytes });
        }
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut pauses = Pauses::until(deadline);
        loop {
            match self.attempt(&commands, deadline).await? {
                Attempt::Settled(results) => return Ok(results),
                Attempt::Deflected(Deflected::To(leader)) => return Err(ProposeError::NotLeader { leader }),
                Attempt::Deflected(Deflected::Transient) if pauses.pause().await => {}
                Attempt::Deflected(Deflected::Transient) => return Err(ProposeError::Unavailable),
            }
        }
    }

    async fn attempt(&self, commands: &[Bytes], deadline: Instant) -> Result<Attempt, ProposeError> {
        let submit = self.raft.client_write_many(commands.iter().cloned().map(Command));
        let mut answers = match time::timeout_at(deadline, submit).await {
            // The engine's queue is full and did not take the message.
            Err(_) => return Err(ProposeError::Unavailable),
            Ok(Err(_)) => return Err(ProposeError::Stopped),
            Ok(Ok(answers)) => answers,
        };
        let mut results = Vec::with_capacity(commands.len());
        while results.len() < commands.len() {
            match time::timeout_at(deadline, answers.next()).await {
                // Accepted or refused as one: the first answer speaks for all.
                Ok(Some(Ok(Err(ClientWriteError::ForwardToLeader(forward))))) if results.is_empty() => {
                    return Ok(Attempt::Deflected(deflected(&forward, *self.raft.node_id())));
                }
                Ok(Some(Ok(answer))) => results.push(proposed(answer)),
                Ok(Some(Err(_)) | None) | Err(_) => results.resize(commands.len(), Err(ProposeError::Unknown)),
            }
        }
        Ok(Attempt::Settled(results))
    }
}

fn proposed(answer: WriteResult<TypeConfig>) -> Result<Proposed, ProposeError> {
    match answer {
        Ok(WriteResponse { log_id, response }) => Ok(Proposed { position: convert::position_of(&log_id), outcome: response.0 }),
        Err(_) => Err(ProposeError::Unknown),
    }
}
