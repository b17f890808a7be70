//! The policies that a node was given, and how often each was put to use.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    follower::FreshState,
    policy::{FenceAction, FencePolicy, Guarded},
};

/// What a node does while it is fenced, for each thing that is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FencePolicies([FencePolicy; Guarded::ALL.len()]);

impl FencePolicies {
    /// The policy for `guarded`.
    #[must_use]
    pub const fn of(&self, guarded: Guarded) -> FencePolicy {
        self.0[guarded as usize]
    }

    /// The same, with another policy for `guarded`.
    #[must_use]
    pub const fn with(mut self, guarded: Guarded, policy: FencePolicy) -> Self {
        self.0[guarded as usize] = policy;
        self
    }
}

impl Default for FencePolicies {
    fn default() -> Self {
        Self(Guarded::ALL.map(Guarded::default_policy))
    }
}

/// Decides by the policies, and counts what was decided while the node was fenced. One for a node: every part that guards something
/// asks it.
#[derive(Debug, Default)]
pub struct Fences {
    policies: FencePolicies,
    decided: [[AtomicU64; FenceAction::ALL.len()]; Guarded::ALL.len()],
}

impl Fences {
    /// Decides by these policies.
    #[must_use]
    pub fn new(policies: FencePolicies) -> Self {
        Self { policies, ..Self::default() }
    }

    /// What to do with `guarded` in this state.
    #[must_use]
    pub fn decide(&self, guarded: Guarded, state: &FreshState) -> FenceAction {
        let action = self.policies.of(guarded).decide(state);
        // While the node is fresh nothing is counted: requests share no line of memory for it.
        if action != FenceAction::Proceed {
            self.decided[guarded as usize][action as usize].fetch_add(1, Ordering::Relaxed);
        }
        action
    }

    /// The policies.
    #[must_use]
    pub const fn policies(&self) -> &FencePolicies {
        &self.policies
    }

    /// How often `action` was decided for `guarded` while the node was fenced.
    #[must_use]
    pub fn decided(&self, guarded: Guarded, action: FenceAction) -> u64 {
        self.decided[guarded as usize][action as usize].load(Ordering::Relaxed)
    }
}
