//! Selection under a hard budget: keep the best units whose prompt fits, counted as the target model counts.

use super::CompressError;
use crate::model::Cancel;

/// Returns the number of first units, best first, that fit `budget`.
///
/// `count(n)` gives the tokens of the prompt that keeps the first `n`. Tokens do not add up exactly over
/// joins, so every answer is one that was counted: a bracketing search by interpolation, which needs four to
/// eight counts. The answer is the largest `n` found, not always the largest that exists: it stops within
/// half a percent of the budget.
///
/// # Errors
/// [`CompressError::Infeasible`] when not even one unit fits, or when stopped.
pub(crate) fn largest_prefix(
    units: usize,
    budget: usize,
    cancel: &Cancel,
    mut count: impl FnMut(usize) -> usize,
) -> Result<usize, CompressError> {
    let all = count(units);
    if all <= budget {
        return Ok(units);
    }
    let one = count(1.min(units));
    if one > budget || units <= 1 {
        return Err(CompressError::Infeasible { budget, needed: one.max(budget + 1) });
    }
    let (mut fits, mut fits_tokens) = (1, one);
    let (mut exceeds, mut exceeds_tokens) = (units, all);
    // Instruction and question are in every count: a share of the whole budget could be all that is left for units.
    let close = budget - (budget - one) / 200;
    let mut step = 0;
    while exceeds - fits > 1 && fits_tokens < close {
        cancel.check()?;
        let guess = if step % 3 == 2 {
            // Interpolation can creep along one side; halving now and then bounds it.
            usize::midpoint(fits, exceeds)
        } else {
            let share = (budget - fits_tokens) as f64 / (exceeds_tokens - fits_tokens).max(1) as f64;
            fits + ((exceeds - fits) as f64 * share) as usize
        };
        let guess = guess.clamp(fits + 1, exceeds - 1);
        let tokens = count(guess);
        if tokens <= budget {
            (fits, fits_tokens) = (guess, tokens);
        } else {
            (exceeds, exceeds_tokens) = (guess, tokens);
        }
        step += 1;
    }
    Ok(fits)
}

/// Documents with their worth, the best first; of those worth the same, the first sent.
pub(super) fn ranked(worth: impl IntoIterator<Item = f64>) -> Vec<(usize, f64)> {
    let mut ranking: Vec<(usize, f64)> = worth.into_iter().enumerate().collect();
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranking
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_answer_fits_and_comes_close(
            costs in prop::collection::vec(1_usize..20, 1..300), budget in 1_usize..3000,
        ) {
            let total = |n: usize| costs[..n].iter().sum::<usize>();
            let mut counts = 0;
            let got = largest_prefix(costs.len(), budget, &Cancel::never(), |n| {
                counts += 1;
                total(n)
            });
            prop_assert!(counts <= 24, "{counts} counts");
            match got {
                Ok(n) => {
                    prop_assert!(total(n) <= budget);
                    prop_assert!(n == costs.len() || total(n + 1) > budget || total(n) >= budget - (budget - costs[0]) / 200);
                }
                Err(CompressError::Infeasible { needed, .. }) => prop_assert!(costs[0] > budget && needed > budget),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    #[test]
    fn a_stopped_search_ends() {
        let cancel = Cancel::never();
        cancel.cancel();
        assert!(largest_prefix(100, 50, &cancel, |n| n).is_err());
    }
}
