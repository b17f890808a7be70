//! What an operator may say about the autopilot, with the reason for each default.

use std::time::Duration;

/// How the leader looks after the voters. The same on every node, because any voter may lead.
#[derive(Debug, Clone)]
pub struct AutopilotSettings {
    /// Whether it changes who votes. Default: yes. Without it operators promote and demote by hand.
    pub enabled: bool,
    /// How many voters there are to be: 1, 3 or 5. Default 3: one may be lost.
    pub voters: usize,
    /// How long a voter may be silent before another takes its place. Default 60 s: a restart takes less, and a change of the
    /// voters is no way to answer a hiccup.
    pub dead_after: Duration,
    /// Whether leadership goes to the voter that is nearest to a majority. Default: yes.
    pub leader_preference: bool,
    /// How long another voter must have been better, under the same leader, before leadership goes to it. Default 3 minutes, so it
    /// moves at most once in that time.
    pub leader_settle: Duration,
}

impl Default for AutopilotSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            voters: 3,
            dead_after: Duration::from_secs(60),
            leader_preference: true,
            leader_settle: Duration::from_secs(180),
        }
    }
}
