//! Means, deviations and lines, by which scores of different kinds are compared.

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

/// A straight line that does not fall.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    slope: f64,
    through: (f64, f64),
}

impl Line {
    /// The line nearest to points, by least squares.
    pub(super) fn nearest(points: &[(f64, f64)]) -> Self {
        let n = points.len().max(1) as f64;
        let sum = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
        let (x, y) = (sum(|point| point.0) / n, sum(|point| point.1) / n);
        let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        let product: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let slope = if square > 0.0 { (product / square).max(0.0) } else { 0.0 };
        Self { slope, through: (x, y) }
    }

    pub(super) fn at(&self, x: f64) -> f64 {
        self.through.1 + self.slope * (x - self.through.0)
    }
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

    #[test]
    fn a_line_is_nearest_to_its_points_and_does_not_fall() {
        let line = Line::nearest(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]);
        assert!((line.at(4.0) - 9.0).abs() < 1e-12);
        assert!((Line::nearest(&[(0.0, 1.0), (1.0, 0.0)]).at(5.0) - 0.5).abs() < 1e-12);
        assert!(Line::nearest(&[]).at(3.0).abs() < 1e-12);
    }
}
