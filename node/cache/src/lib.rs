//! The HTTP semantics of content that a node holds, as pure functions: no I/O, no runtime, no clock. Where a rule
//! depends on the time of day, `now` is an argument.
//!
//! # What is here
//! The part of RFC 9110 that a server of stored content has to obey, one noun a module:
//!
//! | module | question it answers |
//! |---|---|
//! | [`path`] | which asset does this request path name? |
//! | [`etag`], [`http_date`] | what is this validator, and does it match? |
//! | [`conditional`] | do the preconditions let the request proceed (§13)? |
//! | [`if_range`] | may a range be combined with what the client has (§13.1.5)? |
//! | [`range`] | which bytes does it want (§14)? |
//! | [`content_coding`] | in which coding may it be sent (§12.5.3), and does that gain anything? |
//! | [`content_range`], [`multipart`] | how are those bytes labelled (§14.4, §14.6)? |
//!
//! # What is not
//! Anything that decides whether a *copy* may be stored or reused. Freshness, cache keys, `Vary` and revalidation (RFC
//! 9111 and its companions) are modules of their own beside these, and stand on them; none of these may stand on those.

pub mod conditional;
pub mod content_coding;
pub mod content_range;
pub mod etag;
pub mod http_date;
pub mod if_range;
pub mod multipart;
pub mod path;
pub mod range;
