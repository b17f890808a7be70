//! Whether the client is still there: one of whom nothing was heard for a while is asked, and has to answer.
//!
//! What counts is what comes whole: a request, a piece of a body, an answer. A client that sends bytes of something that never ends is
//! not heard.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Asks for signs of life.
pub(super) struct Pulse {
    pings: PingPong,
    interval: Duration,
    deadline: Duration,
    timer: Pin<Box<Sleep>>,
    /// How many signs there had been when the timer was set.
    signs: u64,
    is_asked: bool,
}

impl Pulse {
    /// Asks when there was no sign for `interval`; the client has `deadline` to answer.
    pub(super) fn new(pings: PingPong, interval: Duration, deadline: Duration) -> Self {
        Self { pings, interval, deadline, timer: Box::pin(sleep(interval)), signs: 0, is_asked: false }
    }

    /// Completes when the client did not answer in time. `signs` says how many there were of those that are not answers.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>, signs: impl Fn() -> u64) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = signs();
            let has_answered = self.is_asked && self.pings.poll_pong(cx).is_ready();
            let is_heard = mem::replace(&mut self.signs, now) != now || has_answered;
            if !is_heard && self.is_asked {
                return Poll::Ready(());
            }
            let mut next = self.interval;
            if !is_heard {
                next = self.deadline;
                // Fails if an earlier one is not yet answered: then that is what is waited for.
                let _ = self.pings.send_ping(Ping::opaque());
            }
            self.is_asked = !is_heard;
            self.timer.as_mut().reset(Instant::now() + next);
        }
        Poll::Pending
    }
}
