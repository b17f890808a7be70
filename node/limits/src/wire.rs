//! Asks and grants as messages.

use ncore_proto::limits::v1 as wire;

use crate::{
    ask::{Ask, Grant, Key},
    policy::Class,
};

/// The most asks of one message, and the most parts in which an ask says what was used.
pub(crate) const ASKS_MAX: usize = 512;
const RECENT_MAX: usize = 64;
/// The largest message, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub(crate) fn ask_to(ask: &Ask) -> wire::Ask {
    wire::Ask {
        class: number(ask.key.class),
        subject: bytes::Bytes::copy_from_slice(&ask.key.subject),
        life: ask.life,
        sequence: ask.sequence,
        spent: ask.spent,
        held: ask.held,
        want: ask.want,
        recent: ask.recent.iter().map(|(age_ms, count)| wire::Use { age_ms: *age_ms, count: *count }).collect(),
    }
}

/// `None` if it is malformed, or of a class that this build does not know.
pub(crate) fn ask_from(ask: &wire::Ask) -> Option<Ask> {
    Some(Ask {
        key: Key { class: class(ask.class)?, subject: ask.subject.as_ref().try_into().ok()? },
        life: ask.life,
        sequence: ask.sequence,
        spent: ask.spent,
        held: ask.held,
        want: ask.want,
        recent: ask.recent.iter().take(RECENT_MAX).map(|used| (used.age_ms, used.count)).collect(),
    })
}

pub(crate) const fn grant_to(grant: &Grant) -> wire::Grant {
    wire::Grant { granted: grant.granted, remaining: grant.remaining, frees_in_ms: grant.frees_in_ms, lease_ms: grant.lease_ms }
}

pub(crate) const fn grant_from(grant: &wire::Grant) -> Grant {
    Grant { granted: grant.granted, remaining: grant.remaining, frees_in_ms: grant.frees_in_ms, lease_ms: grant.lease_ms }
}

/// These numbers are for ever.
const fn number(class: Class) -> u32 {
    match class {
        Class::Default => 1,
        Class::Purge => 2,
        // Never asked for: an address is counted where it comes.
        Class::Anonymous => 0,
        Class::V1Reads => 3,
        Class::V1Writes => 4,
        Class::V1Purges => 5,
    }
}

const fn class(number: u32) -> Option<Class> {
    match number {
        1 => Some(Class::Default),
        2 => Some(Class::Purge),
        3 => Some(Class::V1Reads),
        4 => Some(Class::V1Writes),
        5 => Some(Class::V1Purges),
        _ => None,
    }
}
