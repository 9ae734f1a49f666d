//! The cost of tokens, in billionths of a dollar.

use std::time::Duration;

use crate::config::Price;
use crate::wire::Usage;

/// Billionths of a dollar that a token costs at one dollar for a million.
const PER_TOKEN: f64 = 1000.0;
const PER_DOLLAR: f64 = 1e9;

/// The consumption of a request: tokens that the provider counted, tokens that compression removed, and the work on
/// it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Took {
    pub(super) usage: Usage,
    pub(super) spared: u64,
    pub(super) work: Duration,
}

/// Returns the cost of `usage` at `price`.
pub(in crate::proxy) fn cost(price: &Price, usage: &Usage) -> i64 {
    let dollars = input(price, usage) + usage.output as f64 * price.output;
    (dollars * PER_TOKEN).round() as i64
}

/// Price of the input times its tokens.
fn input(price: &Price, usage: &Usage) -> f64 {
    let fresh = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
    fresh as f64 * price.input
        + usage.cache_read as f64 * price.cache_read.unwrap_or(price.input)
        + usage.cache_write as f64 * price.cache_write.unwrap_or(price.input)
}

/// Returns the saving by compression, less the work at `hourly` dollars an hour.
///
/// What was taken out would have been paid for as the rest of the input was: where most of that came from the
/// provider's cache, little is saved.
pub(super) fn saving(price: &Price, took: &Took, hourly: f64) -> i64 {
    let Took { usage, spared, work } = took;
    let average = if usage.input == 0 { price.input } else { input(price, usage) / usage.input as f64 };
    let saved = *spared as f64 * average * PER_TOKEN;
    (saved - work.as_secs_f64() / 3600.0 * hourly * PER_DOLLAR).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    fn price() -> Price {
        Price {
            model: Pattern::new("*"),
            input: 3.0,
            output: 15.0,
            cache_read: Some(0.3),
            cache_write: Some(3.75),
        }
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let usage = Usage { input: 1_000_000, output: 200_000, cache_read: 400_000, cache_write: 100_000 };
        // 0.5 at 3, 0.4 at 0.3, 0.1 at 3.75, 0.2 at 15, in dollars.
        assert_eq!(cost(&price(), &usage), 4_995_000_000);
        let plain = Price { cache_read: None, cache_write: None, ..price() };
        assert_eq!(cost(&plain, &usage), 6_000_000_000);
        let odd = Usage { input: 1, cache_read: u64::MAX, ..Usage::default() };
        assert!(cost(&price(), &odd) > 0);
    }

    #[test]
    fn a_saving_counts_as_the_input_was_paid_and_can_be_negative() {
        let usage = Usage { input: 1000, ..Usage::default() };
        let took = Took { usage, spared: 1000, work: Duration::ZERO };
        assert_eq!(saving(&price(), &took, 1.0), 3_000_000);
        let cached = Took { usage: Usage { cache_read: 1000, ..usage }, ..took };
        assert_eq!(saving(&price(), &cached, 1.0), 300_000);
        let unknown = Took { usage: Usage::default(), ..took };
        assert_eq!(saving(&price(), &unknown, 1.0), 3_000_000);
        let slow = Took { work: Duration::from_secs(36), ..took };
        assert_eq!(saving(&price(), &slow, 1.0), 3_000_000 - 10_000_000);
    }
}
