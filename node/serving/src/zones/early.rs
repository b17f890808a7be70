//! Interim responses of an origin (1xx, RFC 9110 §15.2) on their way to the viewer for whom it was asked.
//!
//! They go to that viewer alone, as they come, and are not kept: who follows a flight gets its final response. 100 is between this node
//! and the origin, which is never asked to wait for it; 101 is the end of a request that asked for another protocol.

use std::{future::Future, pin::pin, sync::Arc};

use http::{HeaderMap, StatusCode};
use ncore_cache::validation;
use ncore_origin::OnInformational;
use tokio::sync::mpsc;

use crate::listener::Interim;

/// The most that wait for a viewer. Those that come while it takes none are not sent.
const WAITING_MAX: usize = 8;

type EarlyHead = (StatusCode, HeaderMap);

/// The viewer's end.
pub(crate) struct Early {
    viewer: Option<(Interim, mpsc::Receiver<EarlyHead>)>,
}

impl Early {
    /// The way to a viewer, and what the client of origins is told. A viewer who cannot be sent any has none.
    pub(crate) fn to(viewer: Option<&Interim>) -> (Self, Option<OnInformational>) {
        let Some(viewer) = viewer else { return (Self { viewer: None }, None) };
        let (heads, receiver) = mpsc::channel(WAITING_MAX);
        let take = move |status: StatusCode, headers: &HeaderMap| {
            if status != StatusCode::CONTINUE {
                let mut headers = headers.clone();
                validation::strip_hops(&mut headers);
                let _ = heads.try_send((status, headers));
            }
        };
        (Self { viewer: Some((viewer.clone(), receiver)) }, Some(OnInformational(Arc::new(take))))
    }

    /// Hands them on until the final response is there, and what has come by then.
    pub(crate) async fn until<T>(self, answer: impl Future<Output = T>) -> T {
        let Some((viewer, mut heads)) = self.viewer else { return answer.await };
        let mut answer = pin!(answer);
        let answer = loop {
            tokio::select! {
                biased;
                Some((status, headers)) = heads.recv() => viewer.send(status, &headers).await,
                answer = &mut answer => break answer,
            }
        };
        while let Ok((status, headers)) = heads.try_recv() {
            viewer.send(status, &headers).await;
        }
        answer
    }
}
