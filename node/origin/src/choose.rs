//! Which origin of a set is asked next, as a pure function.
//!
//! 1. Of the origins that are no backup: one whose time of being left out is over and that nobody tries yet; else those that are well, by
//!    weight.
//! 2. If there is none: the backups, in the same way.
//! 3. If all are left out: the one that comes back first. An origin that may answer is better than none that does.

use crate::health::Standing;

/// What is known of one origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) weight: u32,
    pub(crate) backup: bool,
    pub(crate) standing: Standing,
    /// Whether this request was there already.
    pub(crate) tried: bool,
}

/// The index of the origin to ask. `draw` is any number, by chance.
pub(crate) fn choose(candidates: &[Candidate], draw: u64) -> Option<usize> {
    [false, true].into_iter().find_map(|backup| choose_of_tier(candidates, backup, draw)).or_else(|| first_to_return(candidates))
}

fn choose_of_tier(candidates: &[Candidate], backup: bool, draw: u64) -> Option<usize> {
    let tier = || candidates.iter().enumerate().filter(move |(_, candidate)| candidate.backup == backup && !candidate.tried);
    if let Some((index, _)) = tier().find(|(_, candidate)| candidate.standing == Standing::Probe) {
        return Some(index);
    }
    let well = || tier().filter(|(_, candidate)| candidate.standing == Standing::Well);
    let total: u64 = well().map(|(_, candidate)| u64::from(candidate.weight)).sum();
    let mut left = draw.checked_rem(total)?;
    for (index, candidate) in well() {
        match left.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => left = rest,
            None => return Some(index),
        }
    }
    None
}

fn first_to_return(candidates: &[Candidate]) -> Option<usize> {
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| !candidate.tried)
        .min_by_key(|(_, candidate)| match candidate.standing {
            Standing::Out { until } => (until.is_none(), until, candidate.backup),
            Standing::Well | Standing::Probe => (false, None, candidate.backup),
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Candidate, choose};
    use crate::health::Standing;

    fn candidate(weight: u32, standing: Standing) -> Candidate {
        Candidate { weight, backup: false, standing, tried: false }
    }

    fn backup(weight: u32, standing: Standing) -> Candidate {
        Candidate { backup: true, ..candidate(weight, standing) }
    }

    fn shares(candidates: &[Candidate]) -> Vec<u32> {
        let mut counts = vec![0; candidates.len()];
        for draw in 0..600 {
            counts[choose(candidates, draw).expect("an origin")] += 1;
        }
        counts
    }

    #[test]
    fn weights_are_shares() {
        let well = Standing::Well;
        assert_eq!(shares(&[candidate(1, well), candidate(2, well), candidate(3, well), backup(9, well)]), [100, 200, 300, 0]);
    }

    #[test]
    fn backups_are_asked_when_no_other_is_well() {
        let out = Standing::Out { until: Some(Instant::now()) };
        assert_eq!(shares(&[candidate(1, out), backup(1, Standing::Well), backup(2, Standing::Well)]), [0, 200, 400]);
        assert_eq!(shares(&[candidate(1, out), candidate(1, Standing::Well), backup(2, Standing::Well)]), [0, 600, 0]);
    }

    #[test]
    fn one_that_may_be_tried_is_tried_first() {
        assert_eq!(shares(&[candidate(5, Standing::Well), candidate(1, Standing::Probe), backup(1, Standing::Well)]), [0, 600, 0]);
    }

    #[test]
    fn of_those_that_are_all_left_out_the_first_to_return_is_asked() {
        let now = Instant::now();
        let out = |seconds| Standing::Out { until: Some(now + Duration::from_secs(seconds)) };
        assert_eq!(choose(&[candidate(1, out(9)), candidate(1, out(3)), backup(1, out(5))], 0), Some(1));
        assert_eq!(choose(&[candidate(1, Standing::Out { until: None }), backup(1, out(5))], 0), Some(1));
        assert_eq!(choose(&[candidate(1, Standing::Out { until: None })], 0), Some(0));
    }

    #[test]
    fn none_is_asked_twice() {
        let tried = Candidate { tried: true, ..candidate(1, Standing::Well) };
        assert_eq!(choose(&[tried, candidate(1, Standing::Well)], 7), Some(1));
        assert_eq!(choose(&[tried, tried], 7), None);
        assert_eq!(choose(&[], 7), None);
    }
}
