//! The way back to the client of one request, until its final response.
//!
//! It is shared by the request's [exchange](super::exchange), which sends that response, and by what may say something before it: interim
//! responses of an origin, and the `100 Continue` of a [body](super::upload) that is wanted. None comes after the final one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Response, StatusCode};

/// The way back.
#[derive(Debug)]
pub(in crate::listener) struct Reply(Mutex<State>);

#[derive(Debug)]
struct State {
    /// There until the final response.
    respond: Option<SendResponse<Bytes>>,
    /// How many interim responses may be sent yet.
    interim_left: u32,
}

impl Reply {
    pub(super) fn new(respond: SendResponse<Bytes>) -> Self {
        Self(Mutex::new(State { respond: Some(respond), interim_left: INTERIM_MAX }))
    }

    /// Sends an interim response. One too many, and one that comes too late, is not sent: nobody may rely on any.
    pub(in crate::listener) fn interim(&self, status: StatusCode, headers: &HeaderMap) {
        let mut state = self.state();
        if state.interim_left == 0 {
            return;
        }
        state.interim_left -= 1;
        let Some(respond) = &mut state.respond else { return };
        let mut response = Response::new(());
        *response.status_mut() = status;
        response.headers_mut().clone_from(headers);
        // Fails if the stream is gone, which its exchange will see.
        let _ = respond.send_informational(response);
    }

    /// Sends the head of the final response, with which everything ends that has no body.
    pub(super) fn send(&self, response: Response<()>, ends: bool) -> Result<SendStream<Bytes>, h2::Error> {
        let respond = self.state().respond.take();
        let mut respond = respond.ok_or(h2::Error::from(Reason::INTERNAL_ERROR))?;
        respond.send_response(response, ends)
    }

    /// Completes when the client does not want the response any more, or is gone.
    pub(super) fn poll_unwanted(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state().respond {
            Some(respond) => respond.poll_reset(cx).map(drop),
            None => Poll::Pending,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is an assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client's windows do not hold back heads: an origin that sends them without end would fill the node's memory.
const INTERIM_MAX: u32 = 64;
