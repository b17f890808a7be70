//! Runs the tasks of the agent: the first that ends without being told to stops the others, and is named as the cause.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::error::{AgentError, AgentFailure};

/// Tasks that are being gathered.
pub(crate) struct Supervisor {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), AgentError>>,
    names: HashMap<Id, &'static str>,
}

/// Tasks that run. Dropping it aborts them.
pub(crate) struct Supervised {
    stop: CancellationToken,
    failure: watch::Receiver<Option<AgentFailure>>,
    watching: AbortOnDropHandle<()>,
}

impl Supervisor {
    pub(crate) fn new() -> Self {
        Self { stop: CancellationToken::new(), tasks: JoinSet::new(), names: HashMap::new() }
    }

    /// Starts a task. It is to end when the token that it is given is cancelled, and not before.
    pub(crate) fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), AgentError>> + Send + 'static,
    {
        let id = self.tasks.spawn(task(self.stop.clone())).id();
        self.names.insert(id, name);
    }

    /// Watches over the tasks from here on.
    pub(crate) fn watch(self) -> Supervised {
        let (failed, failure) = watch::channel(None);
        let stop = self.stop.clone();
        let watching = AbortOnDropHandle::new(tokio::spawn(self.watch_over(failed)));
        Supervised { stop, failure, watching }
    }

    async fn watch_over(mut self, failed: watch::Sender<Option<AgentFailure>>) {
        while let Some(end) = self.tasks.join_next_with_id().await {
            let Some((id, cause)) = cause_of(end, self.stop.is_cancelled()) else { continue };
            let task = self.names.get(&id).copied().unwrap_or("unknown");
            tracing::error!(task, error = &cause as &dyn std::error::Error, "a task of the agent failed, the others are stopped");
            self.stop.cancel();
            failed.send_if_modified(|first| {
                let is_first = first.is_none();
                if is_first {
                    *first = Some(AgentFailure { task, cause: Arc::new(cause) });
                }
                is_first
            });
        }
    }
}

impl Supervised {
    /// Completes when a task has failed.
    pub(crate) async fn failed(&self) -> AgentFailure {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            // All tasks ended as they were told to.
            _ => std::future::pending().await,
        }
    }

    /// Tells the tasks to end, and aborts those that have not after `patience`. True if none had to be.
    pub(crate) async fn shutdown(self, patience: Duration) -> bool {
        self.stop.cancel();
        timeout(patience, self.watching).await.is_ok()
    }
}

/// Which task ended that should not have, and why.
fn cause_of(end: Result<(Id, Result<(), AgentError>), JoinError>, is_stopping: bool) -> Option<(Id, AgentError)> {
    match end {
        Ok((_, Ok(()))) if is_stopping => None,
        Ok((id, Ok(()))) => Some((id, AgentError::Ended)),
        Ok((id, Err(cause))) => Some((id, cause)),
        Err(error) if error.is_panic() => Some((error.id(), AgentError::Panicked)),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn obedient(stop: CancellationToken) -> Result<(), AgentError> {
        stop.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn the_first_failure_is_named_and_stops_the_others() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn("obedient", obedient);
        supervisor.spawn("panics", |_| async { panic!("on purpose") });
        let supervised = supervisor.watch();
        let failure = timeout(Duration::from_secs(5), supervised.failed()).await.expect("it is told");
        assert_eq!(failure.task, "panics");
        assert!(supervised.shutdown(Duration::from_secs(5)).await, "the obedient one ended by itself");
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_has_failed() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn("short", |_| async { Ok(()) });
        let failure = timeout(Duration::from_secs(5), supervisor.watch().failed()).await.expect("it is told");
        assert!(matches!(*failure.cause, AgentError::Ended), "{failure:?}");
    }

    #[tokio::test]
    async fn stopping_is_bounded() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn("deaf", |_| std::future::pending());
        assert!(!supervisor.watch().shutdown(Duration::from_millis(20)).await);
    }
}
