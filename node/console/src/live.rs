//! The stream of figures (server-sent events): once a second, to a bounded number of viewers.
//!
//! A snapshot is written once for all of them. A viewer that is slow misses snapshots and never gets an old one; the listener cuts off
//! those that take nothing. When the node is about to stop, streams end, so that nobody waits for them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use ncore_telemetry::{AccessLog, Events, History};
use tokio::{
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;

use crate::{BoxError, snapshot::Snapshot};

/// The most viewers at a time.
pub const VIEWERS_MAX: usize = 256;
/// How often there is news. It is also the sign of life of a stream.
const EVERY: Duration = Duration::from_secs(1);
/// What a viewer is told first: after how many milliseconds to come back when the stream ends.
const RETRY: &str = "retry: 3000\n\n";

/// What the news is made of.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) history: Arc<History>,
    pub(crate) events: Arc<Events>,
    pub(crate) access: Arc<AccessLog>,
}

pub(crate) struct Live {
    figures: Figures,
    news: watch::Sender<Bytes>,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Live {
    pub(crate) fn new(figures: Figures, stopping: CancellationToken) -> Self {
        let (news, _) = watch::channel(Bytes::new());
        Self { figures, news, places: Arc::new(Semaphore::new(VIEWERS_MAX)), stopping }
    }

    /// Writes the news until the node stops; nothing while nobody looks.
    pub(crate) async fn run(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            if self.news.receiver_count() > 0 {
                self.news.send_replace(self.message());
            }
        }
    }

    /// A stream for one viewer; `None` if there are as many as may be.
    pub(crate) fn watch(&self) -> Option<impl futures_util::Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + 'static> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let first = stream::iter([Bytes::from_static(RETRY.as_bytes()), self.message()]);
        let news = WatchStream::from_changes(self.news.subscribe());
        let frames = first.chain(news).map(move |message| {
            let _held = &place;
            Ok(Frame::data(message))
        });
        Some(frames.take_until(self.stopping.clone().cancelled_owned()))
    }

    fn message(&self) -> Bytes {
        let Figures { history, events, access } = &self.figures;
        let snapshot = Snapshot::of(history, events, access);
        let json = serde_json::to_string(&snapshot).unwrap_or_default();
        Bytes::from(format!("data: {json}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Live, VIEWERS_MAX};
    use futures_util::StreamExt;
    use std::sync::Arc;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn viewers_are_bounded_and_a_place_comes_back() {
        let live = Live::new(Figures::default(), CancellationToken::new());
        let mut viewers: Vec<_> = (0..VIEWERS_MAX).map(|_| live.watch().expect("a place")).collect();
        assert!(live.watch().is_none());
        viewers.pop();
        assert!(live.watch().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_has_news_each_second_and_ends_when_the_node_stops() {
        let stopping = CancellationToken::new();
        let live = Arc::new(Live::new(Figures::default(), stopping.clone()));
        let running = tokio::spawn({
            let live = Arc::clone(&live);
            async move { live.run().await }
        });
        let mut viewer = Box::pin(live.watch().expect("a place"));
        for expected in ["retry: ", "data: {", "data: {", "data: {"] {
            let frame = viewer.next().await.expect("goes on").expect("a frame").into_data().expect("data");
            assert!(frame.starts_with(expected.as_bytes()), "{frame:?}");
            assert!(frame.ends_with(b"\n\n"));
        }
        stopping.cancel();
        assert!(viewer.next().await.is_none());
        running.await.expect("ends");
    }
}
