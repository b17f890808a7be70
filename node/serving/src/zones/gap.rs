//! What is missing of a content that is in slices, asked for again: a run of slices in one request, under the version of those that are there.
//!
//! Slices are missing that nobody asked for yet, that were evicted, or that were damaged. Who comes upon one leads the request for it and for
//! those that are missing behind it; others who want any of them follow. Nothing is asked for again without a strong validator: then the
//! response that lacks a slice is broken off.

use std::sync::Arc;

use http::Response;
use ncore_cache::{cache_status::Collapse, partial::PartAsked};
use ncore_origin::OriginError;
use ncore_store::cached::EntryKey;

use super::{
    ask::{Ask, Asked, Others, Span},
    content::{GRID, SLICES_AT_ONCE},
    engine::Engine,
    filling::Filling,
    flight::{Flight, Seat, State, answer},
    key,
    origin::OriginBody,
    variant::Version,
};

/// How what is missing of a version is got.
pub(crate) struct Refill {
    engine: Arc<Engine>,
    /// For the viewer whose response it is. The part and the revision are those of each request.
    ask: Ask,
    /// The path that purges name.
    path: Arc<str>,
    version: Version,
    /// The oldest fill that a slice may have.
    oldest: u64,
}

/// What became of a gap.
pub(crate) enum Got {
    /// It comes, or another version does.
    Filling(Arc<Filling>, Collapse),
    /// The origin has something else.
    Through(Response<OriginBody>),
    /// The origin was not reached.
    Failed(OriginError),
    /// Somebody else has asked, and did not get it: it is best to look again.
    Nothing,
}

impl Refill {
    /// Of a version that has a strong validator.
    pub(crate) fn new(engine: Arc<Engine>, ask: Ask, path: Arc<str>, version: Version, oldest: u64) -> Self {
        Self { engine, ask, path, version, oldest }
    }

    /// The slice `first`, and those behind it that are missing too, up to `last`.
    pub(crate) async fn get(&self, first: u64, last: u64, others: Others) -> Got {
        let keys = self.missing(first, last).await;
        // The revision comes first: a purge that is applied between the two is newer than it.
        let fill = self.engine.view.revision();
        match self.engine.flights.board_run(keys, fill, self.oldest, &self.ask.way) {
            Seat::Leader(flight) => self.lead(first, Some(flight), fill, others).await,
            Seat::Follower(mut follower) => match answer(&mut follower).await {
                State::Filling(filling) => Got::Filling(filling, Collapse::Yes),
                _ => Got::Nothing,
            },
            Seat::Missed | Seat::None => self.lead(first, None, fill, others).await,
        }
    }

    async fn lead(&self, first: u64, flight: Option<Arc<Flight>>, fill: u64, others: Others) -> Got {
        let count = flight.as_ref().map_or(1, |flight| flight.len());
        let asked = PartAsked::Bytes(GRID.bytes(first, first + count - 1));
        let span = Some(Span { asked, version: Some(self.version.clone()), others });
        let newest_purge = self.engine.view.newest_purge(self.ask.zone.id, &self.path);
        let ask = Ask { span, fill, newest_purge, stored: None, ..self.ask.clone() };
        match self.engine.ask(ask, flight).apart().await {
            Some(Asked::Filling(filling)) => Got::Filling(filling, Collapse::No),
            Some(Asked::Through(response)) => Got::Through(response),
            Some(Asked::Failed(error)) => Got::Failed(error),
            Some(Asked::Freshened(..)) | None => Got::Nothing,
        }
    }

    /// The keys of the slice `first` and of those behind it that are missing, up to the first that is there.
    async fn missing(&self, first: u64, last: u64) -> Vec<EntryKey> {
        let object = self.version.object;
        let last = last.min(first.saturating_add(SLICES_AT_ONCE - 1));
        let mut keys = vec![key::slice(object, first)];
        for number in first + 1..=last {
            if self.engine.shelf.has_slice(object, number, self.oldest).await {
                break;
            }
            keys.push(key::slice(object, number));
        }
        keys
    }
}
