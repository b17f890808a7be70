//! What a node does while it is fenced, in one place.

use crate::follower::FreshState;

/// What is done with something on a node that is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FencePolicy {
    /// Ask the origin, or a node that is itself fresh, without conditions, before anything is sent.
    Revalidate,
    /// Send it, marked as stale.
    Serve,
    /// Refuse the request.
    Refuse,
}

impl FencePolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Revalidate, Self::Serve, Self::Refuse];

    /// The name of the policy in settings, logs, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revalidate => "revalidate",
            Self::Serve => "serve",
            Self::Refuse => "refuse",
        }
    }

    /// The policy of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }

    /// What to do in this state.
    #[must_use]
    pub const fn decide(self, state: &FreshState) -> FenceAction {
        match (state, self) {
            (FreshState::Fresh { .. }, _) => FenceAction::Proceed,
            (FreshState::Fenced(_), Self::Revalidate) => FenceAction::Revalidate,
            (FreshState::Fenced(_), Self::Serve) => FenceAction::ServeStale,
            (FreshState::Fenced(_), Self::Refuse) => FenceAction::Refuse,
        }
    }

    /// Whether old content has ended on a node that is fenced under this policy, so that a complete barrier means that no
    /// node sends it. Under `serve` it has not, and the answer has to name such nodes.
    #[must_use]
    pub const fn ends_old_content(self) -> bool {
        match self {
            Self::Revalidate | Self::Refuse => true,
            Self::Serve => false,
        }
    }
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceAction {
    /// Answer it from this node's view, which is fresh.
    Proceed,
    /// Ask the origin or a fresh node first.
    Revalidate,
    /// Answer it from this node's view, and say that it may be stale.
    ServeStale,
    /// Answer that this node cannot tell at present.
    Refuse,
}

impl FenceAction {
    /// Every action, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Proceed, Self::Revalidate, Self::ServeStale, Self::Refuse];

    /// The name of the action in logs, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Revalidate => "revalidate",
            Self::ServeStale => "serve-stale",
            Self::Refuse => "refuse",
        }
    }
}

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarded {
    /// Content that was pulled from the origin of a zone.
    Zone,
    /// A pushed asset that anybody may read.
    PublicAsset,
    /// A pushed asset that only some may read.
    RestrictedAsset,
    /// The check of a token, key, password or signature.
    Credential,
}

impl Guarded {
    /// Everything that is guarded, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Zone, Self::PublicAsset, Self::RestrictedAsset, Self::Credential];

    /// Its name in settings, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::PublicAsset => "public-asset",
            Self::RestrictedAsset => "restricted-asset",
            Self::Credential => "credential",
        }
    }

    /// The policy where none was chosen.
    #[must_use]
    pub const fn default_policy(self) -> FencePolicy {
        match self {
            Self::Zone => FencePolicy::Revalidate,
            Self::PublicAsset => FencePolicy::Serve,
            Self::RestrictedAsset | Self::Credential => FencePolicy::Refuse,
        }
    }
}
