//! How many requests may be sent again. Each request earns a fraction of a retry and each retry costs a whole one, so an origin that is
//! down is asked only little more often than it would be without retries. A little is there from the start, and no more than a bounded
//! amount is saved up.

use parking_lot::Mutex;

use crate::settings::Retries;

/// What a retry costs.
const RETRY: u32 = 100;

/// Retries that are there from the start.
const START: u32 = 10 * RETRY;

/// Retries that are saved up at most.
const MOST: u32 = 100 * RETRY;

/// The retries of one set of origins.
#[derive(Debug)]
pub(crate) struct Budget {
    percent: u32,
    balance: Mutex<u32>,
}

impl Budget {
    pub(crate) fn new(retries: Retries) -> Self {
        Self { percent: retries.percent.min(RETRY), balance: Mutex::new(if retries.percent == 0 { 0 } else { START }) }
    }

    /// A request began.
    pub(crate) fn earn(&self) {
        let mut balance = self.balance.lock();
        *balance = (*balance + self.percent).min(MOST);
    }

    /// Takes a retry, if there is one.
    pub(crate) fn spend(&self) -> bool {
        let mut balance = self.balance.lock();
        let left = balance.checked_sub(RETRY);
        if let Some(left) = left {
            *balance = left;
        }
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;
    use crate::settings::Retries;

    fn spent(budget: &Budget, requests: usize) -> usize {
        (0..requests)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count()
    }

    #[test]
    fn retries_are_a_fraction_of_requests() {
        let budget = Budget::new(Retries { most: 2, percent: 20 });
        let spent = spent(&budget, 10_000);
        assert!((2_000..=2_010).contains(&spent), "{spent}");
    }

    #[test]
    fn no_more_than_a_bounded_amount_is_saved_up() {
        let budget = Budget::new(Retries { most: 2, percent: 20 });
        for _ in 0..1_000_000 {
            budget.earn();
        }
        let saved = (0..1_000_000).take_while(|_| budget.spend()).count();
        assert_eq!(saved, 100);
    }

    #[test]
    fn none_at_all_is_a_setting() {
        assert_eq!(spent(&Budget::new(Retries { most: 2, percent: 0 }), 1000), 0);
    }
}
