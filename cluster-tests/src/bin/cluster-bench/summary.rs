//! Slices of time in one line.

use crate::clients::Slice;

/// What several slices say together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) writes_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) syncs_per_write: f64,
    pub(crate) cpu_us_per_write: f64,
    pub(crate) busiest_us_per_write: f64,
}

/// The median of each figure, each on its own.
pub(crate) fn median(slices: &[Slice]) -> Summary {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a benchmark are far below 2^52")]
    let quantile = |slice: &Slice, at: f64| slice.latency.value_at_quantile(at) as f64 / 1e3;
    Summary {
        writes_s: middle(slices.iter().map(|slice| slice.writes_s)),
        p50_ms: middle(slices.iter().map(|slice| quantile(slice, 0.5))),
        p99_ms: middle(slices.iter().map(|slice| quantile(slice, 0.99))),
        syncs_per_write: middle(slices.iter().map(|slice| slice.syncs_per_write)),
        cpu_us_per_write: middle(slices.iter().map(|slice| slice.cpu_us_per_write)),
        busiest_us_per_write: middle(slices.iter().map(|slice| slice.busiest_us_per_write)),
    }
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
