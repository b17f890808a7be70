//! Tests of the harness itself: what breaks things on purpose must break them as it says.

mod disk_faults;
mod link;
