//! Figures as they are printed in the cells of a table.

use crate::eval::statistics::Estimate;

/// An estimate as `shown` writes it; nothing where there is none.
pub(super) fn of(estimate: Option<Estimate>, shown: fn(Estimate) -> String) -> String {
    estimate.map_or_else(String::new, shown)
}

/// A share in per cent, without its interval.
pub(super) fn share(estimate: Option<Estimate>) -> String {
    of(estimate, |share| format!("{:.1}%", 100.0 * share.mean))
}

/// A share in per cent, with its interval.
pub(super) fn percent(estimate: Option<Estimate>) -> String {
    of(estimate, |Estimate { mean, low, high, .. }| {
        format!("{:.1}% [{:.1}, {:.1}]", 100.0 * mean, 100.0 * low, 100.0 * high)
    })
}

/// A figure with its interval.
pub(super) fn plain(estimate: Option<Estimate>) -> String {
    of(estimate, |Estimate { mean, low, high, .. }| format!("{mean:.3} [{low:.3}, {high:.3}]"))
}
