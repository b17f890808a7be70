//! Asking: the tiers one after the other, and then the origin.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http::{HeaderMap, Request, Response};
use ncore_cache::freshness::Times;
use ncore_origin::{OriginError, Retry};
use ncore_store::cached::EntryKey;
use tokio::time::timeout;

use super::{
    AskedAs, Handed, Hop, PassedBy, Source, Tier, TierAnswer, TierAsk, TierLink, TierNode, Tiered, doubts::Doubts, owner::Ranking,
};
use crate::{
    metrics::ServingMetrics,
    serve::ViewAge,
    zones::{
        ask::Ask,
        engine::{Engine, unix_now_s},
        origin::{OriginBody, send},
        upstream::Asking,
        zone::Zone,
    },
};

/// How long a write waits for other nodes to forget what it has ended.
const END_DEADLINE: Duration = Duration::from_secs(1);
/// In a cluster of up to so many nodes a write ends what every node keeps; in a larger one what the owners keep.
const END_EVERYWHERE_MAX: usize = 16;

/// The other nodes, as far as they have answered lately.
pub(crate) struct Tiers {
    link: Arc<dyn TierLink>,
    doubts: Doubts,
}

impl Tiers {
    pub(crate) fn new(link: Arc<dyn TierLink>) -> Self {
        Self { link, doubts: Doubts::default() }
    }

    /// Whom to ask for a key.
    pub(crate) fn hops(&self, zone: &Zone, key: &EntryKey, asked_as: AskedAs) -> Vec<Hop> {
        Ranking::of(zone, key).hops(&self.link.nodes(), &self.link.own(), asked_as, |node| !self.doubts.has(node))
    }

    /// Who owns it in the region of this node, and the shield, whether or not they answer.
    pub(super) fn owners(&self, zone: &Zone, key: &EntryKey) -> [TierNode; 2] {
        Ranking::of(zone, key).owners(&self.link.nodes(), &self.link.own())
    }

    /// This node.
    pub(super) fn own(&self) -> TierNode {
        self.link.own()
    }

    /// For how much longer a node is not asked.
    pub(super) fn in_doubt_for(&self, node: u64) -> Option<Duration> {
        self.doubts.left(node)
    }

    async fn ask(&self, hop: Hop, ask: TierAsk, metrics: &ServingMetrics) -> Result<TierAnswer, PassedBy> {
        self.doubts.trying(hop.node);
        let answer = self.link.ask(hop.node, ask).await;
        match &answer {
            Ok(_) => self.doubts.answered(hop.node),
            Err(why) if why.lasts() => {
                tracing::debug!(node = hop.node, tier = hop.tier.as_str(), why = why.as_str(), "a tier is passed by");
                self.doubts.failed(hop.node);
            }
            Err(_) => {}
        }
        metrics.tier_asked(answer.as_ref().err().copied());
        answer
    }

    async fn end(&self, zone: &Zone, keys: &[EntryKey]) {
        let (own, nodes) = (self.link.own(), self.link.nodes());
        let mut told: Vec<u64> = if nodes.len() <= END_EVERYWHERE_MAX {
            nodes.iter().map(|node| node.id).collect()
        } else {
            keys.iter().flat_map(|key| Ranking::of(zone, key).owners(&nodes, &own)).map(|node| node.id).collect()
        };
        told.sort_unstable();
        told.dedup();
        let told = told.into_iter().filter(|node| *node != own.id && !self.doubts.has(*node));
        let telling = told.map(|node| async move {
            match timeout(END_DEADLINE, self.link.end(node, keys.to_vec())).await.unwrap_or(Err(PassedBy::Late)) {
                Err(why) if why.lasts() => self.doubts.failed(node),
                _ => {}
            }
        });
        join_all(telling).await;
    }
}

/// Why a node asks no other one for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alone {
    /// There is no way to others.
    NoOthers,
    /// The zone has it so.
    Off,
    /// What others hand down may be newer than what this node can judge it by.
    Fenced,
    /// Answers to it are not kept, as was found out lately: they would go through the tiers for nothing.
    NotKept,
}

impl Alone {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoOthers => "no_others",
            Self::Off => "off",
            Self::Fenced => "fenced",
            Self::NotKept => "not_kept",
        }
    }
}

impl Engine {
    /// Sends a request to the next tier that takes it, or to the origin, and waits for the head of the response. The times are those of the
    /// request that was answered.
    pub(crate) async fn forward(&self, ask: &Ask, request: Request<OriginBody>) -> Result<(Response<OriginBody>, Times), OriginError> {
        if let Some(tiers) = &self.tiers {
            for hop in &ask.way.hops {
                let sent = Instant::now();
                match tiers.ask(*hop, tier_ask(ask, request.headers(), hop.tier), &self.metrics).await {
                    Ok(TierAnswer::Response(mut response, Handed { fill, source, held })) => {
                        let times = times(sent.elapsed().saturating_sub(held));
                        // The least of the chain: what this node had applied, and what those had that it asked.
                        response.extensions_mut().insert(Handed::here(fill.min(ask.fill), source.through(*hop)));
                        return Ok((response, times));
                    }
                    // Nothing has reached the origin: it may be the way there from that node.
                    Ok(TierAnswer::Failed(kind)) if kind.retry() == Retry::Unsent => {}
                    Ok(TierAnswer::Failed(kind)) => return Err(OriginError::reported(kind)),
                    Err(_) => {}
                }
            }
        }
        let sent = Instant::now();
        let mut response = send(&self.origins, &ask.zone.origins, request).await?;
        let times = times(sent.elapsed());
        response.extensions_mut().insert(Handed::here(ask.fill, Source::origin(self.own)));
        Ok((response, times))
    }

    /// Ends what other nodes keep under keys that a write has ended here.
    pub(crate) async fn end_elsewhere(&self, zone: &Zone, keys: &[EntryKey]) {
        if let Some(tiers) = self.tiers_of(zone).filter(|_| !keys.is_empty()) {
            tiers.end(zone, keys).await;
        }
    }

    /// The tiers, if the zone goes through them.
    fn tiers_of(&self, zone: &Zone) -> Option<&Tiers> {
        self.tiers.as_ref().filter(|_| zone.tiered == Tiered::Yes)
    }

    /// The tiers that are asked for a key, or why none is.
    pub(crate) fn tiers_for(&self, zone: &Zone, key: &EntryKey, age: ViewAge) -> Result<&Tiers, Alone> {
        let tiers = self.tiers.as_ref().ok_or(Alone::NoOthers)?;
        if zone.tiered == Tiered::No {
            Err(Alone::Off)
        } else if age == ViewAge::Stale {
            Err(Alone::Fenced)
        } else if self.past_tiers.contains_key(key) {
            Err(Alone::NotKept)
        } else {
            Ok(tiers)
        }
    }
}

/// The times of a response that has come, whose request took so long on the way (RFC 9111 §4.2.3: `response_delay`).
///
/// They are in whole seconds, so of each hop the nearest number of them counts: the difference of two clock readings would be a second for
/// every answer that came around the turn of one.
fn times(delay: Duration) -> Times {
    let received_s = unix_now_s();
    let delay_s = delay.as_secs() + u64::from(delay.subsec_millis() >= 500);
    Times { requested_s: received_s.saturating_sub(delay_s), received_s }
}

fn tier_ask(ask: &Ask, request: &HeaderMap, tier: Tier) -> TierAsk {
    let Ask { zone, asking, id, fill, informational, .. } = ask;
    TierAsk {
        zone: zone.id,
        zone_host: zone.hosts.first().cloned().unwrap_or_default(),
        tier,
        revision: *fill,
        method: asking.method.clone(),
        target: asking.target.clone(),
        headers: Asking::within(request),
        host: asking.host.clone(),
        remote: asking.remote,
        secure: asking.secure,
        version: asking.version,
        id: id.clone(),
        informational: informational.clone(),
    }
}
