//! The deadline for the head of a request, at little cost for each request.
//!
//! hyper asks its timer for a new sleep before each head, and lets go of it when the head is there: nearly all of them never come to their end. Here they
//! share one sleep of the connection, which is left as it is as long as it ends no later than is wanted: it then wakes the connection for
//! nothing, once in a deadline, and is set anew.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use hyper::rt;
use tokio::time;

/// The timer of one connection, whose sleeps are waited for one at a time, in one task.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarm(Arc<Mutex<Option<Pin<Box<time::Sleep>>>>>);

/// A sleep that shares the one of its connection.
struct Deadline {
    alarm: Alarm,
    at: time::Instant,
}

impl rt::Timer for Alarm {
    fn sleep(&self, duration: std::time::Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Deadline { alarm: self.clone(), at: deadline.into() })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl rt::Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // It is this task's alone: nobody is waited for.
        let mut shared = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = shared.get_or_insert_with(|| Box::pin(time::sleep_until(self.at)));
        if sleep.deadline() > self.at {
            sleep.as_mut().reset(self.at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= self.at {
                return Poll::Ready(());
            }
            // That was the end of an earlier one.
            sleep.as_mut().reset(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::rt::Timer as _;
    use tokio::time::{Instant, timeout};

    use super::Alarm;

    #[tokio::test(start_paused = true)]
    async fn each_sleep_ends_at_its_deadline_whatever_was_waited_for_before() {
        let (alarm, began) = (Alarm::default(), Instant::now());
        let at = |seconds: u64| alarm.sleep_until((began + Duration::from_secs(seconds)).into());
        for (given_up_at, deadline) in [(1, 10), (2, 11), (4, 30), (12, 20)] {
            let pause = Duration::from_secs(given_up_at) - began.elapsed();
            assert!(timeout(pause, at(deadline)).await.is_err(), "{deadline}");
            assert_eq!(began.elapsed().as_secs(), given_up_at);
        }
        // Beside an earlier one, a later one, and one that is over.
        for (deadline, ends) in [(35, 35), (40, 40), (39, 40), (45, 45)] {
            at(deadline).await;
            assert_eq!(began.elapsed().as_secs(), ends, "{deadline}");
        }
        at(50).await;
        let pause = Duration::from_secs(5);
        assert!(timeout(pause, at(100)).await.is_err());
        at(60).await;
        assert_eq!(began.elapsed().as_secs(), 60, "an earlier one than the last");
    }
}
