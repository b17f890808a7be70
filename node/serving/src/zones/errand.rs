//! An errand: work that goes on whoever waits for it, and is driven by who waits as long as somebody does.
//!
//! ```text
//!   polled ──► the work has its answer ──► the answer; what is left of the work goes on in a task
//!      │ dropped before that
//!      └────────────────────────────────► the work goes on in a task
//! ```
//! A task for each would cost more than what is done in most of them: it has to be made, put into a queue, and to wake who waits for it. So there is one
//! only where somebody who is served meanwhile, or who went away, cannot drive the work.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use tokio::{runtime::Handle, sync::oneshot};

/// Work that has one answer, before it ends or when it does.
pub(crate) struct Errand<T> {
    /// There until it has ended or has a task of its own.
    work: Option<BoxFuture<'static, ()>>,
    answer: oneshot::Receiver<T>,
}

impl<T> Errand<T> {
    /// Of `work`, which is handed the place for its answer.
    pub(crate) fn new<W>(work: impl FnOnce(oneshot::Sender<T>) -> W) -> Self
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        Self { work: Some(Box::pin(work(sender))), answer }
    }

    /// Has it done in a task of its own, for who waits but may not come to drive it: a body is asked for more only when its viewer takes it.
    pub(crate) fn apart(mut self) -> Self {
        self.detach();
        self
    }

    /// Has it done without waiting for it.
    pub(crate) fn set_off(self) {
        drop(self);
    }

    fn detach(&mut self) {
        // Without a runtime the process ends.
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

impl<T> Future for Errand<T> {
    /// `None` if the work ended without an answer.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // Taken out, so that work that panics is not polled again.
        if let Some(mut work) = self.work.take()
            && work.as_mut().poll(cx).is_pending()
        {
            self.work = Some(work);
        }
        let answer = ready!(Pin::new(&mut self.answer).poll(cx)).ok();
        self.detach();
        Poll::Ready(answer)
    }
}

impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        self.detach();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use futures_util::FutureExt;
    use tokio::{sync::Notify, time::timeout};

    use super::Errand;

    /// Work in two steps, each of which is begun by a notification; the answer is between them.
    fn errand(go: &Arc<Notify>, done: &Arc<AtomicUsize>) -> Errand<u8> {
        let (go, done) = (Arc::clone(go), Arc::clone(done));
        Errand::new(|answer| async move {
            go.notified().await;
            done.fetch_add(1, Ordering::SeqCst);
            let _ = answer.send(7);
            go.notified().await;
            done.fetch_add(1, Ordering::SeqCst);
        })
    }

    async fn until(done: &AtomicUsize, steps: usize) {
        let wait = async {
            while done.load(Ordering::SeqCst) < steps {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), wait).await.expect("the work goes on");
    }

    #[tokio::test]
    async fn it_is_driven_by_who_waits_and_goes_on_after_the_answer() {
        let (go, done) = <(Arc<Notify>, Arc<AtomicUsize>)>::default();
        let mut errand = errand(&go, &done);
        assert_eq!((&mut errand).now_or_never(), None);
        go.notify_one();
        tokio::task::yield_now().await;
        assert_eq!(done.load(Ordering::SeqCst), 0, "nobody drives it");
        assert_eq!(errand.await, Some(7));
        go.notify_one();
        until(&done, 2).await;
    }

    #[tokio::test]
    async fn it_goes_on_if_nobody_waits_any_more() {
        let (go, done) = <(Arc<Notify>, Arc<AtomicUsize>)>::default();
        let mut waited = errand(&go, &done);
        assert_eq!((&mut waited).now_or_never(), None);
        drop(waited);
        go.notify_one();
        until(&done, 1).await;
        go.notify_one();
        until(&done, 2).await;
        errand(&go, &done).set_off();
        go.notify_one();
        until(&done, 3).await;
        go.notify_one();
        until(&done, 4).await;
    }

    #[tokio::test]
    async fn it_goes_on_apart_from_who_waits_and_does_not_come() {
        let (go, done) = <(Arc<Notify>, Arc<AtomicUsize>)>::default();
        let waited = errand(&go, &done).apart();
        go.notify_one();
        until(&done, 1).await;
        go.notify_one();
        until(&done, 2).await;
        assert_eq!(waited.await, Some(7));
    }

    #[tokio::test]
    async fn work_without_an_answer_gives_none() {
        assert_eq!(Errand::<u8>::new(|_| async {}).await, None);
    }

    #[tokio::test]
    async fn work_that_panics_is_not_gone_on_with() {
        let dropped = Arc::new(());
        let held = Arc::clone(&dropped);
        let errand = Errand::<u8>::new(|_| async move {
            let _held = held;
            panic!("as it is meant to");
        });
        let waited = std::panic::AssertUnwindSafe(errand).catch_unwind().await;
        assert!(waited.is_err());
        assert_eq!(Arc::strong_count(&dropped), 1, "what it held is let go of");
    }
}
