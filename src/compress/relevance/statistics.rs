//! Means and deviations, by which scores of different kinds are compared.

/// The smallest deviation of cosines that counts: where all are alike, words still tell units apart.
const LEAST_DEVIATION: f64 = 0.02;

/// The standard deviation of `values`, at least [`LEAST_DEVIATION`].
pub(super) fn deviation(values: &[f64]) -> f64 {
    moments(values).1.max(LEAST_DEVIATION)
}

/// `values` in standard deviations from their mean; 0 where all are alike.
pub(super) fn standardised(values: &[f64]) -> Vec<f64> {
    let (mean, deviation) = moments(values);
    values.iter().map(|v| if deviation > 0.0 { (v - mean) / deviation } else { 0.0 }).collect()
}

/// The mean and the standard deviation of `values`; zeros of none.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_values_have_mean_zero() {
        let values = standardised(&[1.0, 2.0, 3.0]);
        assert!((values[2] - 1.5_f64.sqrt()).abs() < 1e-12 && values[1].abs() < 1e-12);
        assert_eq!(standardised(&[5.0, 5.0]), [0.0, 0.0]);
        assert_eq!((deviation(&[]), deviation(&[1.0, 3.0])), (LEAST_DEVIATION, 1.0));
    }
}
