//! Reads of the replica off the async threads.

use crate::error::AgentError;

/// Runs `read` on the blocking pool. A panic of it is a panic here.
pub(crate) async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T, AgentError> + Send + 'static) -> Result<T, AgentError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
