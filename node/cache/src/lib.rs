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
//! And what RFC 9111 and its companions ask of a shared cache of other people's content. These stand on those above, and none of those may
//! stand on these:
//!
//! | module | question it answers |
//! |---|---|
//! | [`cache_control`], [`targeted`] | what do request and response say of caching (RFC 9111 §5.2, RFC 9213)? |
//! | [`storable`] | may this response be kept (§3)? |
//! | [`freshness`] | how long is it fresh, and how old is it (§4.2)? |
//! | [`vary`] | for which requests is it (§4.1)? |
//! | [`reuse`] | does it answer this request, and what is due before (§4, RFC 5861, RFC 8246)? |
//! | [`validation`] | how is it validated, and what does a 304 do to it (§4.3, §3.2)? |
//! | [`partial`] | which part of it is asked for, and does what comes belong to what is stored (§3.3, §3.4)? |
//! | [`invalidation`] | what does a write end (§4.4)? |
//! | [`cache_status`] | how is all that told (RFC 9211)? |
//! | [`purges`] | since which index is content of this URL good for anything? |

pub mod cache_control;
pub mod cache_status;
pub mod conditional;
pub mod content_coding;
pub mod content_range;
pub mod etag;
pub mod freshness;
pub mod http_date;
pub mod if_range;
pub mod invalidation;
pub mod multipart;
pub mod partial;
pub mod path;
pub mod purges;
pub mod range;
pub mod reuse;
pub mod storable;
pub mod targeted;
pub mod validation;
pub mod vary;
