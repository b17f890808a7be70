//! Work on the blocking pool.
//!
//! [`offload`] is one piece of work. [`Offload`] is a value that travels to the pool and back for
//! each piece, at most one at a time: the caller prepares the next piece while the pool is busy with
//! this one, and waits when it is ahead by more. That is the whole pipeline of an upload, and the
//! bound of its memory.

use tokio::task::{JoinError, JoinHandle};

use crate::error::StoreError;

/// The runtime is shutting down and the work was not begun.
#[derive(Debug)]
pub(crate) struct Stopped;

impl From<Stopped> for StoreError {
    fn from(_: Stopped) -> Self {
        Self::ShuttingDown
    }
}

/// Runs blocking work off the async threads. The work completes even if this future is dropped.
/// A panic of the work is a panic here.
pub(crate) async fn offload<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Stopped> {
    tokio::task::spawn_blocking(work).await.map_err(stopped)
}

fn stopped(error: JoinError) -> Stopped {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Stopped,
    }
}

/// A value that is worked on by the blocking pool, one job at a time.
pub(crate) struct Offload<T> {
    state: State<T>,
}

enum State<T> {
    Idle(T),
    Running(JoinHandle<(T, Result<(), StoreError>)>),
    Lost,
}

impl<T: Send + 'static> Offload<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { state: State::Idle(value) }
    }

    /// Waits for the job in flight, and starts the next one without waiting for it. An error is that
    /// of the job before; the new one was not started then.
    pub(crate) async fn submit(&mut self, job: impl FnOnce(&mut T) -> Result<(), StoreError> + Send + 'static) -> Result<(), StoreError> {
        self.settle().await?;
        let mut value = self.take()?;
        self.state = State::Running(tokio::task::spawn_blocking(move || {
            let result = job(&mut value);
            (value, result)
        }));
        Ok(())
    }

    /// Waits for the job in flight, and gives the value back after it.
    /// Cancel-safe: the job stays known, and the next call waits for it again.
    pub(crate) async fn settle(&mut self) -> Result<&mut T, StoreError> {
        if let State::Running(job) = &mut self.state {
            match job.await {
                Ok((value, result)) => {
                    self.state = State::Idle(value);
                    result?;
                }
                Err(error) => {
                    self.state = State::Lost;
                    return Err(stopped(error).into());
                }
            }
        }
        match &mut self.state {
            State::Idle(value) => Ok(value),
            State::Running(_) | State::Lost => Err(StoreError::ShuttingDown),
        }
    }

    /// Waits for the job in flight and takes the value out.
    pub(crate) async fn into_inner(mut self) -> Result<T, StoreError> {
        self.settle().await?;
        self.take()
    }

    fn take(&mut self) -> Result<T, StoreError> {
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(value) => Ok(value),
            State::Running(_) | State::Lost => Err(StoreError::ShuttingDown),
        }
    }
}
