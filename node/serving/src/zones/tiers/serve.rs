//! Answering another node: as a viewer's request is answered, with the revision that the answer holds from.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use ncore_store::cached::EntryKey;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

use super::{AskedAs, Handed, PassedBy, Source, Tier, TierAnswer, TierAsk};
use crate::{
    serve::ViewAge,
    zones::{
        engine::{Engine, Refusal, ZoneServer},
        upstream::Asking,
        zone::Zone,
    },
};

/// How long a node waits to have applied what the asker has.
const CATCH_UP: Duration = Duration::from_millis(300);
/// How often it looks.
const CATCH_UP_STEP: Duration = Duration::from_millis(3);
/// The most requests of other nodes at once.
pub(crate) const ASKERS_MAX: usize = 4_096;

/// A request of another node that is going to be answered.
pub struct Admitted {
    engine: Arc<Engine>,
    zone: Arc<Zone>,
    ask: TierAsk,
    turn: OwnedSemaphorePermit,
    came: Instant,
}

impl ZoneServer {
    /// Takes a request of another node, or says at once why not: it waits for nothing but for this node to have applied what the asker has.
    ///
    /// # Errors
    /// [`PassedBy`]: the asker is to go on without this node.
    pub async fn admit(&self, ask: TierAsk) -> Result<Admitted, PassedBy> {
        let (engine, came) = (self.engine(), Instant::now());
        let turn = Arc::clone(&engine.askers).try_acquire_owned().map_err(|_| PassedBy::Busy)?;
        let end = came + CATCH_UP;
        while engine.view.revision() < ask.revision {
            if Instant::now() >= end {
                return Err(PassedBy::Behind);
            }
            sleep(CATCH_UP_STEP).await;
        }
        // After that, for it may have been behind for a long time.
        if engine.view.age() == ViewAge::Stale {
            return Err(PassedBy::Fenced);
        }
        let zone = self.zone(&ask.zone_host).filter(|zone| zone.id == ask.zone).ok_or(PassedBy::Unknown)?;
        Ok(Admitted { engine: Arc::clone(engine), zone, ask, turn, came })
    }

    /// Ends what this node keeps under these keys, and what it asks for under them: a write through another node has.
    pub async fn end(&self, keys: &[EntryKey]) {
        for key in keys {
            self.engine().end(key).await;
        }
    }
}

impl Admitted {
    /// Answers it.
    ///
    /// # Errors
    /// [`PassedBy`]: there is no answer.
    pub async fn answer(self) -> Result<TierAnswer, PassedBy> {
        let Self { engine, zone, ask, turn, came } = self;
        let asked_as = if ask.tier == Tier::Shield { AskedAs::Shield } else { AskedAs::Region };
        let TierAsk { method, target, headers, host, remote, secure, version, id, informational, .. } = ask;
        let asking = Asking { method, target, headers: Asking::fields(headers), host, remote, secure, version };
        match engine.answer_node(&zone, asking, &id, asked_as, informational).await {
            Ok((used, response)) => {
                engine.metrics.handed_down(used);
                let handed = response.extensions().get().cloned().unwrap_or(Handed::here(0, Source::origin(engine.own)));
                let handed = Handed { held: came.elapsed(), ..handed };
                let response = response.map(|body| {
                    body.map_frame(move |frame| {
                        // It is held until the body ends.
                        let _held = &turn;
                        frame
                    })
                    .map_err(Into::into)
                    .boxed_unsync()
                });
                Ok(TierAnswer::Response(response, handed))
            }
            Err(Refusal::Origin(error)) => Ok(TierAnswer::Failed(error.kind())),
            Err(_) => Err(PassedBy::Cut),
        }
    }
}
