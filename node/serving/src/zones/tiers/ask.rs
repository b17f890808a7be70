//! Asking: the tiers one after the other, and then the origin.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::{HeaderMap, Request, Response};
use ncore_origin::{OriginError, Retry};
use ncore_store::cached::EntryKey;
use tokio::time::timeout;

use super::{AskedAs, Handed, Hop, PassedBy, Tier, TierAnswer, TierAsk, TierLink, Tiered, doubts::Doubts, owner};
use crate::{
    metrics::ServingMetrics,
    zones::{
        ask::Ask,
        engine::Engine,
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
    pub(crate) fn hops(&self, key: &EntryKey, asked_as: AskedAs) -> Vec<Hop> {
        owner::hops(key, &self.link.nodes(), &self.link.own(), asked_as, |node| !self.doubts.has(node))
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

    async fn end(&self, keys: &[EntryKey]) {
        let (own, nodes) = (self.link.own(), self.link.nodes());
        let mut told: Vec<u64> = if nodes.len() <= END_EVERYWHERE_MAX {
            nodes.iter().map(|node| node.id).collect()
        } else {
            keys.iter().flat_map(|key| owner::owners(key, &nodes, &own)).collect()
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

impl Engine {
    /// Sends a request to the next tier that takes it, or to the origin, and waits for the head of the response.
    pub(crate) async fn forward(&self, ask: &Ask, request: Request<OriginBody>) -> Result<Response<OriginBody>, OriginError> {
        if let Some(tiers) = &self.tiers {
            for hop in self.hops(ask) {
                match tiers.ask(hop, tier_ask(ask, request.headers(), hop.tier), &self.metrics).await {
                    Ok(TierAnswer::Response(mut response, handed)) => {
                        let tier = if handed.tier == Tier::Own { hop.tier } else { handed.tier };
                        // The least of the chain: what this node had applied, and what those had that it asked.
                        response.extensions_mut().insert(Handed { fill: handed.fill.min(ask.fill), tier });
                        return Ok(response);
                    }
                    // Nothing has reached the origin: it may be the way there from that node.
                    Ok(TierAnswer::Failed(kind)) if kind.retry() == Retry::Unsent => {}
                    Ok(TierAnswer::Failed(kind)) => return Err(OriginError::reported(kind)),
                    Err(_) => {}
                }
            }
        }
        let mut response = send(&self.origins, &ask.zone.origins, request).await?;
        response.extensions_mut().insert(Handed { fill: ask.fill, tier: Tier::Origin });
        Ok(response)
    }

    /// The nodes that are asked before the origin.
    fn hops(&self, ask: &Ask) -> Vec<Hop> {
        let tiers = self.tiers_of(&ask.zone).filter(|_| !self.past_tiers.contains_key(&ask.key));
        tiers.zip(ask.asked_as).map_or_else(Vec::new, |(tiers, asked_as)| tiers.hops(&ask.key, asked_as))
    }

    /// Ends what other nodes keep under keys that a write has ended here.
    pub(crate) async fn end_elsewhere(&self, zone: &Zone, keys: &[EntryKey]) {
        if let Some(tiers) = self.tiers_of(zone).filter(|_| !keys.is_empty()) {
            tiers.end(keys).await;
        }
    }

    /// The tiers, if the zone goes through them.
    pub(crate) fn tiers_of(&self, zone: &Zone) -> Option<&Tiers> {
        self.tiers.as_ref().filter(|_| zone.tiered == Tiered::Yes)
    }
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
