//! The stream of the cluster's page: every two seconds, to a bounded number of administrators. Before each message it is looked whether
//! its viewer still is one: who was removed sees nothing that came later.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body::Frame;
use ncore_domain::Domain;
use tokio::{
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;

use super::{
    access,
    fleet::{EVERY, Fleet},
    snapshot::ClusterSnapshot,
    tail::Tail,
};
use crate::BoxError;

/// The most viewers at a time.
pub(crate) const VIEWERS_MAX: usize = 64;
/// How often it is looked whether somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What a viewer is told last, when it is signed out.
const ENDED: &str = "event: ended\ndata: {}\n\n";

/// The whole cluster, for those who look.
pub(crate) struct ClusterLive {
    domain: Arc<Domain>,
    fleet: Fleet,
    tail: Tail,
    news: watch::Sender<Bytes>,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl ClusterLive {
    pub(crate) fn new(domain: Arc<Domain>, fleet: Fleet, tail: Tail, stopping: CancellationToken) -> Self {
        let (news, _) = watch::channel(Bytes::new());
        Self { domain, fleet, tail, news, places: Arc::new(Semaphore::new(VIEWERS_MAX)), stopping }
    }

    /// Writes the news until the node stops; nothing while nobody looks.
    pub(crate) async fn run(&self) {
        let both = async { tokio::join!(self.write_news(), self.follow_logs()) };
        self.stopping.run_until_cancelled(both).await;
    }

    /// The cluster as it is now.
    pub(crate) async fn snapshot(&self) -> ClusterSnapshot {
        tokio::join!(self.fleet.hear(), self.tail.find());
        self.of_now()
    }

    /// A stream for the viewer with this session; `None` if there are as many as may be.
    pub(crate) fn watch(&self, session: String) -> Option<impl Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + 'static> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let first = stream::iter([self.message()]);
        let news = first.chain(WatchStream::from_changes(self.news.subscribe()));
        let domain = Arc::clone(&self.domain);
        let checked = news.then(move |message| {
            let (domain, session) = (Arc::clone(&domain), session.clone());
            async move { (access::who(&domain, Some(&session)).await, message) }
        });
        let frames = checked.scan(false, move |ended, (who, message)| {
            let _held = &place;
            let is_over = std::mem::replace(ended, !matches!(who, Ok(Some(_))));
            let told = match who {
                _ if is_over => None,
                Ok(Some(_)) => Some(message),
                Ok(None) => Some(Bytes::from_static(ENDED.as_bytes())),
                // It cannot be known whether the viewer still is one: the stream ends, and the page comes back for another.
                Err(_) => None,
            };
            std::future::ready(told.map(|message| Ok(Frame::data(message))))
        });
        Some(frames.take_until(self.stopping.clone().cancelled_owned()))
    }

    async fn write_news(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.somebody_looks() {
                self.fleet.hear().await;
                self.news.send_replace(self.message());
            }
        }
    }

    async fn follow_logs(&self) {
        loop {
            if self.somebody_looks() {
                self.tail.follow(|| self.somebody_looks()).await;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn somebody_looks(&self) -> bool {
        self.news.receiver_count() > 0
    }

    fn of_now(&self) -> ClusterSnapshot {
        ClusterSnapshot::of(self.domain.now_s() * 1_000, &self.fleet.known(), &self.tail.shown())
    }

    fn message(&self) -> Bytes {
        let json = serde_json::to_string(&self.of_now()).unwrap_or_default();
        Bytes::from(format!("data: {json}\n\n"))
    }
}
