//! Which nodes would be asked for a key now, for whoever asks why. Who they are is found by what finds them for those who ask.

use ncore_store::cached::EntryKey;
use serde::Serialize;

use super::{AskedAs, TierNode, Tiers, ask::Alone, owner::Ranking};
use crate::zones::zone::Zone;

/// The tiers of a key, as a node sees them.
#[derive(Debug, Clone, Serialize)]
pub struct TiersExplained {
    /// Why this node would ask none of them: `no_others`, `off` by the zone, `fenced`, or `not_kept` as was found out lately.
    pub unused: Option<&'static str>,
    /// The nodes that would be asked, one after the other until one takes the request, and then the origin.
    pub asks: Vec<HopExplained>,
    /// The revision that would go along: what has not applied it answers nothing.
    pub min_revision: u64,
    /// The region that the zone wants its shield in.
    pub shield_region: Option<String>,
    /// Whether no node is there, so that the shield is the first of all.
    pub shield_region_is_empty: bool,
    /// The owner in the region of this node.
    pub owner: Option<OwnerExplained>,
    /// The shield.
    pub shield: Option<OwnerExplained>,
}

/// A node that would be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HopExplained {
    /// As what: `region` or `shield`.
    pub tier: &'static str,
    /// Its id.
    pub node: u64,
}

/// A node that owns a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnerExplained {
    /// Its id.
    pub node: u64,
    /// Where it is.
    pub region: String,
    /// Whether it is the node that explains.
    pub is_this: bool,
    /// For how much longer it is passed by because it did not do as a tier lately, in milliseconds; `None` if it is not.
    pub in_doubt_for_ms: Option<u64>,
}

impl TiersExplained {
    /// Those of a key of `zone`, which are asked if `used` has them.
    pub(crate) fn of(zone: &Zone, key: &EntryKey, min_revision: u64, all: Option<&Tiers>, used: Result<&Tiers, Alone>) -> Self {
        let hops = used.map(|tiers| tiers.hops(zone, key, AskedAs::Node)).unwrap_or_default();
        let owners = all.map(|tiers| tiers.owners(zone, key));
        let explained = |at: usize| {
            let (tiers, owner) = (all?, owners.as_ref()?.get(at)?);
            Some(OwnerExplained {
                node: owner.id,
                region: owner.region.to_string(),
                is_this: owner.id == tiers.own().id,
                in_doubt_for_ms: tiers.in_doubt_for(owner.id).map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            })
        };
        let is_there = |shield: &TierNode| Ranking::of(zone, key).is_wanted(shield);
        Self {
            unused: used.err().map(Alone::as_str),
            asks: hops.iter().map(|hop| HopExplained { tier: hop.tier.as_str(), node: hop.node }).collect(),
            min_revision,
            shield_region: zone.shield_region.as_deref().map(str::to_owned),
            shield_region_is_empty: zone.shield_region.is_some() && !owners.as_ref().is_some_and(|[_, shield]| is_there(shield)),
            owner: explained(0),
            shield: explained(1),
        }
    }
}
