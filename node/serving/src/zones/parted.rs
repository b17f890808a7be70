//! The walk of a request where content is there in part: which slices it needs, and how those are got that are missing.
//!
//! ```text
//!   nothing stored, and a range is wanted ──► the slices that it lies in are asked for, and kept
//!   stored, and a slice is missing of the first few that are wanted ──► those are asked for before the head is sent: another version is the answer
//!   stored, and a slice is missing later ──► it is asked for when it is its turn: another version breaks the response off
//! ```

use std::sync::Arc;

use http::{Method, StatusCode};
use ncore_cache::{
    cache_status::{Collapse, Forward},
    partial::{PartAsked, StrongValidator},
    range::{self, ByteRange, RangeRequest, RangeSpec},
    reuse::OnError,
};

use super::{
    answer::Found,
    ask::{Asked, Others, has_conditions},
    content::{Content, GRID, Place},
    engine::{Answer, Need, Walk},
    filling::Filling,
    flight::State,
    gap::{Got, Refill},
    shelf::SharedShelf,
    upstream::Wishes,
    variant::{Came, Kept, Variant, Version},
};

/// Slices that a request needs and that are not there.
pub(crate) struct Gap {
    variant: Variant,
    first: u64,
    /// The last one that it needs.
    last: u64,
}

/// How many slices are looked for before the head of a response is sent of which not all may be there. Later ones are asked for when it is
/// their turn.
const LOOKED_FOR: usize = 8;

impl Walk<'_> {
    /// The first slice that is wanted of a content and is not there, and the last that is wanted with it. Of what came whole the first one is
    /// looked for alone: with it the others are there, as a rule, for they were used together.
    pub(super) async fn missing(&self, variant: &Variant, newest_purge: u64) -> Option<(u64, u64)> {
        let Kept::Slices { object, length, came, .. } = variant.content else { return None };
        if self.asking.method == Method::HEAD {
            return None;
        }
        let whole = || ByteRange::whole(length).into_iter().collect();
        let ranges: Vec<ByteRange> = match range::resolve(&self.asking.headers, length) {
            RangeRequest::Single(range) => vec![range],
            RangeRequest::Multiple(ranges) => ranges,
            RangeRequest::Unsatisfiable => Vec::new(),
            RangeRequest::None | RangeRequest::Ignored(_) => whole(),
        };
        let looked_for = match came {
            Came::Whole => 1,
            Came::Part => LOOKED_FOR,
        };
        let slices = ranges.iter().flat_map(|range| {
            let last = GRID.number(range.last());
            (GRID.number(range.first())..=last).map(move |number| (number, last))
        });
        let oldest = variant.content.oldest_slice(newest_purge);
        for (number, last) in slices.take(looked_for) {
            if !self.engine.shelf.has_slice(object, number, oldest).await {
                return Some((number, last));
            }
        }
        None
    }

    /// What is due where slices are missing: these alone, if others of the same version can be told from those of another one.
    pub(super) async fn need_of(&self, variant: &Variant, first: u64, last: u64) -> Need {
        let (stored, on_error) = (None, OnError::Fail);
        if StrongValidator::of(&variant.headers).is_some() {
            let gap = Some(Gap { variant: variant.clone(), first, last });
            return Need { why: Forward::Partial, stored, on_error, gap };
        }
        self.engine.shelf.remove(&self.key.head).await;
        Need { why: Forward::UriMiss, stored, on_error, gap: None }
    }

    /// Asks for what is missing, unless all of it is on its way. `None` if it is best to look again.
    pub(super) async fn ask_for_gap(&self, need: &Need, gap: &Gap) -> Option<Answer> {
        let whole = self.engine.flights.under_way(&self.key.head, self.newest_purge());
        if let Some(State::Filling(filling)) = whole
            && self.may_share(&filling.variant)
            && self.is_reached_by(&filling)
        {
            return Some(self.answered(need, Some(Asked::Filling(filling)), Collapse::Yes));
        }
        let version = Content::Kept(gap.variant.content.clone()).version(&gap.variant.headers)?;
        let refill = self.refill(version)?;
        match refill.get(gap.first, gap.last, Others::Use).await {
            Got::Filling(filling, collapse) if collapse == Collapse::No || self.may_share(&filling.variant) => {
                Some(self.answered(need, Some(Asked::Filling(filling)), collapse))
            }
            // What was stored is gone, and this is not what the viewer has asked for.
            Got::Through(response) if matches!(response.status(), StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) => None,
            Got::Through(response) => Some(self.answered(need, Some(Asked::Through(response)), Collapse::No)),
            Got::Failed(error) => Some(self.answered(need, Some(Asked::Failed(error)), Collapse::No)),
            Got::Filling(..) | Got::Nothing => None,
        }
    }

    /// Where the content of a response is looked for.
    pub(super) fn place(&self, found: &Found) -> Place {
        let version = found.content.version(&found.kept);
        // What has no version has come in one piece, and is as old as its head.
        let oldest = version.as_ref().map_or(0, |version| self.oldest_slice(version));
        let refill = version.and_then(|version| self.refill(version)).map(Arc::new);
        Place { shelf: SharedShelf::clone(&self.engine.shelf), head: self.key.head, oldest, sent: self.sent(), refill }
    }

    /// How what is missing of a version can be got, if it can.
    fn refill(&self, version: Version) -> Option<Refill> {
        version.validator()?;
        let oldest = self.oldest_slice(&version);
        let need = Need { why: Forward::Partial, stored: None, on_error: OnError::Fail, gap: None };
        let ask = self.order(&need, Wishes::Kept, self.engine.view.revision());
        Some(Refill::new(Arc::clone(self.engine), ask, Arc::clone(&self.key.path), version, oldest))
    }

    /// The oldest fill that a slice of a version may have.
    fn oldest_slice(&self, version: &Version) -> u64 {
        self.newest_purge().min(version.since)
    }

    /// The part that is asked for if nothing is stored, where that can be kept.
    pub(super) fn part_asked(&self) -> Option<PartAsked> {
        let reads = self.asking.method == Method::GET && !self.engine.partless.contains_key(&self.key.head);
        range::single(&self.asking.headers).filter(|_| reads).and_then(|spec| GRID.asked(spec))
    }

    /// Whether the part that is asked for is the one that the viewer has asked for, without a condition.
    pub(super) fn is_asked_as_it_is(&self) -> bool {
        let is_suffix = matches!(range::single(&self.asking.headers), Some(RangeSpec::Suffix { .. }));
        is_suffix && !has_conditions(&self.asking.headers)
    }

    /// Whether what is wanted first of what is on its way is not far from what has come.
    pub(super) fn is_reached_by(&self, filling: &Filling) -> bool {
        let first = match (range::single(&self.asking.headers), filling.length) {
            (Some(RangeSpec::Closed { first, .. } | RangeSpec::Open { first }), _) => first,
            (Some(RangeSpec::Suffix { length }), Some(size)) => size.saturating_sub(length),
            (Some(RangeSpec::Suffix { .. }), None) => return false,
            (None, _) => 0,
        };
        filling.part.is_some() || filling.is_near(first)
    }
}
