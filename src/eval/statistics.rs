//! Means with their uncertainty, by resampling, from a seed.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;

/// A mean with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean of the sample.
    pub mean: f64,
    /// 2.5% of the resampled means are below.
    pub low: f64,
    /// 2.5% of the resampled means are above.
    pub high: f64,
    /// Size of the sample.
    pub n: usize,
}

impl Estimate {
    /// The mean of `values` with its percentile bootstrap interval; none of no values.
    ///
    /// The means of resamples with replacement stand for the means of other samples of the same size
    /// (Efron 1979). Sorted first, so that the order of `values` does not matter.
    #[must_use]
    pub fn of(values: &[f64], seed: u64) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let mut random = Random::new(seed);
        let mut means: Vec<f64> =
            (0..RESAMPLES).map(|_| (0..n).map(|_| values[random.below(n)]).sum::<f64>() / n as f64).collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
        Some(Self { mean: values.iter().sum::<f64>() / n as f64, low: at(0.025), high: at(0.975), n })
    }

    /// Returns whether the interval excludes 0.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_a_known_distribution() {
        // 400 coins of which 100 show heads: the standard error of the mean is sqrt(0.25 * 0.75 / 400).
        let coins: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
        let estimate = Estimate::of(&coins, 3).unwrap();
        let error = (0.25_f64 * 0.75 / 400.0).sqrt();
        assert!((estimate.mean - 0.25).abs() < 1e-12 && estimate.n == 400);
        assert!((estimate.low - (0.25 - 1.96 * error)).abs() < 0.1 * error * 1.96, "{estimate:?}");
        assert!((estimate.high - (0.25 + 1.96 * error)).abs() < 0.1 * error * 1.96, "{estimate:?}");
    }

    #[test]
    fn the_interval_covers_the_truth_nineteen_times_of_twenty() {
        // Samples of 60 from the uniform distribution over 0..1000, whose mean is 499.5.
        let mut random = Random::new(11);
        let covered = (0..400)
            .filter(|&seed| {
                let sample: Vec<f64> = (0..60).map(|_| random.below(1000) as f64).collect();
                let estimate = Estimate::of(&sample, seed).unwrap();
                (estimate.low..=estimate.high).contains(&499.5)
            })
            .count();
        assert!((366..=394).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn it_depends_on_the_seed_and_the_values_alone() {
        // Of few values two seeds can give the same interval.
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * i % 97)).collect();
        let other: Vec<f64> = values.iter().rev().copied().collect();
        assert_eq!(Estimate::of(&values, 5), Estimate::of(&other, 5));
        assert_ne!(Estimate::of(&values, 5), Estimate::of(&values, 6));
        assert_eq!(Estimate::of(&[], 5), None);
        let constant = Estimate::of(&[2.0; 9], 1).unwrap();
        assert_eq!((constant.low, constant.high), (2.0, 2.0));
        assert!(constant.is_real() && !Estimate::of(&[-1.0, 1.0, 0.0], 1).unwrap().is_real());
    }
}
