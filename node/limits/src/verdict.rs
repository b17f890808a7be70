//! Whether a request may go on, and how its subject stands.

use crate::policy::{Class, Policy};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no such limit.
    Unlimited,
    /// It may go on.
    Admitted(Standing),
    /// It may not.
    Refused(Standing),
}

/// How a subject stands towards a limit, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which limit.
    pub class: Class,
    /// What it is.
    pub policy: Policy,
    /// Requests that are left. Others of the same token may use them at other nodes.
    pub remaining: u32,
    /// When there will be more, in milliseconds from now. At least 1.
    pub frees_in_ms: u64,
}
