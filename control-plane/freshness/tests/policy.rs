//! What a fenced node does, and for how long it may believe that it is not.

use std::time::Duration;

use ncore_freshness::{Boottime, Fence, FenceAction, FencePolicies, FencePolicy, FenceReason, Fences, FreshState, Guarded, Settings};
use proptest::prelude::*;

const FRESH: FreshState = FreshState::Fresh { as_of: Boottime::from_millis(1) };
const FENCED: FreshState = FreshState::Fenced(Fence { since: Boottime::from_millis(1), reason: FenceReason::BoundExceeded });

#[test]
fn a_policy_matters_only_while_fenced() {
    let table = [
        (FencePolicy::Revalidate, FenceAction::Revalidate, "revalidate"),
        (FencePolicy::Serve, FenceAction::ServeStale, "serve-stale"),
        (FencePolicy::Refuse, FenceAction::Refuse, "refuse"),
    ];
    for (policy, fenced, name) in table {
        assert_eq!(policy.decide(&FRESH), FenceAction::Proceed);
        assert_eq!(policy.decide(&FENCED), fenced);
        assert_eq!(fenced.as_str(), name);
        assert_eq!(FencePolicy::from_name(policy.as_str()), Some(policy));
    }
    assert_eq!(FencePolicy::from_name("Serve"), None);
}

#[test]
fn old_content_ends_unless_it_is_served() {
    let table = [(FencePolicy::Revalidate, true), (FencePolicy::Serve, false), (FencePolicy::Refuse, true)];
    for (policy, ends) in table {
        assert_eq!(policy.ends_old_content(), ends, "{}", policy.as_str());
    }
}

#[test]
fn what_is_done_where_nothing_was_chosen() {
    let table = [
        (Guarded::Zone, FencePolicy::Revalidate),
        (Guarded::PublicAsset, FencePolicy::Serve),
        (Guarded::RestrictedAsset, FencePolicy::Refuse),
        (Guarded::Credential, FencePolicy::Refuse),
    ];
    for (guarded, policy) in table {
        assert_eq!(guarded.default_policy(), policy, "{guarded:?}");
    }
}

#[test]
fn what_was_chosen_is_what_is_done_and_counted() {
    for (at, guarded) in Guarded::ALL.into_iter().enumerate() {
        assert_eq!(guarded as usize, at);
        for policy in FencePolicy::ALL {
            let fences = Fences::new(FencePolicies::default().with(guarded, policy));
            assert_eq!(fences.decide(guarded, &FRESH), FenceAction::Proceed);
            let action = fences.decide(guarded, &FENCED);
            assert_eq!(action, policy.decide(&FENCED));
            for (number, other) in FenceAction::ALL.into_iter().enumerate() {
                assert_eq!(other as usize, number);
                assert_eq!(fences.decided(guarded, other), u64::from(other == action), "{} {}", guarded.as_str(), other.as_str());
            }
            for other in Guarded::ALL.into_iter().filter(|other| *other != guarded) {
                assert_eq!(fences.policies().of(other), other.default_policy());
                assert_eq!(fences.decided(other, action), 0);
            }
        }
    }
}

#[test]
fn the_default_hold() {
    assert_eq!(Settings::default().hold(), Duration::from_millis(5_005));
}

proptest! {
    /// Whatever the clock here shows, `1 + drift` slower it shows the bound at least.
    #[test]
    fn a_hold_here_is_a_bound_there(bound in 0..u64::MAX / 4, drift_ppm in 0..1_000_000_u32) {
        let settings = Settings { bound: Duration::from_nanos(bound), drift_ppm, ..Settings::default() };
        let there = settings.hold().as_nanos() * 1_000_000 / (1_000_000 + u128::from(drift_ppm));
        prop_assert!(there >= u128::from(bound));
        prop_assert!(there <= u128::from(bound) + 1);
    }
}
