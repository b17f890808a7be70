//! Zones: content that is pulled from origins, and kept as RFC 9111 says.
//!
//! [`engine`] walks a request through it all, and draws the walk. What stands beneath:
//!
//! | module | what it is |
//! |---|---|
//! | [`zone`], [`table`] | what a zone is, and which host is of which |
//! | [`view`] | what is asked of this node's view of the cluster |
//! | [`key`] | which requests are for the same content |
//! | [`variant`], [`record`], [`shelf`], [`shown`] | what is kept of a response, as bytes, where, and as it was read |
//! | [`content`] | the bytes of a response from wherever they are |
//! | [`flight`], [`filling`], [`opening`], [`ask`] | one request to the origin for all who want the same, and its answer while it comes |
//! | [`tiers`] | other nodes, which are asked before the origin |
//! | [`parted`], [`gap`] | what is needed of a content that is there in part, and what is missing of it asked for |
//! | [`upstream`], [`origin`] | the request for the origin, and the way there |
//! | [`upgrade`] | requests that change the protocol |
//! | [`explain`] | the same walk, for whoever asks why |
//! | [`answer`], [`usage`], [`trace`] | what the viewer gets, what it is told, and what the access log is |

mod answer;
mod ask;
mod content;
mod early;
mod engine;
mod errand;
mod explain;
mod filling;
mod flight;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzed;
mod gap;
mod key;
mod opening;
mod origin;
mod parted;
mod record;
mod shelf;
mod shown;
mod table;
mod tiers;
mod trace;
mod upgrade;
mod upstream;
mod usage;
mod variant;
mod view;
mod zone;

pub use self::{
    engine::{ZoneParts, ZoneServer},
    explain::{Explanation, FieldExplained, KeyExplained, Question, RuleExplained, SlicesExplained, VariantExplained, Verdict},
    table::{ZoneTable, Zones},
    tiers::{
        Admitted, Handed, HopExplained, OwnerExplained, PassedBy, Source, Tier, TierAnswer, TierAsk, TierLink, TierNode, Tiered,
        TiersExplained,
    },
    usage::CacheUsed,
    view::View,
    zone::{Authorised, Bypass, FencedZone, KeySettings, QueryKey, TtlSettings, Zone},
};
