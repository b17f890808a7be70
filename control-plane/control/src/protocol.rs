//! The version of what nodes say to each other.
//!
//! Nodes of one cluster may run different builds for weeks. Three rules keep them understanding each other:
//!
//! 1. **Messages grow.** Fields, messages and calls are only ever added, numbers are never reused, and what a node does not know it
//!    leaves out. A call that the other side does not know ends as `UNIMPLEMENTED` and is never retried as something else.
//! 2. **What cannot grow gets a number.** A change after which an old node would do something wrong raises [`PROTOCOL`]. A build
//!    speaks a range of these, at least its own and that of the release before; both sides say theirs when they first meet (in a
//!    join, and in each hello to a hub or a leader), and the greatest common one is spoken.
//! 3. **What is in the log is not of the protocol.** That is the schema level of the state, which rises when every node can apply
//!    it (`ncore_model`'s `schema`).

use std::ops::RangeInclusive;

/// The versions of the protocol that this build speaks.
pub(crate) const PROTOCOL: RangeInclusive<u32> = 1..=1;

/// Two nodes that have no version in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node speaks versions {} to {} of the protocol between nodes, and the other one {min} to {max}: upgrade the older of the \
     two first, if need be by way of a release in between",
    PROTOCOL.start(), PROTOCOL.end()
)]
pub(crate) struct NothingInCommon {
    min: u32,
    max: u32,
}

/// The version to speak with a node that speaks `min` to `max`, both included.
pub(crate) fn common(min: u32, max: u32) -> Result<u32, NothingInCommon> {
    let version = max.min(*PROTOCOL.end());
    if version < min || version < *PROTOCOL.start() { Err(NothingInCommon { min, max }) } else { Ok(version) }
}

/// The same for the request of a machine that joins: builds from before the range was part of it speak version 1.
pub(crate) fn common_with_joiner(min: u32, max: u32) -> Result<u32, NothingInCommon> {
    if max == 0 { common(1, 1) } else { common(min, max) }
}

#[cfg(test)]
mod tests {
    use super::{PROTOCOL, common, common_with_joiner};

    #[test]
    fn the_greatest_common_version_is_spoken() {
        let (oldest, newest) = (*PROTOCOL.start(), *PROTOCOL.end());
        assert_eq!(common(oldest, newest), Ok(newest));
        assert_eq!(common(oldest, newest + 5), Ok(newest), "a newer build comes down");
        assert_eq!(common(0, oldest), Ok(oldest), "and this one to an older build");
    }

    #[test]
    fn without_one_it_says_who_speaks_what_and_what_to_do() {
        let newest = *PROTOCOL.end();
        let refused = common(newest + 1, newest + 2).expect_err("nothing in common").to_string();
        assert!(refused.contains(&format!("{} to {}: upgrade the older", newest + 1, newest + 2)), "{refused}");
        assert!(common(0, PROTOCOL.start() - 1).is_err());
    }

    #[test]
    fn a_joiner_that_says_nothing_speaks_the_first_version() {
        assert_eq!(common_with_joiner(0, 0).is_ok(), PROTOCOL.contains(&1));
        assert_eq!(common_with_joiner(1, 1), common(1, 1));
    }
}
