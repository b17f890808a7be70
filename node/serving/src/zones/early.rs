//! Interim responses of an origin (1xx, RFC 9110 §15.2) on their way to the viewer for whom it was asked.
//!
//! They go to that viewer alone, as they come, and are not kept: who follows a flight gets its final response. 100 is between this node
//! and the origin, which is never asked to wait for it; 101 is the end of a request that asked for another protocol.
//!
//! Hardly any origin sends one. So there is one small allocation for each request, and nothing more until one comes.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::future::join;
use http::{HeaderMap, StatusCode};
use ncore_cache::validation;
use ncore_origin::OnInformational;

use crate::listener::Interim;

/// The most that wait for a viewer. Those that come while it takes none are not sent.
const WAITING_MAX: usize = 8;

/// The viewer's end.
pub(crate) struct Early {
    viewer: Option<(Interim, Arc<Heads>)>,
}

/// Heads on their way to a viewer.
#[derive(Debug, Default)]
struct Heads(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    heads: VecDeque<(StatusCode, HeaderMap)>,
    /// The final response is there: no more are waited for.
    is_over: bool,
    viewer: Option<Waker>,
}

impl Early {
    /// The way to a viewer, and what the client of origins is told. A viewer who cannot be sent any has none.
    pub(crate) fn to(viewer: Option<&Interim>) -> (Self, Option<OnInformational>) {
        let Some(viewer) = viewer else { return (Self { viewer: None }, None) };
        let heads = Arc::<Heads>::default();
        let told = Arc::clone(&heads);
        let take = move |status: StatusCode, headers: &HeaderMap| told.add(status, headers);
        (Self { viewer: Some((viewer.clone(), heads)) }, Some(OnInformational(Arc::new(take))))
    }

    /// Hands them on until the final response is there, and what has come by then. A viewer who takes none holds up nothing of what is awaited.
    pub(crate) async fn until<T>(self, answer: impl Future<Output = T>) -> T {
        let Some((viewer, heads)) = self.viewer else { return answer.await };
        let answering = async {
            let answer = answer.await;
            heads.end();
            answer
        };
        let handing_on = async {
            while let Some((status, headers)) = poll_fn(|cx| heads.poll_next(cx)).await {
                viewer.send(status, &headers).await;
            }
        };
        // In this order, so that what hands on sees the end as soon as it is there.
        join(answering, handing_on).await.0
    }
}

impl Heads {
    /// The next one; `None` if there are no more.
    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<(StatusCode, HeaderMap)>> {
        let mut waiting = self.waiting();
        match waiting.heads.pop_front() {
            Some(head) => Poll::Ready(Some(head)),
            None if waiting.is_over => Poll::Ready(None),
            None => {
                waiting.viewer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn add(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::CONTINUE {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.is_over || waiting.heads.len() >= WAITING_MAX {
            return;
        }
        let mut headers = headers.clone();
        validation::strip_hops(&mut headers);
        waiting.heads.push_back((status, headers));
        let viewer = waiting.viewer.take();
        drop(waiting);
        if let Some(viewer) = viewer {
            viewer.wake();
        }
    }

    fn end(&self) {
        self.waiting().is_over = true;
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Every change under the lock is a few assignments.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
