//! Means with their uncertainty, by resampling, from a seed.

use serde::{Deserialize, Serialize};

use super::Random;

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
        let sample = Sample::new(values)?;
        let mut random = Random::new(seed);
        let means = (0..RESAMPLES).map(|_| sample.again(&mut random)).collect();
        Some(Self::between(sample.mean(), means, values.len()))
    }

    /// The mean of `values` less that of `others`, with its percentile bootstrap interval; none where either is empty.
    #[must_use]
    pub fn of_difference(values: &[f64], others: &[f64], seed: u64) -> Option<Self> {
        let (sample, other) = (Sample::new(values)?, Sample::new(others)?);
        let mut random = Random::new(seed);
        let differences =
            (0..RESAMPLES).map(|_| sample.again(&mut random) - other.again(&mut random)).collect();
        Some(Self::between(sample.mean() - other.mean(), differences, values.len() + others.len()))
    }

    fn between(mean: f64, mut resampled: Vec<f64>, n: usize) -> Self {
        resampled.sort_by(f64::total_cmp);
        let at = |share: f64| resampled[((RESAMPLES - 1) as f64 * share).round() as usize];
        Self { mean, low: at(0.025), high: at(0.975), n }
    }

    /// The share `hits` of `n` with its 95% interval by Wilson (1927), which holds where hits are few, too; none of
    /// nothing.
    #[must_use]
    pub fn of_share(hits: usize, n: usize) -> Option<Self> {
        const Z: f64 = 1.959_964;
        if n == 0 {
            return None;
        }
        let (count, share) = (n as f64, hits as f64 / n as f64);
        let middle = (share + Z * Z / (2.0 * count)) / (1.0 + Z * Z / count);
        let half = Z / (1.0 + Z * Z / count)
            * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
        Some(Self { mean: share, low: (middle - half).max(0.0), high: (middle + half).min(1.0), n })
    }

    /// Returns whether the interval excludes 0.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// Values that resamples are taken from, sorted.
struct Sample(Vec<f64>);

impl Sample {
    fn new(values: &[f64]) -> Option<Self> {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// The mean of as many values, taken with replacement.
    fn again(&self, random: &mut Random) -> f64 {
        let n = self.0.len();
        (0..n).map(|_| self.0[random.below(n)]).sum::<f64>() / n as f64
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
    fn shares_have_wilsons_interval() {
        // 10 of 100: 0.0552 to 0.1744, by hand.
        let share = Estimate::of_share(10, 100).unwrap();
        assert!((share.low - 0.0552).abs() < 1e-4 && (share.high - 0.1744).abs() < 1e-4, "{share:?}");
        let none = Estimate::of_share(0, 20).unwrap();
        assert!(none.low < 1e-9 && none.high > 0.1, "{none:?}");
        assert_eq!(Estimate::of_share(0, 0), None);
    }

    #[test]
    fn a_difference_has_an_interval_of_its_own() {
        let (low, high): (Vec<f64>, Vec<f64>) =
            ((0..200).map(f64::from).collect(), (50..250).map(f64::from).collect());
        let found = Estimate::of_difference(&low, &high, 4).unwrap();
        // The standard error of each mean is 57.7 / sqrt(200).
        let half = 1.96 * (2.0_f64 / 200.0).sqrt() * 57.7;
        assert!(
            (found.mean + 50.0).abs() < 1e-9 && (found.high - found.low - 2.0 * half).abs() < 0.2 * half,
            "{found:?}"
        );
        assert!(found.is_real() && !Estimate::of_difference(&low, &low, 4).unwrap().is_real());
        assert_eq!(Estimate::of_difference(&low, &[], 4), None);
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
